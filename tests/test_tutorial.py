"""The tutorial notebook runs from its first cell to its last."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "tutorial.ipynb"


def printed(cell: Any) -> str:
    return "".join(out.get("text", "") for out in cell.outputs if out.output_type == "stream")


@pytest.mark.slow
def test_the_tutorial_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("SIGHTLINE_WEIGHTS", "")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.source.startswith("!") or "Traceback" not in printed(cell) for cell in code)
    params = next(cell for cell in code if "params.yaml" in cell.source)
    assert "digit-photos-classifier" in printed(params)
    models = next(cell for cell in code if cell.source.startswith("!sightline models"))
    assert printed(models).count("champion") >= 2
    prediction = next(cell for cell in code if "sightline.predict" in cell.source)
    assert "'7'" in printed(prediction)
