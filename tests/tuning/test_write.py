"""Changing values of params.yaml leaves every other byte and every other model as it was."""

import difflib
from pathlib import Path

import pytest

from sightline.config import load_params
from sightline.labs.tuning.findings import Value
from sightline.labs.tuning.write import changed_text, write_changes
from sightline.system.errors import UserError

ROOT = Path(__file__).parents[2]
HEAD = """\
# made by hand
seed: 7
datasets:
    digits: {format: digits,   root: data/embedded}   # four spaces
trainer: {batch_size: 32, precision: auto}
evaluation: {}
"""
PLAIN = (
    HEAD
    + """\
models:
    first:      # the first one
        dataset: digits
        task:
            kind: classification
            architecture: timm:resnet10t
        weights: random
        input: {size: 28, channels: 1}
        augment: none
        optimizer:
            name: "adam"     # aligned
            lr:   1.0e-3     # why not
        trainer:
            early_stopping: null
            precision: '32'
    # about the second one

    second:
        dataset: digits
        task: {kind: classification, architecture: mlp}
        weights: random
        input: {size: 28, channels: 1}
        augment: none
        optimizer: { name: adam, lr: 0.001, }
        # the end
"""
)
MERGED = (
    HEAD
    + """\
models:
  base: &base
    dataset: digits
    task: {kind: classification, architecture: mlp}
    weights: random
    input: {size: 28, channels: 1}
    augment: none
    optimizer: {name: adam, lr: 0.001, betas: [0.8, 0.99]}
    trainer: {max_epochs: 3, strategy: "ddp"}
  child:
    <<: *base
    weights: random
  alias: *base
"""
)


def changed(text: str, model: str, changes: dict[str, Value]) -> list[str]:
    """Lines that a change takes away or adds."""
    lines = difflib.ndiff(text.splitlines(), changed_text(text, model, changes, "params.yaml").splitlines())
    return [line for line in lines if line[0] in "+-"]


def test_a_value_is_changed_in_its_place() -> None:
    assert changed(PLAIN, "first", {"optimizer.lr": 0.0034}) == [
        "-             lr:   1.0e-3     # why not",
        "+             lr:   0.0034     # why not",
    ]
    assert changed(PLAIN, "second", {"optimizer.lr": 1e-5}) == [
        "-         optimizer: { name: adam, lr: 0.001, }",
        "+         optimizer: { name: adam, lr: 1e-05, }",
    ]


def test_a_section_of_several_lines_is_replaced_as_a_whole() -> None:
    text = "models:\n  net:\n    input:\n      size: 8\n      channels: 1\n    trainer:\n      max_epochs: 2\n"
    new = changed_text(text, "net", {"input": {"size": 4, "channels": 3}}, "params.yaml")
    assert new.startswith("models:\n  net:\n    input:\n      {")
    assert new.endswith("}\n    trainer:\n      max_epochs: 2\n")


def test_quotes_stay_where_they_matter() -> None:
    assert "+             precision: 'bf16'" in changed(PLAIN, "first", {"trainer.precision": "bf16"})
    assert '+         trainer: {precision: "32"}' in changed(PLAIN, "second", {"trainer.precision": "32"})


def test_new_keys_go_to_the_end_of_their_section() -> None:
    assert changed(PLAIN, "first", {"trainer.num_workers": 2, "trainer.layout": "channels_last"}) == [
        "+             num_workers: 2",
        "+             layout: channels_last",
    ]
    text = changed_text(PLAIN, "second", {"trainer.num_workers": 2, "trainer.batch_size": 16}, "params.yaml")
    assert text == PLAIN.replace("lr: 0.001, }\n", "lr: 0.001, }\n        trainer: {num_workers: 2, batch_size: 16}\n")
    without = PLAIN.replace(" lr: 0.001, }", "}")
    assert "+         optimizer: { name: adam, lr: 0.01}" in changed(without, "second", {"optimizer.lr": 0.01})


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_file_keeps_its_line_ends(tmp_path: Path, newline: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_bytes(PLAIN.replace("\n", newline).rstrip().encode())  # no newline at the end
    write_changes(file, "second", {"optimizer.lr": 0.01, "trainer.num_workers": 1})
    written = file.read_bytes().decode()
    assert written.count("\n") == written.count(newline)
    model = load_params(file).model("second")
    assert (model.optimizer.lr, model.trainer.num_workers, model.trainer.batch_size) == (0.01, 1, 32)


def test_a_model_that_inherits_gets_keys_of_its_own() -> None:
    assert changed(MERGED, "child", {"optimizer.lr": 0.01, "trainer.num_workers": 2}) == [
        "+     optimizer: {name: adam, lr: 0.01, betas: [0.8, 0.99]}",
        "+     trainer: {max_epochs: 3, strategy: ddp, num_workers: 2}",
    ]
    assert changed(MERGED, "alias", {"optimizer.lr": 0.01}) == [
        "-   alias: *base",
        "+   alias: {<<: *base, optimizer: {name: adam, lr: 0.01, betas: [0.8, 0.99]}}",
    ]


def test_an_aliased_section_is_merged_instead() -> None:
    text = MERGED.replace("optimizer: {", "optimizer: &adam {").replace(
        "    weights: random\n  alias: *base", "    optimizer: *adam  # as above"
    )
    assert changed(text, "child", {"optimizer.lr": 0.01}) == [
        "-     optimizer: *adam  # as above",
        "+     optimizer: {<<: *adam, lr: 0.01}  # as above",
    ]
    rate = text.replace("lr: 0.001", "lr: &rate 0.001").replace("*adam  # as above", "{name: sgd, lr: *rate}")
    assert "+     optimizer: {name: sgd, lr: 0.01}" in changed(rate, "child", {"optimizer.lr": 0.01})


def test_a_value_that_others_take_from_here_is_refused() -> None:
    with pytest.raises(
        UserError,
        match=r"models\.base: shares them with child, alias through a YAML "
        r"anchor.*lr: 0\.01",
    ):
        changed_text(MERGED, "base", {"optimizer.lr": 0.01}, "params.yaml")
    anchored = MERGED.replace("lr: 0.001", "lr: &rate 0.001").replace(
        "  alias: *base", "    optimizer: {name: sgd, lr: *rate}"
    )
    with pytest.raises(UserError, match="set these by hand"):
        changed_text(anchored, "base", {"optimizer.lr": 0.01}, "params.yaml")


def test_what_comes_out_is_a_valid_file_or_nothing(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(MERGED)
    with pytest.raises(UserError, match="num_workers"):
        write_changes(file, "child", {"trainer.num_workers": 1000})
    assert file.read_text() == MERGED
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("path", ["params.yaml", "examples/flowers.yaml"])
def test_the_projects_own_files_can_be_changed(path: str) -> None:
    text = (ROOT / path).read_text()
    for model in load_params(ROOT / path).models:
        lines = changed(text, model, {"optimizer.lr": 0.0123, "trainer.num_workers": 3, "trainer.precision": "bf16"})
        assert len(lines) in (3, 4)  # the optimizer's line, and trainer's, which is new or not
        assert sum("lr: 0.0123" in line for line in lines) == 1
