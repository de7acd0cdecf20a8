"""Heat maps against networks that are known to look at one place only."""

from typing import Any

import numpy as np
import pytest
import torch
from known_networks import LABELS, SIZE, colour_finder, coloured_squares, inside
from pydantic import TypeAdapter
from torch import nn

from sightline.config.models import Input
from sightline.config.tasks import Task as TaskConfig
from sightline.data.structures import FLOAT32, LabelMap
from sightline.evaluation.explain import heat_map, surest_targets
from sightline.evaluation.explain.faithfulness import area, chance_curve, curves, order_of, random_curves
from sightline.evaluation.explain.heat import HeatMethod, heat_maps
from sightline.evaluation.explain.heat_pictures import curve_checks, similarity_checks
from sightline.evaluation.explain.integrated_gradients import pixel_parts
from sightline.evaluation.explain.layers import heat_layer, map_layers, shown_layers
from sightline.evaluation.explain.making import chosen_methods
from sightline.evaluation.explain.randomisation import rank_correlation, with_random_weights
from sightline.evaluation.explain.targets import target_chances, target_scores
from sightline.system.errors import UserError
from sightline.tasks import build
from sightline.tasks.base import Task

PLACES = [(2, 3, 0), (20, 20, 1), (4, 22, 2)]
METHODS: tuple[HeatMethod, ...] = ("grad_cam", "occlusion", "integrated_gradients")
TASKS: dict[str, dict[str, Any]] = {
    "classification": {"architecture": "mnist_cnn"},
    "multilabel": {"architecture": "mnist_cnn"},
    "localization": {"architecture": "timm:test_resnet"},
    "fcos": {"kind": "detection", "architecture": "fcos", "backbone": "timm:test_resnet", "strides": [8, 16]},
    "retinanet": {"kind": "detection", "architecture": "retinanet", "backbone": "timm:test_resnet", "strides": [8, 16]},
    "sliding_window": {"architecture": "mnist_cnn", "window": 24, "stride": 8},
    "semantic_segmentation": {"architecture": "semantic_fpn", "backbone": "timm:test_resnet", "strides": [8, 16]},
}


def built(name: str, size: int = 64) -> Task:
    options = {"kind": name} | TASKS[name]
    if "backbone" in options:
        options = options | {"width": 32}
    config: Any = TypeAdapter(TaskConfig).validate_python(options)
    labels = LabelMap(LABELS.classes, LABELS.source_ids, semantic=("background", *LABELS.classes))
    return build(config, Input(size=size, channels=3), labels).eval()


def noise(count: int, size: int = 64) -> Any:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize("method", METHODS)
def test_maps_point_at_what_the_network_sees(method: HeatMethod) -> None:
    task, pixels = colour_finder(), coloured_squares(PLACES)
    targets = surest_targets(task, pixels)
    assert [target.label for target in targets] == [colour for *_, colour in PLACES]
    heats = heat_maps(method, task, pixels, targets)
    assert heats.shape == (3, SIZE, SIZE)
    assert heats.dtype == np.float32
    assert heats.min() >= 0
    assert np.allclose(heats.max((1, 2)), 1)
    for heat, (row, column, _) in zip(heats, PLACES, strict=True):
        assert inside(heat, row, column)


def test_a_class_that_is_not_there_has_an_empty_map() -> None:
    task, pixels = colour_finder(), coloured_squares(PLACES[:1])
    assert not heat_map(task, pixels, 2).any()
    assert heat_map(task, pixels, 0).max() == 1
    with pytest.raises(UserError, match=r"target: 3: there is no such class; use 0 to 2"):
        heat_map(task, pixels, 3)


