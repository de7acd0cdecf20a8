"""What the tuner chooses against everything it could choose: `python -m bench.tuning`.

For two networks of different kind the tuner runs, and then the whole loop is timed in turns with every precision,
layout and number of loader processes. The ratio is the tuned setting's throughput over the best one's: 1.0 is perfect.
To be run on a quiet machine; `--repetitions 1 --seconds 2 --batches 4` is for a look whether it works.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.images import write_idx, write_photographs
from sightline.config.dataset_section import Split
from sightline.config.datasets import Dataset, Idx, ImageFolder
from sightline.config.models import Model
from sightline.data.raw.preparation import prepare
from sightline.pipeline.process import set_up_process
from sightline.system.processors import usable_processors

Setting = tuple[str, bool, int]  # precision, channels-last, loader processes

NETWORKS: dict[str, dict[str, Any]] = {
    "mnist_cnn": {"input": {"size": 28, "channels": 1}},
    "timm:mobilenetv3_small_050": {"input": {"size": 96, "channels": 3}},
}


def model_of(architecture: str, **trainer: Any) -> Model:
    """Return the section of a model to be tuned, with all settings left to the rule."""
    common = {
        "dataset": "bench",
        "task": {"kind": "classification", "architecture": architecture},
        "weights": "random",
        "augment": "light",
        "optimizer": {"name": "adam", "lr": 1e-3},
        "trainer": {"batch_size": 32, **trainer},
    }
    return Model.model_validate(common | NETWORKS[architecture])


def tuned_setting(architecture: str, prepared: Path, seconds: float) -> Setting:
    """Run the tuner and return what a training would use then."""
    from sightline.labs.tuning import probe
    from sightline.labs.tuning.subject import open_subject

    found = probe(model_of(architecture), 0, prepared, prepared.parent / "out", seconds=seconds, tell=lambda _: None)
    trainer = {f.setting.split(".")[1]: f.suggested for f in found if f.setting.startswith("trainer.")}
    numerics = open_subject(model_of(architecture, **trainer), 0, prepared, prepared).now
    return numerics.precision, numerics.channels_last, int(trainer["num_workers"])


def every_speed(
    architecture: str, prepared: Path, seconds: float, batches: int, tuned: Setting
) -> dict[Setting, float]:
    """Return images per second of the whole loop with every setting, timed in turns.

    Pairs of precision and layout whose bare step takes three times as long as the best are left out: no loader makes up
    for that, and half precision without the instructions for it takes twenty times as long.
    """
    from sightline.labs.tuning.numerics import allowed_pairs
    from sightline.labs.tuning.speed import Burst, least_times
    from sightline.labs.tuning.subject import open_subject
    from sightline.labs.tuning.workers import MOST, loop

    model = model_of(architecture)
    subject = open_subject(model, 0, prepared, prepared)
    size = model.trainer.batch_size
    trials = {layout: subject.trial(layout) for layout in (False, True)}
    pairs = allowed_pairs(subject.device.type, convolutions=True)
    batch = [subject.batch(size)]
    bare = {pair: Burst(partial(trials[pair[1]].step, batch, pair[0]), subject.device) for pair in pairs}
    steps = least_times(bare, seconds=0.0)
    hopeful = [pair for pair in pairs if steps[pair] <= 3 * min(steps.values()) or pair == tuned[:2]]
    counts = range(min(MOST, usable_processors()) + 1)
    runs = {
        (precision, layout, workers): loop(subject, trials[layout], precision, size, workers, batches)
        for (precision, layout), workers in itertools.product(hopeful, counts)
    }
    return {setting: 1 / taken for setting, taken in least_times(runs, seconds).items()}


def data_of(architecture: str, folder: Path) -> Path:
    """Make and prepare the images that a network is tuned on."""
    raw, prepared = folder / "raw", folder / "prepared"
    dataset: Dataset
    if NETWORKS[architecture]["input"]["channels"] == 1:
        write_idx(raw, 4000)
        dataset = Idx(format="idx", root=str(raw), split=Split(train=0.9, val=0.1, test=0.0, by="order"))
    else:
        write_photographs(raw, 800)
        dataset = ImageFolder(format="image_folder", root=str(raw))
    prepare("bench", dataset, prepared)
    return prepared


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=list(NETWORKS), action="append", help="one of the networks; default all")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="of the tuner; everything is timed three times as long"
    )
    parser.add_argument("--batches", type=int, default=20, help="of each timed pass over everything")
    arguments = parser.parse_args()
    set_up_process()
    console = Console(highlight=False, soft_wrap=True)
    for architecture in arguments.network or NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            prepared = data_of(architecture, Path(folder))
            ratios = []
            for _ in range(arguments.repetitions):
                tuned = tuned_setting(architecture, prepared, arguments.seconds)
                speeds = every_speed(architecture, prepared, 3 * arguments.seconds, arguments.batches, tuned)
                best = max(speeds, key=lambda setting: speeds[setting])
                ratios.append(speeds[tuned] / speeds[best])
                console.print(
                    f"{architecture}: tuned {tuned} {speeds[tuned]:.0f}, best {best} {speeds[best]:.0f} images/s"
                )
            console.print(f"{architecture}: ratio {', '.join(f'{ratio:.2f}' for ratio in ratios)}")
            console.print(f"{architecture}: median {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
