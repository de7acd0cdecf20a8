"""The script that tries every task on a GPU, here on the CPU; and the same on a GPU where there is one."""

from pathlib import Path

import pytest
import torch
from test_task_contract import CONTRACT

from bench import gpu


def rows(path: Path) -> dict[str, list[str]]:
    """Return the table's cells by name of the task."""
    lines = [line.strip("| ").split(" | ") for line in path.read_text().splitlines() if line.startswith("| ")]
    return {name: cells for name, *cells in lines[1:]}


@pytest.fixture(autouse=True)
def _device_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_DEVICE", "cpu")  # is put back, whatever the script sets


def test_two_entries_on_the_cpu(tmp_path: Path) -> None:
    out = tmp_path / "table.md"
    arguments = ["--device", "cpu", "--only", "localization", "regression", "--count", "40", "--out", str(out)]
    assert gpu.main(arguments) == 0
    assert out.read_text().startswith("no GPU, ")
    found = rows(out)
    assert list(found) == ["regression", "localization"]
    for speed, peak, resumed, metric, onnx, same in found.values():
        assert float(speed.replace(",", "")) > 0
        assert (peak, resumed, onnx, same) == ("-", "yes", "agrees", "100%")
        assert metric.split()[0] in ("mean_iou", "r2")


def test_a_failure_is_a_row_and_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("expected all tensors on one device\nand more")

    monkeypatch.setattr(gpu, "check", broken)
    out = tmp_path / "table.md"
    assert gpu.main(["--device", "cpu", "--only", "classification", "--out", str(out)]) == 1
    assert rows(out)["classification"][-1] == "FAILED"
    assert "classification: RuntimeError: expected all tensors on one device" in capsys.readouterr().out


def test_it_has_every_entry_of_the_contract() -> None:
    kinds = {(task["kind"], task.get("architecture")) for _, task in gpu.tasks("cpu").values()}
    assert {kind for kind, _ in kinds} == {entry.task["kind"] for entry in CONTRACT.values()}
    assert len(gpu.tasks("cuda")) == len(CONTRACT)


@pytest.mark.gpu
def test_all_on_a_gpu(tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")
    assert gpu.main(["--count", "200", "--out", str(tmp_path / "table.md")]) == 0
