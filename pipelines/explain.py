"""Stage `explain@NAME`: model and test split -> reports/NAME/explanations: pictures, and a list of them with checks."""

from pathlib import Path

from sightline.config import Params
from sightline.pipeline.process import run_stage
from sightline.system.files import new_folder


def stage(params: Params, name: str) -> None:
    """Explain one model."""
    from sightline.evaluation.explain.making import explain_model

    section = params.explanation(name)
    prepared = Path("data/prepared", section.dataset)
    with new_folder(Path("reports", name, "explanations")) as folder:
        pictures = explain_model(Path("models", name), prepared, section, params.seed_of(name), folder)
    failed = [
        f"{picture.method} ({check.name})" for picture in pictures for check in picture.checks if not check.passes
    ]
    told = f"; not passed: {', '.join(failed)}" if failed else "; all checks passed"
    print(f"{name}: {len(pictures)} pictures in reports/{name}/explanations{told}")


if __name__ == "__main__":
    run_stage(stage)
