"""Chooses the models to begin with: what suits the data, as far as there is time for it on this machine."""

from __future__ import annotations

import math
import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ruamel.yaml import YAML

from sightline.config import Params, load_params
from sightline.config.published import published_input
from sightline.config.weights import MIRROR, available_networks
from sightline.labs.start.choices import SMALL_IMAGE, baseline, plans
from sightline.labs.start.defects import finder
from sightline.labs.start.entries import Chosen, Entry, with_entries
from sightline.labs.start.facts import Facts
from sightline.labs.start.plan import Machine, Plan, Published
from sightline.models.classify.hub import hub_answers
from sightline.models.mirror import mirrored_weights
from sightline.system.words import count_of

if TYPE_CHECKING:
    from sightline.labs.start.fitting import Fit
    from sightline.labs.start.timing import StepTimes

Tell = Callable[[str], None]
WEIGHTS = Path("data/weights")
# Small and accurate ones first: what fits into a few minutes on a CPU.
_PREFERRED = (
    "timm:tf_efficientnet_lite2",
    "timm:tf_efficientnet_lite0",
    "torchvision:mobilenet_v2",
    "timm:resnet18",
    "torchvision:resnet18",
)
# Those of other files, as far as their last pooled layer is called as `choices` expects.
_FAMILIES = re.compile(r"(timm|torchvision):(tf_)?(efficientnet|mobilenet|resnet|densenet)\w*")
_NETWORKS = 2  # that are timed at most
_INTERPRETER = 1.5  # seconds until a stage begins to import
ROLES = {
    "classification": "classifier",
    "multilabel": "tagger",
    "regression": "regressor",
    "localization": "locator",
    "detection": "detector",
    "instance_segmentation": "segmenter",
    "semantic_segmentation": "segmenter",
    "keypoints": "pose",
    "text_recognition": "reader",
}


class Chooser:
    """Chooses models by measured time.

    Args:
        name: of the data set.
        facts: of it.
        text: of params.yaml, to which entries are added.
        entries: those of the data set.
        prepared: its folder.
        seed: of weights and order.
        minutes: for everything.
        mirror: whether mirrored images are as good as the others.
        tell: shows a line.
    """

    def __init__(
        self,
        name: str,
        facts: Facts,
        text: str,
        entries: Mapping[str, Mapping[str, Entry]],
        prepared: Path,
        seed: int,
        minutes: float,
        mirror: bool,
        tell: Tell,
    ) -> None:
        self.name, self.facts, self.text, self.entries = name, facts, text, entries
        self.prepared, self.seed, self.minutes, self.mirror, self.tell = prepared, seed, minutes, mirror, tell
        self.networks = published(WEIGHTS)
        self.machine = machine()
        self.busy = busy_processors()

    def choose(self, preparing: float) -> tuple[dict[str, dict[str, Entry]], dict[str, float], list[str]]:
        """Return the entries, the expected seconds of each stage, and notes.

        Args:
            preparing: seconds that it took to prepare the data set.
        """
        began = time.perf_counter()
        from sightline.labs.start import timing  # imports torch and all, as most stages do at their start

        self.loading = _INTERPRETER + time.perf_counter() - began
        written = {section: dict(own) for section, own in self.entries.items()}
        common = timing.common_seconds(preparing, self.loading)
        seconds = {f"prepare@{self.name}": common["prepare"], "register": common["register"]}
        notes = busy_notes(self.busy, self.machine.processors)
        if not self.networks and self.facts.side > SMALL_IMAGE and self.facts.task != "text_recognition":
            notes.append(
                "no published weights: the hub does not answer, and data/weights and SIGHTLINE_WEIGHTS have none; with "
                "tf_efficientnet_lite0.safetensors in one of them results are much better"
            )
        if self.facts.task == "anomaly":
            return written, seconds | self._with_head(written, *finder(self.name, self.facts, self.networks)), notes
        head = baseline(self.name, self.facts, self.networks)
        if head is not None:
            seconds |= self._with_head(written, *head)
        left = 60 * self.minutes - sum(seconds.values())
        fit = self._fitting(left)
        plan, epochs, times = fit.plan, fit.epochs, fit.times
        if epochs == 0 and head is not None:
            needed = sum(seconds.values()) + sum(timing.model_seconds(times, plan.least, self.loading).values())
            notes.append(
                f"no network can be trained in {_minutes(self.minutes)} here, so the head is the model; "
                f"--minutes {math.ceil(needed / 60)} would do for the smallest one"
            )
        else:
            model = f"{self.name}-{ROLES[self.facts.task]}"
            few = "" if epochs >= plan.least else "; too few for a good model"
            limit = "more gain little" if epochs == plan.most else f"as many as fit into {_minutes(self.minutes)}{few}"
            epochs = max(1, epochs)
            written["models"] = {model: plan.with_epochs(epochs, f"{_seconds(times.epoch)} each here; {limit}")}
            stages = timing.model_seconds(times, epochs, self.loading)
            seconds |= {f"{stage}@{model}": value for stage, value in stages.items()}
            notes += [plan.note] if plan.note else []
            if few:
                needed = sum(seconds.values()) - sum(stages.values())
                needed += sum(timing.model_seconds(times, plan.least, self.loading).values())
                notes.append(
                    f"{model} gets {count_of(epochs, 'epoch')} in {_minutes(self.minutes)}, too few for a good model; "
                    f"--minutes {math.ceil(needed / 60)} would give it {plan.least}, or set trainer.max_epochs later"
                )
            if self.facts.task == "regression":
                guards, note = guarded(self.text, model)
                written |= guards
                notes += note
        return written, seconds, notes

    def _with_head(self, written: dict[str, dict[str, Entry]], features: Entry, head: Entry) -> dict[str, float]:
        """Add a head to what will be written, and return the expected seconds of its stages."""
        from sightline.labs.start import timing

        feature_name, head_name = f"{self.name}-features", f"{self.name}-head"
        more: dict[str, dict[str, Entry]] = {
            "features": {feature_name: features},
            "heads": {head_name: {**head, "features": feature_name}},
        }
        params = self._params(more)
        image, size = timing.time_images(params.features_of(feature_name), self.seed, self.prepared, WEIGHTS)
        written.update(more)
        stages = timing.head_seconds(params.head(head_name), image, size, self.prepared, self.loading)
        names = {"embed": feature_name}
        return {f"{stage}@{names.get(stage, head_name)}": value for stage, value in stages.items()}

    def _fitting(self, left: float) -> Fit:
        """Return the most promising plan that fits into the seconds that are left; else that with most epochs."""
        from sightline.labs.start import timing
        from sightline.labs.start.fitting import largest_that_fits

        by_network: dict[str, list[Plan]] = {}
        for plan in plans(self.name, self.facts, self.networks, self.mirror, self.machine):
            by_network.setdefault(plan.network, []).append(plan)
        found: list[Fit] = []
        for choices in list(by_network.values())[:_NETWORKS]:
            fit = largest_that_fits(choices, self._timed, lambda times: timing.epochs_within(times, left, self.loading))
            if fit.enough:
                return fit
            found.append(fit)
        return max(found, key=lambda one: one.epochs)

    def _timed(self, plan: Plan) -> StepTimes:
        """Return the times of a plan."""
        from sightline.labs.start import timing

        params = self._params({"models": {"timed": plan.with_epochs(1, "")}})
        model = params.models["timed"]
        self.tell(f"timing {timing.STEPS} steps of {plan.network} at {plan.size} px ...")
        augmentation = params.augmentations.get(model.augment)
        times = timing.time_steps(model, self.seed, self.prepared, WEIGHTS, augmentation)
        self.tell(f"  {times.step:.2f} s each, an epoch {_seconds(times.epoch)}")
        return times

    def _params(self, more: Mapping[str, Mapping[str, Entry]]) -> Params:
        """Return the params that there would be with some more entries."""
        need: dict[str, dict[str, Entry]] = {"models": {}} if "heads" in more or "models" in more else {}
        joined = {**self.entries, **need, **more}
        return checked(with_entries(self.text, {key: own for key, own in joined.items() if own}, "params.yaml"))


