"""Runs stage `train` as DVC does, and ends when the first step is done: `python -m bench.first_step NAME`."""

import os
import runpy
import sys
from typing import Any

from sightline.pipeline.process import set_up_process


def main() -> None:
    set_up_process()
    from sightline.training import progress

    class Ends(progress.ProgressFile):
        def on_train_batch_end(self, *_: Any) -> None:
            """Nothing is cleaned up, as nothing of that is measured."""
            os._exit(0)

    progress.ProgressFile = Ends  # type: ignore[misc]
    sys.argv = ["train.py", *sys.argv[1:]]
    runpy.run_path("pipelines/train.py", run_name="__main__")


if __name__ == "__main__":
    main()
