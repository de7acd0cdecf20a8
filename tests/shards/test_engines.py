"""Work over shards: the same bytes by any number of workers, nothing done twice, and dead workers survived."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from raw_folders import contents

from sightline.system.errors import UserError
from sightline.system.shards.engines import Engine, Local, engine_of, run
from sightline.system.shards.work import Work, open_folder

SHARDS = [[number, number + 1] for number in range(0, 20, 2)]


def squares(tmp_path: Path, **settings: Any) -> Work:
    return Work("shard_functions:squares", {"factor": 3, "log": str(tmp_path / "log"), **settings}, SHARDS, ".txt")


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_the_results_are_the_same_by_any_number_of_workers(tmp_path: Path) -> None:
    found = []
    for count in (1, 3):
        done: list[int] = []
        assert run(squares(tmp_path), tmp_path / f"out{count}", Local(count), done.append) == 0
        assert sorted(done) == list(range(10))
        found.append(contents(tmp_path / f"out{count}"))
    assert (
        found[0]
        == found[1]
        == {f"part-{number:05}.txt": f"{3 * a**2} {3 * b**2}".encode() for number, (a, b) in enumerate(SHARDS)}
    )


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    work, folder = squares(tmp_path), tmp_path / "out"
    run(work, folder, Local(2))
    whole = contents(folder)
    with pytest.raises(UserError, match="out: exists and is not empty; give a new folder"):
        run(work, folder, Local(2))
    shutil.rmtree(folder)
    assert open_folder(work, folder) == list(range(10))  # as a run that is killed leaves it
    for number in (1, 4, 5):
        (folder / f"part-{number:05}.txt").write_bytes(whole[f"part-{number:05}.txt"])
    (folder / ".part-00002.4194305.new.txt").write_text("3")
    (tmp_path / "log").unlink()
    done: list[int] = []
    assert run(work, folder, Local(1), done.append) == 3
    assert done == [1, 4, 5, 0, 2, 3, 6, 7, 8, 9]
    assert sorted(map(int, lines(tmp_path / "log"))) == [0, 4, 6, 12, 14, 16, 18]
    assert contents(folder) == whole


def test_other_work_does_not_go_on_with_the_results(tmp_path: Path) -> None:
    work, folder = squares(tmp_path), tmp_path / "out"
    open_folder(work, folder)
    for other in (squares(tmp_path, factor=4), replace(work, shards=SHARDS[:5]), replace(work, suffix=".text")):
        with pytest.raises(UserError, match="holds unfinished results of other files, another model or other settings"):
            run(other, folder, Local(1))
    assert open_folder(work, folder) == list(range(10))


@pytest.mark.parametrize(("deaths", "survives"), [(2, True), (3, False)])
def test_a_shard_whose_worker_dies_is_done_again_but_not_for_ever(tmp_path: Path, deaths: int, survives: bool) -> None:
    (tmp_path / "marks").mkdir()
    settings = {"marks": str(tmp_path / "marks"), "bad": 8, "deaths": deaths}
    work, folder = Work("shard_functions:fragile", settings, SHARDS, ".txt"), tmp_path / "out"
    if not survives:
        with pytest.raises(UserError, match=r"^shard 4 of 10: its worker died 3 times, .* what is done stays$"):
            run(work, folder, Local(1))
        assert run(work, folder, Local(1)) >= 4  # goes on, as the message says
    else:
        run(work, folder, Local(2))
    assert contents(folder) == {f"part-{number:05}.txt": str(shard).encode() for number, shard in enumerate(SHARDS)}


def test_bad_input_ends_the_run_and_what_is_done_stays(tmp_path: Path) -> None:
    work = Work("shard_functions:refused", {"bad": 6}, SHARDS, ".txt")
    with pytest.raises(UserError, match=r"^6: is bad; mend it$"):
        run(work, tmp_path / "out", Local(1))
    assert open_folder(work, tmp_path / "out") == list(range(3, 10))


@pytest.mark.parametrize("text", ["", "local:0", "locals", "ray:/x", "ray://", "http://a"])
def test_texts_that_name_no_engine_are_refused(text: str) -> None:
    with pytest.raises(UserError, match=r"^--workers .*: expected local or local:N"):
        engine_of(text)
    engine: Engine = engine_of("local:3")
    assert isinstance(engine, Local)
    assert engine.count == 3
