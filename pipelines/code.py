"""Stage `code`: hashes of the code and settings of each stage -> .sightline/code.

It is the first one, so it also looks for names of files that DVC itself would end at with a traceback's last line, and
for stages that DVC, which had to read `pipelines/dag.yaml` before, does not know of yet.
"""

import sys
from pathlib import Path

from sightline.config import Params
from sightline.data.raw.names import require_utf8
from sightline.data.raw.roots import missing_roots
from sightline.pipeline.dag import DAG, write_dag
from sightline.pipeline.process import run_stage
from sightline.pipeline.stamps import write_stamps
from sightline.system.errors import UserError


def stage(params: Params) -> None:
    """Write the stamps that changed."""
    require_utf8(Path(dataset.root) for dataset in params.datasets.values())
    if write_dag(Path(), params):
        raise UserError(
            f"params.yaml now describes other stages, and {DAG}, the list of them, has been brought up to date; "
            "DVC reads that list before anything runs, so this run stops here: run the same command again"
        )
    for line in missing_roots(params.datasets):  # not an error: other stages may need none of them
        print(line, file=sys.stderr, flush=True)
    written = write_stamps(Path(), params)
    print(
        f"code or settings changed for {', '.join(written)}" if written else "stamps of code and settings: up to date"
    )


if __name__ == "__main__":
    run_stage(stage, policies=False)
