"""Stage `code`: hashes of the code and settings of each stage -> .sightline/code."""

from pathlib import Path

from sightline.config import Params
from sightline.pipeline.process import run_stage
from sightline.pipeline.stamps import write_stamps


def stage(params: Params) -> None:
    """Write the stamps that changed."""
    written = write_stamps(Path(), params)
    print(f"code or settings changed for {', '.join(written)}" if written else "code and settings are as before")


if __name__ == "__main__":
    run_stage(stage, policies=False)
