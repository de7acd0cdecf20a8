"""Stage `code`: hashes of the code and settings of each stage -> .sightline/code.

It is the first one, so it also looks for names of files that DVC itself would end at with a traceback's last line, and
for stages that DVC, which had to read `pipelines/dag.yaml` before, does not know of yet.
"""

import os
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.data.raw.names import require_utf8
from sightline.pipeline.process import run_stage
from sightline.pipeline.rest import Rest

if TYPE_CHECKING:
    from sightline.config import Params

UP_TO_DATE = "stamps of code and settings: up to date"


@cache
def rest() -> Rest:
    """Return the state of what stamps depend on, as it is when this is called first."""
    mirror = os.environ.get("SIGHTLINE_WEIGHTS", "")
    reads = [Path("params.yaml"), Path("pipelines"), Path("data/weights"), *([Path(mirror)] if mirror else [])]
    return Rest(Path(), "code", reads, [Path(".sightline/code"), Path(".sightline/stamps")], [mirror])


def at_rest() -> bool:
    """Return whether the stamps are those of the present code and settings; names of raw files are looked at anyway."""
    roots = [Path(root) for root in rest().known.get("roots", ())]
    if not rest().holds() or not all(root.exists() for root in roots):
        return False
    require_utf8(roots)
    print(UP_TO_DATE)
    return True


def stage(params: "Params") -> None:
    """Write the stamps that changed."""
    from sightline.data.raw.roots import missing_roots
    from sightline.pipeline.dag import DAG, write_dag
    from sightline.pipeline.stamps import other_packages, write_stamps
    from sightline.system.errors import UserError

    roots = [dataset.root for dataset in params.datasets.values()]
    require_utf8(map(Path, roots))
    if write_dag(Path(), params):
        raise UserError(
            f"params.yaml now describes other stages, and {DAG}, the list of them, has been brought up to date; "
            "DVC reads that list before anything runs, so this run stops here: run the same command again"
        )
    for line in missing_roots(params.datasets):  # not an error: other stages may need none of them
        print(line, file=sys.stderr, flush=True)
    written = write_stamps(Path(), params)
    rest().keep([str(path) for path in other_packages().values()], roots=roots)
    print(f"code or settings changed for {', '.join(written)}" if written else UP_TO_DATE)


if __name__ == "__main__":
    run_stage(stage, at_rest=at_rest)
