"""DVC stage `release@NAME`: sums up model and reports in release/NAME.json."""

from pathlib import Path

from sightline.config import Params
from sightline.pipeline.process import run_stage
from sightline.registry.release import release
from sightline.system.files import read_json, write_json


def main(params: Params, name: str) -> None:
    """Write the release of one model."""
    card = read_json(Path("data/prepared", params.dataset_of(name), "card.json"))
    told = release(name, Path(), list(card["batches"]), name in params.quantised())
    write_json(Path("release") / f"{name}.json", told)
    if "int8" in told and not told["int8"]["released"]:
        print(f"{name}: int8 not released, the model itself is: {told['int8']['reason']}")


if __name__ == "__main__":
    run_stage(main)
