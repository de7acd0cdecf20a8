"""Stage `code`: hashes of the code and settings of each stage -> .sightline/code.

It is the first one, so it also looks for names of files that DVC itself would end at with a traceback's last line.
"""

from pathlib import Path

from sightline.config import Params
from sightline.data.raw.names import require_utf8
from sightline.pipeline.process import run_stage
from sightline.pipeline.stamps import write_stamps


def stage(params: Params) -> None:
    """Write the stamps that changed."""
    require_utf8(Path(dataset.root) for dataset in params.datasets.values())
    written = write_stamps(Path(), params)
    print(f"code or settings changed for {', '.join(written)}" if written else "code and settings are as before")


if __name__ == "__main__":
    run_stage(stage, policies=False)
