"""Prefect flow `monitor`: checks each data set of `monitor:` for drift; where it begins, asks for a retraining.

`python pipelines/monitor.py` runs it once, on a temporary server unless PREFECT_API_URL is set. The deployment
`retrain/retrain` is triggered only on a server that has it.
"""

import os
import signal
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from sightline.config import Params, load_params
from sightline.operations.retraining.monitoring import DriftCheck, TooFewImages, check_dataset
from sightline.pipeline.process import fail, set_up_process
from sightline.system.errors import UserError, nearest

set_up_process()  # Prefect reads its settings when it is imported
if "PREFECT_HOME" not in os.environ:
    os.environ["PREFECT_HOME"] = str(Path(".sightline/prefect").resolve())
    Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)  # its server does not start without it
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "90")  # 20 is too short on a busy machine

from prefect import flow, get_run_logger, task  # noqa: E402
from prefect.artifacts import create_markdown_artifact, create_table_artifact  # noqa: E402
from prefect.deployments import run_deployment  # noqa: E402
from prefect.exceptions import ObjectNotFound  # noqa: E402
from prefect.settings import PREFECT_API_URL  # noqa: E402
from prefect.states import Completed, Failed  # noqa: E402

RETRAIN = "retrain/retrain"
_WIDEST = 900  # pixels of a picture within an artifact


@task(task_run_name="{dataset}")  # type: ignore[untyped-decorator]
def check(dataset: str, root: str) -> dict[str, Any]:
    """Check one data set and return a row of the table; pictures go to MLflow and into an artifact."""
    logger, place = get_run_logger(), Path(root)
    try:
        found = check_dataset(load_params(place / "params.yaml", policies=False), dataset, place, record=True)
    except TooFewImages as waiting:
        logger.info("%s: nothing concluded: %s", dataset, waiting)
        return {"dataset": dataset, "verdict": "too few images", "began": False, "reason": str(waiting)}
    logger.info("%s: %s", dataset, found.comparison.reason)
    report(found)
    log_pictures(found, place)
    drifting = found.verdict is not None and found.verdict.drifting
    return {
        "dataset": dataset,
        "verdict": "drifting" if drifting else "not drifting",
        "began": found.began,
        "this check": "drift" if found.comparison.drifting else "no drift",
        "p": float(f"{found.comparison.p:.2g}"),
        "images": found.comparison.samples[1],
        "reason": found.comparison.reason,
    }


def report(found: DriftCheck) -> None:
    """Record the tests and pictures of a check as an artifact that needs no other file."""
    from sightline.operations.drift.comparison import p_text

    own = found.comparison
    word = "drift" if own.drifting else "no drift"
    lines = [f"**{found.dataset}: {word}.** {_plain(own.reason)}", ""]
    lines += ["| compared | corrected p | change |", "|---|---|---|"]
    for finding in own.findings:
        mark = "**" if finding.adjusted < own.alpha else ""
        lines.append(f"| {mark}{finding.name}{mark} | {p_text(finding.adjusted)} | {_plain(finding.told)} |")
    lines += ["", *(f"![{path.stem}]({_inline(path)})\n" for path in found.pictures)]
    lines.append(f"The full page: `{found.folder}/index.html`")
    key = f"drift-{found.dataset.replace('_', '-')}"  # keys take no underscores
    create_markdown_artifact("\n".join(lines), key=key, description=f"Drift of {found.dataset}")


def log_pictures(found: DriftCheck, root: Path) -> None:
    """Record the pictures as a run of MLflow, where it is installed."""
    from sightline.registry.tracking import log_pictures as log

    params = {**found.settings, "drifting": found.comparison.drifting, "p": f"{found.comparison.p:.2g}"}
    log(f"drift {found.dataset}", params, [*found.pictures, found.folder / "index.html"], root)


def _plain(text: str) -> str:
    return text.replace("|", "\\|")


def _inline(path: Path) -> str:
    from sightline.operations.pages.pictures import picture

    return picture(path, path.stem, _WIDEST).uri


def run_name() -> str:
    """Return what Prefect's pages call a run: a time says more than two random words."""
    return f"monitor {datetime.now().astimezone():%Y-%m-%d %H:%M}"


@flow(name="monitor", flow_run_name=run_name)  # type: ignore[untyped-decorator]
def monitor(root: str = ".", datasets: list[str] | None = None) -> Any:
    """Check the data sets of `monitor:` in params.yaml, and trigger a retraining where drift begins."""
    place = Path(root).resolve()
    names = chosen(load_params(place / "params.yaml", policies=False), datasets)
    if not names:
        return Completed(message="params.yaml has no section monitor; no data set is monitored")
    rows, failed = [], []
    for name in names:
        state = check(name, str(place), return_state=True)
        if state.is_completed():
            rows.append(state.result())
        else:  # the others are checked all the same
            failed.append(name)
            rows.append({"dataset": name, "verdict": "not checked", "began": False, "reason": state.message or ""})
    begun = [row["dataset"] for row in rows if row["began"]]
    told = trigger(begun) if begun else "no data set began to drift"
    get_run_logger().info("retraining: %s", told)
    create_table_artifact(rows, key="monitor-verdicts", description=f"Drift of each data set; retraining: {told}")
    if failed:
        return Failed(message=f"{', '.join(failed)}: not checked; see the log")
    drifting = [row["dataset"] for row in rows if row["verdict"] == "drifting"]
    return Completed(message=f"{', '.join(drifting) or 'nothing'} drifting; retraining: {told}")


def chosen(params: Params, datasets: list[str] | None) -> list[str]:
    """Return the data sets to check.

    Raises:
        UserError: one of them has no entry in `monitor`.
    """
    for name in datasets or []:
        if name not in params.monitor:
            near = nearest(name, params.monitor, f" ({', '.join(params.monitor) or 'it is empty'})")
            raise UserError(f"datasets: {name!r} is not in monitor of params.yaml{near}")
    return datasets or list(params.monitor)


def trigger(begun: list[str]) -> str:
    """Start the deployment that retrains, without waiting for it; return what became of that."""
    why = f"{', '.join(begun)} began to drift"
    if not PREFECT_API_URL.value():
        return f"{why}; not triggered, as no server runs: set PREFECT_API_URL, or run pipelines/retrain.py"
    try:
        run = run_deployment(RETRAIN, timeout=0, as_subflow=False, tags=["drift"])
    except ObjectNotFound:
        return f"{why}; not triggered, as the server has no deployment {RETRAIN}"
    return f"{why}; triggered {RETRAIN}, run {run.name}"


def main() -> int:
    """Run the flow once in the present folder."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that its server is ended too
    try:
        chosen(load_params(Path("params.yaml"), policies=False), None)
    except Exception as error:
        return fail(error)
    state = monitor(return_state=True)
    print(f"monitor: {state.name}{': ' + state.message if state.message else ''}", file=sys.stderr)
    return 0 if state.is_completed() else 1


if __name__ == "__main__":
    sys.exit(main())
