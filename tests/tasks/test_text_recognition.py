"""Reading of strips: loss, decoding and columns against sums over all paths, and what is refused."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from sightline.config.errors import ConfigError
from sightline.config.models import Input, Model
from sightline.config.params import load_params
from sightline.config.tasks.text_recognition import TextRecognition as Config
from sightline.data.images import place
from sightline.data.store import SplitStore, load_labels
from sightline.data.structures import LabelMap
from sightline.labs.lstm_cell import lstm
from sightline.models.read.column_network import columns_of
from sightline.models.read.decoding import best_paths, best_text, columns_needed, columns_of_characters
from sightline.system.errors import UserError
from sightline.tasks.text_recognition import TextRecognition, build_text_recognition

LABELS = LabelMap((), (), characters=("a", "b"))
Texts = dict[tuple[int, ...], float]


def config(**options: Any) -> Config:
    return Config.model_validate({"kind": "text_recognition", "width": 8, "hidden": 16, **options})


def built(**options: Any) -> TextRecognition:
    return build_text_recognition(
        config(**options), Input(size=32, width=64, channels=1), LABELS, "random", None
    ).eval()


def scores(seed: int, columns: int, outputs: int, spread: float = 1.5) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, spread, (columns, outputs))


def logarithms(values: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = values - values.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def text_of(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(output - 1 for output, _ in groupby(path) if output)


def all_texts(logs: NDArray[np.float64]) -> Texts:
    """Return the probability of every text, summed over every path one by one."""
    found: Texts = defaultdict(float)
    for path in product(range(logs.shape[1]), repeat=len(logs)):
        found[text_of(path)] += float(np.exp(sum(logs[column, output] for column, output in enumerate(path))))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_loss_and_confidence_are_sums_over_all_paths(seed: int) -> None:
    values = scores(seed, 5, 3)
    texts = all_texts(logarithms(values))
    assert sum(texts.values()) == pytest.approx(1)
    task, outputs = built(), torch.tensor(values[None], dtype=torch.float32)
    for text in [(0,), (1, 1), (0, 1, 0), ()]:
        target = torch.tensor([[*text, *[-1] * (4 - len(text))]])
        loss = float(task.loss(outputs, {"text": target}))
        assert loss * max(1, len(text)) == pytest.approx(-np.log(texts[text]), rel=1e-4)
    [said] = task.predictions(outputs, [place(32, 64, (32, 64), "letterbox")])
    assert said.text_score == pytest.approx(texts[tuple("ab".index(one) for one in said.text or "")], rel=1e-4)


def test_the_best_path_need_not_be_the_best_text() -> None:
    """Graves et al. 2006, section 3.2: twice the blank is the best path, but three paths say `a`."""
    logs = np.log(np.array([[0.6, 0.4], [0.6, 0.4]]))
    assert best_paths(logs[None]) == [[]]
    assert best_text(logs, 8) == [0]
    outputs = torch.tensor(logs[None], dtype=torch.float32)
    own = LabelMap((), (), characters=("a",))
    texts = []
    for decoding in ("greedy", "beam"):
        task = TextRecognition(nn.Linear(1, 1), "", own, (0.5,), (0.5,), decoding=decoding)  # type: ignore[arg-type]
        [said] = task.predictions(outputs, [place(32, 8, (32, 8), "stretch")])
        texts.append((said.text, round(said.text_score or 0.0, 4)))
    assert texts == [("", 0.36), ("a", 0.64)]


@pytest.mark.parametrize("seed", range(6))
def test_a_wide_beam_finds_the_best_text(seed: int) -> None:
    logs = logarithms(scores(seed, 5, 3, spread=0.7))
    texts = all_texts(logs)
    assert tuple(best_text(logs, 1000)) == max(texts, key=lambda text: texts[text])
    assert tuple(best_paths(logs[None])[0]) == text_of(tuple(logs.argmax(1).tolist()))


def test_a_beam_is_no_worse_than_the_best_path_and_mostly_better_than_a_narrow_one() -> None:
    probability = {1: 0.0, 10: 0.0}
    for seed in range(8):
        logs = logarithms(scores(seed, 6, 4, spread=0.8))
        texts = all_texts(logs)
        for width in probability:
            probability[width] += texts[tuple(best_text(logs, width))]
        assert texts[tuple(best_text(logs, 10))] >= texts[tuple(best_paths(logs[None])[0])] - 1e-12
    assert probability[10] > probability[1]


@pytest.mark.parametrize("seed", range(6))
def test_columns_are_those_of_the_best_path_that_spells_the_text(seed: int) -> None:
    logs = logarithms(scores(seed, 6, 3))
    for text in [(0,), (0, 0), (1, 0, 1), ()]:
        paths = [path for path in product(range(3), repeat=6) if text_of(path) == text]
        best = max(paths, key=lambda path: sum(logs[column, output] for column, output in enumerate(path)))
        runs, column = [], 0
        for output, own in groupby(best):
            count = len(list(own))
            runs += [(column, column + count - 1)] if output else []
            column += count
        [found, _] = columns_of_characters(np.stack([logs, logs]), [text, (0, 1)])  # beside a longer or shorter one
        assert found.tolist() == [list(run) for run in runs]


def test_equal_neighbours_need_a_column_between_them() -> None:
    assert [columns_needed(text) for text in ("", "ab", "aab", "aaa")] == [0, 2, 4, 5]


def test_characters_are_placed_in_pixels_of_the_original() -> None:
    """A strip of 48 x 48 in an input of 32 x 64 lies in the middle, 16 from the left, and is scaled by 2 / 3."""
    outputs = torch.full((1, 16, 3), -20.0)
    outputs[..., 0] = 0
    for column, output in ((6, 1), (7, 1), (11, 2)):
        outputs[0, column, output] = 20
    [said] = built().predictions(outputs, [place(48, 48, (32, 64), "letterbox")])
    assert said.text == "ab"
    np.testing.assert_allclose(said.text_spans, [[12, 24], [42, 48]], atol=1e-4)
    told = said.to_json(LABELS)
    assert told["characters"][0] == {"character": "a", "left": pytest.approx(12), "right": pytest.approx(24)}
    assert 0.99 < told["confidence"] <= 1


@pytest.mark.parametrize("kind", ["lstm", "gru", "none"])
@pytest.mark.parametrize("stride", [2, 4, 8])
def test_networks_have_the_columns_that_are_told(kind: str, stride: int) -> None:
    options = {"sequence": kind, "stride": stride} | ({"hidden": None} if kind == "none" else {})
    task = built(**options)
    for size in ((32, 64), (37, 61)):
        own = build_text_recognition(
            config(**options), Input(size=size[0], width=size[1], channels=1), LABELS, "random", None
        ).eval()
        assert own(torch.zeros(2, *size, 1, dtype=torch.uint8)).shape == (2, columns_of(size, stride), 3)
    assert (task.network.sequence is None) == (kind == "none")


def test_a_text_that_is_too_long_for_the_input_is_refused(strings: Path) -> None:
    labels, train = load_labels(strings), SplitStore(strings / "train")
    with pytest.raises(UserError, match=r"input\.width: 8: gives 2 columns, but .* needs [345], .* use at least"):
        build_text_recognition(config(), Input(size=32, width=8), labels, "random", train)


def test_data_without_texts_are_refused(digits: Path) -> None:
    with pytest.raises(UserError, match="images have no text"):
        build_text_recognition(config(), Input(size=32), load_labels(digits), "random", SplitStore(digits / "train"))


def test_a_network_for_other_characters_keeps_its_body(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    first = built()
    save_file(
        {key: value.contiguous() for key, value in first.network.state_dict().items()}, tmp_path / "a.safetensors"
    )
    more = LabelMap((), (), characters=("a", "b", "c"))
    image = Input(size=32, width=64, channels=1)
    second = build_text_recognition(config(), image, more, tmp_path / "a.safetensors", None)
    own, other = first.network.state_dict(), second.network.state_dict()
    assert all(torch.equal(own[key], other[key]) for key in own if not key.startswith("head."))
    assert other["head.weight"].shape[0] == 4


@pytest.mark.parametrize("both", [False, True])
def test_the_written_out_lstm_is_that_of_torch(both: bool) -> None:
    layer = nn.LSTM(5, 7, batch_first=True, bidirectional=both)
    values = torch.randn(3, 6, 5, requires_grad=True)
    ours, theirs = lstm(values, layer), layer(values)[0]
    torch.testing.assert_close(ours, theirs)
    wanted = torch.randn_like(ours)
    gradients = [torch.autograd.grad((told * wanted).sum(), (values, *layer.parameters())) for told in (ours, theirs)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def model(**values: Any) -> Model:
    return Model.model_validate({"dataset": "strips", "task": "text_recognition", **values})


def test_a_short_section_is_a_strip_that_is_not_mirrored() -> None:
    short = model()
    assert (short.input.size, short.input.width, short.augment, short.weights) == (32, 128, "strip", "random")
    assert model(input={"size": 48}).input.width is None
    assert model(recipe="good").augment == "strip"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"task": {"kind": "text_recognition", "views": "mirror"}}, "views: a mirrored text is no text"),
        ({"task": {"kind": "text_recognition", "beam_width": 5}}, "beam_width is for decoding: beam"),
        (
            {"task": {"kind": "text_recognition", "sequence": "none", "hidden": 9}},
            "hidden is for sequence: lstm or gru",
        ),
        ({"augment": "light_mirrored"}, "augment: light_mirrored mirrors images"),
        ({"recipe": {"name": "good", "mirror": True}}, "recipe.mirror: task.kind is text_recognition"),
        (
            {"task": {"kind": "autoencoder"}, "input": {"size": 32, "width": 64}},
            "input.width: 64: is for text_recognition, but task.kind is autoencoder",
        ),
    ],
)
def test_what_does_not_suit_a_text_is_told(values: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        model(**values)


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("[{HorizontalFlip: {p: 0.5}}]", r"augmentations.own.policy\[0\].HorizontalFlip: mirrors images"),
        (
            "[{OneOf: {transforms: [{Blur: {}}, {D4: {}}]}}]",
            r"augmentations.own.policy\[0\].OneOf.transforms\[1\].D4: mirrors and turns images",
        ),
        ("alexnet", "augmentations.own.policy: alexnet mirrors images"),
        ("[{Blur: {}}, {HorizontalFlip: {p: 0.0}}]", None),
    ],
)
def test_policies_that_mirror_are_refused(policy: str, told: str | None, tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(
        "datasets: {strips: {format: strings, root: data/embedded}}\n"
        f"augmentations: {{own: {{dataset: strips, policy: {policy}}}}}\n"
        "models: {reader: {dataset: strips, task: text_recognition, augment: own}}\n"
    )
    if told is None:
        assert load_params(file).model("reader").augment == "own"
        return
    with pytest.raises(ConfigError, match=told):
        load_params(file)