def published(folder: Path) -> list[Published]:
    """Return the networks whose weights are at hand, the best one first; without any, one from a hub that answers.

    Raises:
        UserError: a mirror that does not answer.
    """
    here: dict[str, Published] = {}
    elsewhere = {**available_networks(folder), **available_networks(Path(os.environ.get(MIRROR) or folder))}
    for name in (*_PREFERRED, *elsewhere):
        known = published_input(name)
        if known and _FAMILIES.fullmatch(name) and (name in elsewhere or mirrored_weights(name)):
            here[name] = Published(name, known.size, True)
    first = _PREFERRED[1]
    return list(here.values()) or ([Published(first, 224, False)] if hub_answers() else [])


def _seconds(value: float) -> str:
    return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"


def guarded(text: str, model: str) -> tuple[dict[str, dict[str, Entry]], list[str]]:
    """Return the guard of a regression, as entries or, where there are guards, as a note of what to add.

    A first model has no champion to beat, and an error in the target's unit does not show that it learned nothing.

    Args:
        text: of params.yaml.
        model: its name.
    """
    if "guards" in ((YAML(typ="safe", pure=True).load(text) or {}).get("gate") or {}):
        return {}, [f"add {model}: {{r2: 0}} to gate.guards, so that no model worse than the mean becomes champion"]
    bound = Chosen(0, "below it the mean of the target would be the better answer")
    return {"gate": {"guards": {model: {"r2": bound}}}}, []


def busy_processors(seconds: float = 1.0) -> float:
    """Return how many processors other programs keep busy, while this one waits for some seconds."""
    import psutil

    each: list[float] = psutil.cpu_percent(interval=seconds, percpu=True)
    return sum(each) / 100


def busy_notes(busy: float, processors: int) -> list[str]:
    """Return a note where other programs take so much that what is timed now will not hold later.

    Args:
        busy: processors that they keep busy.
        processors: that may be used.
    """
    if busy <= processors / 4:
        return []
    told = f"other programs keep {busy:.1f} of {processors} processors busy"
    return [f"{told}: times may turn out different"]


def machine() -> Machine:
    """Return what trains here."""
    import torch

    from sightline.system.processors import usable_processors

    return Machine(usable_processors(), torch.cuda.is_available())


def checked(text: str) -> Params:
    """Return what a text of params.yaml says.

    Raises:
        ConfigError: it is not as it should be.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        path.write_text(text, encoding="utf-8")
        return load_params(path)


def _minutes(minutes: float) -> str:
    return f"{minutes:g} minute{'' if minutes == 1 else 's'}"
