"""Stage `settings@NAME`: what of `evaluation:` in params.yaml concerns one model."""

from pathlib import Path

from sightline.config import Params
from sightline.pipeline.process import run_stage
from sightline.system.files import write_json


def stage(params: Params, name: str) -> None:
    """Write the settings of one model's evaluation."""
    params.dataset_of(name)
    write_json(Path("reports", name, "settings.json"), params.evaluation.of(name).model_dump(mode="json"))


if __name__ == "__main__":
    run_stage(stage, policies=False)
