"""Stage `augment@NAME`: the training split of a data set -> data/augmented/NAME, and a report on the policy."""

from pathlib import Path

from sightline.config import Params, check_policy
from sightline.pipeline.process import run_stage


def stage(params: Params, name: str) -> None:
    """Try one policy, and make its copies."""
    from sightline.data.vary.augmented import make_augmentation

    augmentation = params.augmentation(name)
    check_policy(params, name)
    report = Path("reports/augment", name)
    prepared = Path("data/prepared", augmentation.dataset)
    effect = make_augmentation(name, augmentation, params.seed, prepared, Path("data/augmented", name), report)
    many = " (too many)" if effect.boxes_lost > augmentation.max_lost_boxes else ""
    lost = f"{effect.boxes_lost:.1%} of {effect.boxes} boxes lost{many}, " if effect.boxes else ""
    print(f"{name}: {effect.copies} copies, {lost}{effect.images_per_second:,.0f} images/s; see {report}/report.md")


if __name__ == "__main__":
    run_stage(stage)
