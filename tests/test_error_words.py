"""What errors are told with: their first line, and the words that may have been meant."""

import pytest

from sightline.system.errors import first_line, meant, nearest


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError("\n  one\ntwo"), "one"),
        (ValueError(), "ValueError"),
        (KeyError(""), "''"),
    ],
)
def test_an_error_is_told_in_a_line(error: Exception, told: str) -> None:
    assert first_line(error) == told


def test_words_that_may_have_been_meant_are_named() -> None:
    known = {"conv1": 1, "conv2": 2, "pool": 3}
    assert nearest("conf1", known) == " (did you mean conv1?)"
    assert nearest("conf1", known, most=3) == " (did you mean conv1 or conv2?)"
    assert nearest("dense", known, otherwise=" (there are 3)") == " (there are 3)"
    assert nearest("dense", known) == meant([]) == ""