def test_grad_cam_is_the_formula() -> None:
    """On a network whose gradients are known: the class score is a weighted sum of means of maps."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    task = colour_finder()
    task.network = network.eval()
    pixels = coloured_squares(PLACES, size=8, side=3)
    with torch.no_grad():
        maps = network[0](torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255)
    weights = network[3].weight[1].detach() / 64  # d score / d A, the same everywhere
    expected = (maps * weights[None, :, None, None]).sum(1).relu().numpy()
    expected /= np.maximum(expected.max((1, 2), keepdims=True), 1e-12)
    assert np.allclose(heat_map(task, pixels, 1), expected, atol=1e-5)


def test_integrated_gradients_are_complete() -> None:
    """Parts sum up to the score less the mean of those of a black and a white image."""
    task = built("classification", 32)
    pixels = noise(1, 32)
    [target] = surest_targets(task, pixels)
    parts = pixel_parts(task, pixels[0], target, steps=200)
    with torch.no_grad():
        own, black, white = (
            float(
                target_scores(
                    task, torch.full((1, 32, 32, 3), value) if value is not None else torch.from_numpy(pixels), [target]
                )
            )
            for value in (None, 0.0, 255.0)
        )
    assert parts.sum() == pytest.approx(own - (black + white) / 2, rel=0.03, abs=0.003)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_with_classes_has_maps(name: str) -> None:
    task, pixels = built(name), noise(2)
    before = {key: value.clone() for key, value in task.state_dict().items()}
    targets = surest_targets(task, pixels)
    with torch.no_grad():
        chances = target_chances(task, torch.from_numpy(pixels), targets).numpy()
    assert ((chances >= 0) & (chances <= 1)).all()
    for method in METHODS:
        heats = heat_maps(method, task, pixels, targets)
        assert heats.shape == (2, 64, 64)
        assert np.isfinite(heats).all()
        assert heats.min() >= 0
        assert heats.max() <= 1
    assert np.array_equal(*(heat_map(task, pixels, targets) for _ in range(2))), "not the same twice"
    assert all(torch.equal(value, before[key]) for key, value in task.state_dict().items())
    assert all(parameter.grad is None for parameter in task.parameters())


def test_tasks_without_classes_are_refused() -> None:
    config: Any = TypeAdapter(TaskConfig).validate_python({"kind": "autoencoder"})
    task = build(config, Input(size=32, channels=3), LABELS)
    with pytest.raises(UserError, match=r"task.kind: autoencoder: heat maps explain the score of a class"):
        heat_map(task.eval(), noise(1, 32))


class Sum(Task):
    """A task of somebody else, who says nothing of heat maps."""

    kind = "sum"
    targets = ()
    loss = scores = predictions = measure = None  # type: ignore[assignment]


def test_a_task_that_says_nothing_of_targets_has_no_maps() -> None:
    task = Sum(nn.Sequential(nn.Conv2d(3, 2, 3)), "0", LABELS, (0.5,) * 3, (0.5,) * 3).eval()
    assert not task.explains
    with pytest.raises(UserError, match=r"task.kind: sum: heat maps explain the score of a class"):
        heat_map(task, noise(1, 32))
    methods = chosen_methods(task, map_layers(task, noise(1, 32)), None)
    assert methods == ["filters", "activations", "patches", "visualisation", "neighbours"]


def test_networks_without_places_are_refused() -> None:
    config: Any = TypeAdapter(TaskConfig).validate_python({"kind": "classification", "architecture": "mlp"})
    task = build(config, Input(size=32, channels=3), LABELS).eval()
    with pytest.raises(UserError, match="no layer with a spatial map; use occlusion"):
        heat_map(task, noise(1, 32))


def test_layers_are_chosen_by_the_size_of_their_maps() -> None:
    task = built("classification", 64)
    layers = map_layers(task, noise(1, 64))
    assert heat_layer(layers) == "pool2"
    assert shown_layers(layers)[-1] == "pool2"
    assert heat_layer(layers, "conv1") == "conv1"
    with pytest.raises(UserError, match=r"layers: conf1: .*did you mean conv1"):
        heat_layer(layers, "conf1")
    fcos = map_layers(built("fcos"), noise(1))
    assert heat_layer(fcos).startswith("body.")


def test_curves_agree_with_a_slow_loop() -> None:
    task, pixels = colour_finder(), coloured_squares(PLACES)
    targets = surest_targets(task, pixels)
    heat = heat_map(task, pixels, targets)[1]
    order = order_of(heat)
    quick = chance_curve(task, pixels[1], targets[1], order, insert=False)
    edges = [int(np.flatnonzero((np.arange(SIZE) * 12) // SIZE == cell)[0]) for cell in range(12)] + [SIZE]
    image, slow = pixels[1].copy(), []
    for step in range(len(quick)):
        for cell in order[: round(step * 144 / (len(quick) - 1))]:
            row, column = divmod(int(cell), 12)
            image[edges[row] : edges[row + 1], edges[column] : edges[column + 1]] = 0  # the mean of this task
        with torch.no_grad():
            slow.append(float(target_chances(task, torch.from_numpy(image)[None], targets[1:2])))
    assert np.allclose(quick, slow, atol=1e-6)
    assert quick[0] > 0.9
    assert quick[-1] == pytest.approx(1 / 3)


def test_checks_tell_good_maps_from_bad_ones() -> None:
    task, pixels = colour_finder(), coloured_squares(PLACES)
    targets = surest_targets(task, pixels)
    chance = [
        random_curves(task, own, target, 0, n) for n, (own, target) in enumerate(zip(pixels, targets, strict=True))
    ]

    def verdict(heats: FLOAT32) -> list[bool]:
        rows = zip(pixels, targets, heats, chance, strict=True)
        return [check.passes for check in curve_checks([curves(task, *row) for row in rows])]

    good = heat_map(task, pixels, targets)
    assert verdict(good) == [True, True]
    assert verdict(1 - good) == [False, False]
    assert area(np.array([1, 0], np.float32)) == 0.5


def test_a_map_that_ignores_the_weights_fails() -> None:
    image = np.random.default_rng(0).random((3, 24, 24)).astype(np.float32)
    [rank, alike] = similarity_checks(image, image, placed=False)
    assert (rank.value, rank.passes, alike.passes) == (pytest.approx(1), False, False)
    assert "not what was learned" in rank.told
    [rank, _] = similarity_checks(image, np.random.default_rng(1).random((3, 24, 24)).astype(np.float32), placed=False)
    assert rank.passes
    assert rank_correlation(image[0], image[0] ** 3) == pytest.approx(1)
    assert rank_correlation(image[0], np.zeros_like(image[0])) == 0


@pytest.mark.parametrize("name", ["classification", "localization"])
def test_random_weights_are_new_and_the_old_stay(name: str) -> None:
    task = built(name)
    before = {key: value.clone() for key, value in task.network.state_dict().items()}
    renewed, again, other = (with_random_weights(task, seed) for seed in (0, 0, 1))
    for key, value in task.network.state_dict().items():
        assert torch.equal(value, before[key])
        assert torch.equal(renewed.network.state_dict()[key], again.network.state_dict()[key])
    weights = [key for key, value in task.network.named_parameters() if value.ndim > 1]
    assert all(not torch.equal(renewed.network.state_dict()[key], before[key]) for key in weights)
    assert any(not torch.equal(renewed.network.state_dict()[k], other.network.state_dict()[k]) for k in weights)
