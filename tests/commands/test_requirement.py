"""A new project names the source that its Sightline was installed from."""

from __future__ import annotations

import json
from typing import Any

import pytest
from packaging.requirements import Requirement

from sightline.commands.requirement import requirement, requirements
from sightline.system.version import VERSION

GIT = {"url": "https://git.example/team/sightline", "vcs_info": {"vcs": "git", "commit_id": "1f3c" * 10}}
FOLDER = {"url": "file:///home/me/my%20sightline", "dir_info": {}}
WHEEL = {"url": "https://files.example/sightline-0.1.0-py3-none-any.whl", "archive_info": {}}


@pytest.mark.parametrize(
    ("noted", "url"),
    [
        (GIT, f"git+https://git.example/team/sightline@{'1f3c' * 10}"),
        (
            {**GIT, "subdirectory": "python"},
            f"git+https://git.example/team/sightline@{'1f3c' * 10}#subdirectory=python",
        ),
        (FOLDER, FOLDER["url"]),
        ({**FOLDER, "dir_info": {"editable": True}}, FOLDER["url"]),
        (WHEEL, WHEEL["url"]),
    ],
)
def test_the_line_installs_the_same_again(noted: dict[str, Any], url: str) -> None:
    line = requirement(json.dumps(noted))
    assert Requirement(line).name == "sightline"
    assert Requirement(line).url == url


def test_from_an_index_it_is_the_version() -> None:
    assert requirement(None) == f"sightline=={VERSION}"


@pytest.mark.parametrize(
    ("noted", "told"),
    [(None, "does not have Sightline"), (FOLDER, "path of this machine"), (GIT, "install the same")],
)
def test_a_comment_says_what_to_do(noted: dict[str, Any] | None, told: str) -> None:
    text = requirements(None if noted is None else json.dumps(noted))
    *comment, line = text.splitlines()
    assert all(one.startswith("#") for one in comment)
    assert told in " ".join(comment)
    assert Requirement(line).name == "sightline"
