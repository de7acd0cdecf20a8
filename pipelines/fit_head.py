"""Stage `fit_head@NAME`: features -> models/NAME, and what was tried and found (docs/transfer.md)."""

from pathlib import Path

from sightline.config import Params
from sightline.pipeline.process import run_stage


def stage(params: Params, name: str) -> None:
    """Fit one head."""
    from sightline.training.heads.making import make_head

    head = params.head(name)
    source = params.features_of(head.features)
    layers = head.layers or source.layers()
    seed = params.seed if head.seed is None else head.seed
    features, prepared = Path("data/features", head.features), Path("data/prepared", head.dataset)
    network = source.model()
    seen = network is not None and params.dataset_of(network) == head.dataset
    line = make_head(
        head, layers, seed, features, prepared, Path("models", name), Path("reports", name, "training"), seen
    )
    print(f"{name}: {line}")


if __name__ == "__main__":
    run_stage(stage)
