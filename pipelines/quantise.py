"""Stage `quantise@NAME`: model, train and val split -> models/NAME.int8: the network in integers, if it is as good."""

from pathlib import Path

from sightline.config import Params
from sightline.pipeline.process import run_stage
from sightline.system.files import new_folder


def stage(params: Params, name: str) -> None:
    """Make and judge the int8 network of one model."""
    from sightline.evaluation.quantise.search import quantise_model
    from sightline.training.artifact.int8 import int8_folder

    model, prepared = Path("models", name), Path("data/prepared", params.dataset_of(name))
    settings = params.evaluation.of(name)
    with new_folder(int8_folder(model)) as folder:
        report = quantise_model(model, prepared, params.exported(name), settings, folder, settings.headline.get(name))
    print(f"{name}: int8 {'made' if report['released'] else 'not released'}: {report['reason']}")


if __name__ == "__main__":
    run_stage(stage)
