"""Stage `stylize@NAME`: a content and pictures of a style -> reports/stylized/NAME, and a run that shows them."""

from pathlib import Path

from sightline.config import Params
from sightline.pipeline.process import run_stage


def stage(params: Params, name: str) -> None:
    """Draw one picture."""
    from sightline.labs.stylize.jobs import make_styled
    from sightline.labs.stylize.progress import progress_bar
    from sightline.registry.tracking import log_pictures

    section = params.style(name)
    seed = params.seed if section.seed is None else section.seed
    with progress_bar(name, section.steps) as follow:
        made = make_styled(section, seed, Path("reports/stylized", name), follow=follow)
    log_pictures(name, made.settings, made.files())
    losses = ", ".join(f"{loss} {value:.3g}" for loss, value in made.numbers.items())
    print(f"{name}: {made.settings['steps_done']} steps, {losses}; see {made.folder}/result.png")


if __name__ == "__main__":
    run_stage(stage)
