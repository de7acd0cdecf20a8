"""Licences of packages that are planted beside the real ones, the list of software, and what pip-audit says."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import distribution
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from sightline.commands.cli import main
from sightline.system.errors import UserError
from sightline.system.packages.installed import needed
from sightline.system.packages.licences import kind_of
from sightline.system.packages.sbom import sbom_of_installation, sbom_of_model
from sightline.system.packages.vulnerabilities import read_audit

Plant = Callable[..., None]


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Install packages that are nothing but metadata."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(str(site))

    def make(name: str, *lines: str, needs: Sequence[str] = (), version: str = "1.0") -> None:
        folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir(parents=True)
        asked = [f"Requires-Dist: {need}" for need in needs]
        text = "\n".join(["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *lines, *asked])
        (folder / "METADATA").write_text(text + "\n")

    return make


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["sightline", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("MIT", "permissive"),
        ("MPL-2.0", "weak copyleft"),
        ("LGPL-3.0-only", "weak copyleft"),
        ("GPL-3.0-or-later", "strong copyleft"),
        ("AGPL-3.0-only", "strong copyleft"),
        ("GPL-2.0-only OR MIT", "permissive"),
        ("GPL-2.0-only OR EPL-1.0", "weak copyleft"),
        ("MIT AND AGPL-3.0-only", "strong copyleft"),
        ("MIT AND (GPL-3.0-only OR BSD-3-Clause)", "permissive"),
        ("GPL-2.0-only WITH GCC-exception-2.0", "weak copyleft"),
        ("LicenseRef-NVIDIA-Proprietary", "proprietary"),
        ("SSPL-1.0", "unknown"),
        ("my own", "unknown"),
        ("MIT OR", "unknown"),
        ("", "unknown"),
    ],
)
def test_what_an_expression_means_to_those_who_build_on_it(expression: str, kind: str) -> None:
    assert kind_of(expression) == kind


@pytest.mark.parametrize(
    ("lines", "licence"),
    [
        (["License-Expression: Apache-2.0", "License: GPL"], "Apache-2.0"),
        (["License: The MIT License (MIT) Copyright (c) 2014"], "MIT"),
        (["License: BSD 3-Clause License"], "BSD-3-Clause"),
        (["License: Apache License, Version 2.0"], "Apache-2.0"),
        (["License: Copyright, all mine", "Classifier: License :: OSI Approved :: MIT License"], "MIT"),
        (["Classifier: License :: OSI Approved :: GNU Affero General Public License v3"], "AGPL-3.0-only"),
        (
            [f"Classifier: License :: OSI Approved :: {name}" for name in ("MIT License", "BSD License")],
            "MIT AND BSD-3-Clause",
        ),
        ([f"Classifier: License :: OSI Approved :: {name}" for name in ("MIT License", "Strange License")], ""),
        (["License: apache-2.0 or mit"], "Apache-2.0 OR MIT"),
        (["License: GPL"], "GPL-1.0-or-later"),
        (["License: mine"], ""),
        ([], ""),
    ],
)
def test_what_metadata_say_as_an_expression(plant: Plant, lines: list[str], licence: str) -> None:
    plant("planted", *lines)
    assert [package.licence for package in needed("planted")] == [licence]


def test_what_is_needed_follows_markers_extras_and_circles(plant: Plant) -> None:
    plant("first", needs=["Second[more]>=1", "absent; python_version < '3'", "left-out; extra == 'tests'"])
    plant("second", needs=["third; extra == 'more'", "left-out; extra == 'other'", "first"])
    plant("third")
    plant("left-out")
    found = {package.name: package.needs for package in needed("first")}
    assert found == {"first": ("second",), "second": ("first", "third"), "third": ()}
    assert "left-out" in {package.name for package in needed("first", ["tests"])}
    plant("broken", needs=["nowhere"])
    with pytest.raises(LookupError, match="nowhere: is not installed, but broken needs it"):
        needed("broken")


def test_nothing_that_runs_here_is_of_strong_copyleft_or_unknown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, "packages", "--sbom", str(tmp_path / "made" / "sbom.json")) == 0
    shown = capsys.readouterr().out
    counts = re.search(r"(\d+) packages: (\d+) permissive", shown)
    assert counts is not None
    assert int(counts[1]) > 200
    found = json.loads((tmp_path / "made" / "sbom.json").read_text())
    assert len(found["components"]) == int(counts[1]) - 1  # all but Sightline, which the list is of


@pytest.mark.parametrize("lines", [["License-Expression: AGPL-3.0-or-later"], ["License: ask me"], []])
def test_a_package_that_nothing_may_be_built_on_ends_with_code_2(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lines: list[str]
) -> None:
    plant("sightline", "License-Expression: Apache-2.0", needs=["planted-one"])
    plant("planted-one", *lines)
    assert run(monkeypatch, "packages") == 2
    captured = capsys.readouterr()
    assert "planted-one 1.0: " in captured.err
    assert "Traceback" not in captured.err


def test_lists_of_software_keep_to_cyclonedx_and_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    (tmp_path / "model" / "int8").mkdir(parents=True)
    (tmp_path / "model" / "weights.safetensors").write_bytes(b"abc")
    (tmp_path / "model" / "int8" / "model.onnx").write_bytes(b"")
    packages = needed("sightline")
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    whole = sbom_of_installation(packages)
    of_model = sbom_of_model("net", "v1", tmp_path / "model", packages)
    assert validator.validate_str(whole) is None
    assert validator.validate_str(of_model) is None
    assert sbom_of_model("net", "v1", tmp_path / "model", needed("sightline")) == of_model
    other = sbom_of_model("net", "v2", tmp_path / "model", packages)
    serials = {json.loads(text)["serialNumber"] for text in (whole, of_model, other)}
    assert len(serials) == 3
    found = json.loads(of_model)
    assert found["metadata"]["component"]["type"] == "machine-learning-model"
    files = {one["name"]: one["hashes"][0]["content"] for one in found["metadata"]["component"]["components"]}
    assert files["weights.safetensors"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert set(files) == {"weights.safetensors", "int8/model.onnx"}
    versions = {one["name"]: one["version"] for one in found["components"]}
    assert versions == {package.name: package.version for package in packages}
    assert versions["torch"] == distribution("torch").version
    needs = {one["ref"]: one.get("dependsOn", []) for one in found["dependencies"]}
    [own] = needs["model:net@v1"]
    assert own.startswith("pkg:pypi/sightline@")
    assert any(one.startswith("pkg:pypi/torch@") for one in needs[own])


def test_what_pip_audit_finds_and_what_it_skips(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant("sightline", "License-Expression: Apache-2.0")
    file = tmp_path / "audit.json"
    bad = {"name": "bad", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}
    good = {"name": "good", "version": "1", "vulns": []}
    skipped = {"name": "skipped", "skip_reason": "not found"}
    for packages, code, words in (
        ([good, skipped], 0, "0 of 1 packages that were looked up are vulnerable; 1 could not be looked up: skipped"),
        ([good, bad], 2, "1 of 2 packages that were looked up are vulnerable"),
        ([skipped], 0, "nothing could be looked up"),
        ([], 0, "nothing could be looked up"),
    ):
        file.write_text(json.dumps({"dependencies": packages}))
        assert run(monkeypatch, "packages", "--audit", str(file)) == code
        captured = capsys.readouterr()
        assert words in captured.out.replace("\n", " ")
        assert ("bad 1: PYSEC-1: vulnerable" in captured.err) == (code == 2)
    for content in ("[]", "{}", "no"):
        file.write_text(content)
        with pytest.raises(UserError, match="is not what"):
            read_audit(file)
    with pytest.raises(UserError, match="no such file"):
        read_audit(tmp_path / "absent.json")
