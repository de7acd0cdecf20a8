"""How the tests are shared out: a file whose tests build on each other stays in one process."""

import pytest


def test_a_file_stays_in_one_process(request: pytest.FixtureRequest, worker_id: str) -> None:
    """The group is the end of the id by which pytest-xdist shares tests out; some pytest loses it silently."""
    if worker_id == "master":
        pytest.skip("one process runs all tests")
    assert request.node.nodeid.endswith("@test_groups.py")
