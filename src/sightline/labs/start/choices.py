"""The models to begin with: what suits the data, as ordinary entries of params.yaml, each value with its reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sightline.labs.start.entries import Chosen, Entry
from sightline.labs.start.facts import Facts
from sightline.labs.start.lines_of_text import reader
from sightline.labs.start.object_sizes import COARSEST, is_lost, strides_for, tile_side, tiling_section, wanted_size
from sightline.labs.start.plan import Machine, Plan, Published, batch_of

SMALL_IMAGE = 64  # pixels of the longer side below which published weights, made for 224 px, have nothing to hold on to
_UNEVEN = 4.0  # times as frequent as the rarest class, from which classes get weights
_TILE_INPUTS = (320, 256)  # in which tiles are seen, of images whose small objects would be lost
_WHOLE_IMAGE = ("classification", "multilabel", "regression")


def baseline(dataset: str, facts: Facts, networks: Sequence[Published]) -> tuple[Entry, Entry] | None:
    """Return entries of `features` and `heads` that take seconds, None where heads do not do the task.

    Args:
        dataset: its name.
        facts: of the data set.
        networks: that can be had, the best one first.
    """
    if facts.task != "classification":
        return None
    weights = {"class_weights": Chosen("balanced", _uneven(facts))} if facts.imbalance > _UNEVEN else {}
    if facts.side <= SMALL_IMAGE or not networks:
        side = max(16, min(64, -(-facts.side // 8) * 8))
        features: Entry = {
            "dataset": dataset,
            "input": {"size": Chosen(side, f"images have {facts.side} px"), "channels": 1},
            "extractor": Chosen(
                {"kind": "hog", "cell": side // 4}, "histograms of gradients: small images need no network"
            ),
        }
        head: dict[str, Any] = {"dataset": dataset, "features": "", "kind": Chosen("linear_svm", "fits in seconds")}
        return features, {**head, **weights, **_chosen_on(facts)}
    network = networks[0]
    features = {
        "dataset": dataset,
        "weights": Chosen("pretrained", "frozen: only a head is fitted on what the network extracts"),
        "input": {
            "size": Chosen(network.size, "what the weights were made for"),
            "channels": 3,
            "resize": Chosen("stretch", "the whole image"),
        },
        "normalize": ["l2"],
        "extractor": {"kind": "network", "architecture": network.name, "layers": [_pooled(network.name)]},
    }
    head = {
        "dataset": dataset,
        "features": "",
        "kind": Chosen("logistic", "probabilities that need no calibration"),
        "standardize": Chosen(False, "the vectors have length 1"),
        "C": Chosen([1.0, 10.0, 100.0], "the best is chosen by cross-validation on train"),
    }
    return features, {**head, **weights, **_chosen_on(facts)}


def _pooled(network: str) -> str:
    """Return the layer of a network whose maps are pooled over the whole image."""
    library, _, name = network.partition(":")
    if library == "timm":
        return "global_pool"
    return "avgpool" if name.startswith("resnet") else "features"


def _chosen_on(facts: Facts) -> dict[str, Any]:
    most = 5_000
    return {"choose_on": Chosen(most, "enough to choose by")} if facts.samples["train"] > 2 * most else {}


def plans(dataset: str, facts: Facts, networks: Sequence[Published], mirror: bool, machine: Machine) -> Iterator[Plan]:
    """Yield networks for the data, the most promising one first, each cheaper than the one before.

    Args:
        dataset: its name.
        facts: of the data set.
        networks: whose weights can be had, the best one first.
        mirror: whether mirrored images are as good as the others.
        machine: that trains.
    """
    if facts.task == "text_recognition":
        yield reader(dataset, facts).on(machine)
        return
    small = facts.side <= SMALL_IMAGE and facts.task in _WHOLE_IMAGE
    if small or not networks:
        yield _from_scratch(dataset, facts, mirror).on(machine)
        return
    for network in networks:
        for size, why in _sizes(facts, network):
            yield _fine_tuned(dataset, facts, network, size, why, mirror).on(machine)


def _from_scratch(dataset: str, facts: Facts, mirror: bool) -> Plan:
    side = max(16, min(64, -(-facts.side // 4) * 4)) if facts.task in _WHOLE_IMAGE else 128
    channels = Chosen(1, "no image has colours") if facts.grey else 3
    task: dict[str, Any] = {"kind": facts.task}
    if facts.task in _WHOLE_IMAGE:
        task["architecture"] = Chosen(
            "mnist_cnn" if facts.grey and side <= 32 else "timm:test_resnet",
            "small, as the images are" if facts.side <= SMALL_IMAGE else "small, to learn quickly from random weights",
        )
    task |= _task_options(facts)
    entry: Entry = {
        "dataset": dataset,
        "task": task,
        "weights": Chosen(
            "random",
            "published weights know nothing of so small images"
            if facts.side <= SMALL_IMAGE
            else "no published weights can be had here",
        ),
        "input": {"size": Chosen(side, _reason(facts, side)), "channels": channels},
        "recipe": _recipe(facts, mirror),
        "trainer": {
            "batch_size": Chosen(batch_of(facts.samples["train"], 64), "more gains nothing with so small networks"),
            "early_stopping": Chosen(None, "the schedule ends with the last epoch"),
            "keep": "last",
        },
    }
    return Plan(entry, 2, 12 if facts.samples["train"] > 20_000 else 40)


def _reason(facts: Facts, side: int) -> str:
    more = ", of which more takes longer than random weights are worth" if facts.side > side + 4 else ""
    return f"images have {facts.side} px{more}"


def _fine_tuned(dataset: str, facts: Facts, network: Published, size: int, why: str, mirror: bool) -> Plan:
    kind = facts.task
    task: dict[str, Any] = {"kind": kind}
    note = ""
    where = "weights at hand" if network.at_hand else "weights from the hub"
    if kind in (*_WHOLE_IMAGE, "localization"):
        task["architecture"] = Chosen(network.name, f"small and accurate; {where}")
    else:
        if kind == "semantic_segmentation":
            task["architecture"] = "semantic_fpn"
        task["backbone"] = Chosen(network.name, f"small and accurate; {where}")
    tile = tile_side(facts, size) if is_lost(facts) else None
    if kind in ("detection", "instance_segmentation"):
        task["strides"] = strides_for(facts, size, tile)
    if kind == "detection":
        if facts.oriented:
            task["boxes"] = Chosen("oriented", "as in the data")
        task["width"] = Chosen(128, "boxes fit more closely than with 64, at little cost in half precision")
        task["head_convs"] = Chosen(4, "as in the paper")
        if mirror and not size % COARSEST:
            task["views"] = Chosen("mirror", "an image and its mirror image, which shows the same")
    task |= _task_options(facts)
    whole = kind in _WHOLE_IMAGE
    batch = 32 if whole else 8 if kind in ("detection", "keypoints", "localization") else 4
    tiled: dict[str, Any] = {}
    if tile is not None:
        tiled, note = tiling_section(facts, tile)
    entry: Entry = {
        "dataset": dataset,
        "task": task,
        "weights": "pretrained",
        "input": {"size": Chosen(size, why), "channels": 3, "resize": Chosen(*_resize(facts))},
        **tiled,
        "recipe": _recipe(facts, mirror),
        "trainer": {
            "batch_size": Chosen(batch_of(facts.samples["train"], batch), "steps enough in few epochs"),
            "early_stopping": Chosen(None, "the schedule ends with the last epoch"),
            "keep": "last",
        },
    }
    return Plan(entry, *_epochs(kind), note)


def _epochs(kind: str) -> tuple[int, int]:
    """Return the fewest and the most epochs that pretrained weights are worth."""
    if kind == "regression":  # its output begins at the mean: with four epochs it is no better than that
        return 8, 30
    return (3, 15) if kind in _WHOLE_IMAGE else (10, 60)


def _task_options(facts: Facts) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if facts.task == "classification" and facts.imbalance > _UNEVEN:
        options["class_weights"] = Chosen("balanced", _uneven(facts))
    if facts.task == "semantic_segmentation":
        options["loss"] = Chosen("cross_entropy_dice", "classes of few pixels count too")
    return options


def _uneven(facts: Facts) -> str:
    rare = min((name for name in facts.counts if facts.counts[name]), key=lambda name: facts.counts[name])
    often = max(facts.counts, key=lambda name: facts.counts[name])
    return f"{often!r} is {facts.imbalance:.0f} times as frequent as {rare!r}".replace("'", "")


def _recipe(facts: Facts, mirror: bool) -> Any:
    """Return what optimizer, schedule, averaging and augmentation are taken from."""
    if mirror:
        return {"name": "good", "mirror": Chosen(True, "mirrored images are as good here")}
    unsafe = facts.unsafe_mirror()
    why = f"never mirrors: {unsafe}".replace("'", "") if unsafe else "never mirrors; {name: good, mirror: true} does"
    return Chosen("good", f"sound settings (sightline check --full prints them); {why}")


def _resize(facts: Facts) -> tuple[str, str]:
    ratio = facts.side / max(1, min(facts.height, facts.width))
    if facts.task in _WHOLE_IMAGE:
        return (
            ("stretch", "the whole image, every pixel used")
            if ratio < 1.6
            else ("letterbox", "long images keep their shape")
        )
    return ("stretch", "no pixel is spent on borders") if ratio < 1.5 else ("letterbox", "objects keep their shape")


def _sizes(facts: Facts, network: Published) -> Iterator[tuple[int, str]]:
    """Yield sizes of the input, the most promising one first, each smaller than the one before."""
    if facts.task in _WHOLE_IMAGE:
        full = network.size
        yield full, "what the weights were made for"
        for size in (192, 160, 128):
            if size < full:
                yield size, f"{full} takes longer than there is time for"
        return
    if is_lost(facts):
        yield from ((size, "in which each tile is seen") for size in _TILE_INPUTS)
        return
    wanted, why = wanted_size(facts)
    yield wanted, why
    for size in (512, 448, 384, 320, 256, 192):
        if size < wanted:
            yield size, f"{wanted} takes longer than there is time for"
