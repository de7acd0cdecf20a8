"""`sightline summary NAME`: which network a name means, and how its table looks."""

import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from torch import nn

from sightline.commands.cli import main
from sightline.commands.layer_table import Subject, layer_table
from sightline.data.structures import LabelMap
from sightline.models.inspect.inspection import inspect_network
from sightline.system.files import write_json

PARAMS = """
seed: 1
datasets:
  digits: {format: digits, root: data/embedded}
trainer: {}
evaluation: {}
models:
  digit-cnn:
    dataset: digits
    task: {kind: classification, architecture: mnist_cnn}
    weights: random
    input: {size: 20, channels: 1}
    augment: none
    optimizer: {name: adam}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text(PARAMS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def summary(*words: str) -> int:
    """Run the command; return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["sightline", "summary", *words])
        with pytest.raises(SystemExit) as end:
            main()
    assert isinstance(end.value.code, int)
    return end.value.code


def cells(printed: str, layer: str) -> list[str]:
    return next(line.split() for line in printed.splitlines() if line.startswith(f"{layer} "))


def test_a_network_by_its_word(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "params.yaml").unlink()
    assert summary("mnist_cnn") == 0
    printed = capsys.readouterr().out
    assert cells(printed, "conv2") == ["conv2", "Conv2d", "64x14x14", "3", "1", "1", "18,496", "3.613", "8"]
    assert cells(printed, "pool2") == ["pool2", "MaxPool2d", "64x7x7", "2", "2", "0", "10"]
    assert cells(printed, "dense1") == ["dense1", "Linear", "128", "401,536", "0.401", "all"]
    assert cells(printed, "parameters") == ["parameters", "421,642", "1.7", "MB"]
    assert cells(printed, "mult-adds")[:2] == ["mult-adds", "4,241,152"]


def test_options_make_another_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert summary("mnist_cnn", "--size", "32", "--channels", "3", "--classes", "7") == 0
    printed = capsys.readouterr().out
    assert "3 x 32 x 32" in printed
    assert cells(printed, "flatten")[2] == "4096"
    assert cells(printed, "head")[2] == "7"


def test_a_model_of_the_params_file(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert summary("digit-cnn") == 0
    printed = capsys.readouterr().out
    assert "1 x 20 x 20" in printed
    assert cells(printed, "head")[2] == "10"
    assert summary("digit-cnn", "--classes", "6") == 0
    assert cells(capsys.readouterr().out, "head")[2] == "6"
    write_json(project / "data/prepared/digits/labels.json", LabelMap(("a", "b", "c"), ("a", "b", "c")).to_json())
    assert summary("digit-cnn") == 0
    assert cells(capsys.readouterr().out, "head")[2] == "3"
    assert summary("digit-cnn", "--classes", "6") == 2
    assert "labels.json already defines them; leave it out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["digit-cn"], "digit-cn: no such model or network (did you mean digit-cnn?)"),
        (["resnet18"], "(did you mean torchvision:resnet18 or timm:resnet18?)"),
        (["mnist_cn"], "did you mean mnist_cnn?"),
        (["torchvision:resnet19"], "torchvision:resnet19: no such classifier in torchvision (did you mean resnet1"),
        (["timm:resnet10x"], "did you mean resnet10t"),
        (["mnist_cnn", "--channels", "2"], "--channels: 2: must be 1 or 3"),
        (["digit-cnn", "--size", "32"], "--size: 32: already set by models.digit-cnn.input"),
        (["mnist_cnn", "--size", "2"], "2"),
        (["mnist_cnn", "--params", "other.yaml"], "other.yaml: no such file"),
    ],
)
def test_mistakes_are_told_in_a_line(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str], told: str
) -> None:
    assert summary(*words) == 2
    output = capsys.readouterr()
    assert told in output.err
    assert len(output.err.splitlines()) == 1
    assert output.out == ""


def table_of(network: nn.Module, shape: tuple[int, int, int], width: int = 100) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(layer_table(Subject("network", network, shape), inspect_network(network, shape), width))
    return capture.get()


@pytest.mark.parametrize("name", ["torchvision:googlenet", "timm:resnet10t"])
def test_tables_fit_a_hundred_columns_with_whole_names(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert summary(name) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 100
    assert "…" not in printed
    if name.startswith("timm"):
        assert "Identity" in printed.splitlines()[-1]
        assert not any(" Identity " in line for line in printed.splitlines()[:-2])


def test_long_names_lose_their_middle() -> None:
    network = nn.Sequential()
    network.add_module("a" * 40 + "b" * 40, nn.Conv2d(1, 2, 3))
    printed = table_of(network, (1, 8, 8))
    assert max(map(len, printed.splitlines())) <= 100
    (line,) = (line for line in printed.splitlines() if "Conv2d" in line)
    assert line.startswith("aaaaa")
    assert "a…b" in line
    assert line.split()[-1] == "3"


@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_windows_that_are_not_square_are_written_out() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 2, (1, 7), padding=(0, 3), stride=(1, 2)),
        nn.Conv2d(2, 2, 3, dilation=2),
        nn.Conv2d(2, 2, 4, padding="same"),
        nn.ConvTranspose2d(2, 2, 3, stride=2, padding=1),
    )
    printed = table_of(network, (1, 40, 40))
    assert cells(printed, "0")[3:6] == ["1x7", "1x2", "0x3"]
    assert cells(printed, "0")[-1] == "1x7"
    assert cells(printed, "1")[3:7] == ["3", "d2", "1", "0"]
    assert cells(printed, "2")[3:6] == ["4", "1", "1+2"]
    assert cells(printed, "3")[3:7] == ["3", "t", "2", "1"]
    for sign in ("d2: dilation 2", "t: transposed", "pad 0+1"):
        assert sign in " ".join(printed.split())


def test_help_does_not_import_torch() -> None:
    program = "import sys; from sightline.commands.cli import app; "
    program += "app(['--help'], standalone_mode=False); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    help_text, modules = ran.stdout[: ran.stdout.rindex("\n", 0, -1)], ran.stdout.splitlines()[-1].split()
    assert "summary" in help_text
    assert "typer" in modules
    assert "torch" not in modules
