"""Stage `embed@NAME`: prepared data and an extractor -> data/features/NAME: vectors per layer of every image."""

from pathlib import Path

from sightline.config import Params
from sightline.pipeline.process import run_stage


def stage(params: Params, name: str) -> None:
    """Embed one data set."""
    from sightline.system.device import chosen_device
    from sightline.training.features.building import build_features
    from sightline.training.features.embedding import embed

    section = params.features_of(name)
    features = build_features(section, params.seed)
    features.extractor.to(chosen_device())
    card = embed(features, Path("data/prepared", section.dataset), Path("data/features", name))
    print(f"{name}: " + ", ".join(f"{layer} {size}" for layer, size in card.dimensions.items()) + " features per image")


if __name__ == "__main__":
    run_stage(stage)
