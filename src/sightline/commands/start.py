"""`sightline start`: a folder of images becomes a data set and models in params.yaml."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sightline.system.errors import UserError

if TYPE_CHECKING:
    from sightline.data.raw.recognition import Candidate
    from sightline.labs.start.facts import Facts
    from sightline.labs.start.starting import Started

_NO_NAME = re.compile(r"[^a-z0-9_-]+")
_NEEDS = {
    "classification": "a class per image: folders, or a table",
    "multilabel": "a table with several classes per image",
    "regression": "a table with a column of numbers",
    "localization": "boxes: COCO, VOC, YOLO",
    "detection": "boxes: COCO, VOC, YOLO, DOTA, VIA",
    "instance_segmentation": "outlines: COCO, VIA, YOLO, or a mask with numbered objects per image",
    "semantic_segmentation": "a mask per image",
    "keypoints": "key points: COCO, YOLO",
    "text_recognition": "a text per image: a table with a column text, or lists of paths and texts",
    "anomaly": "good images alone in train/good, as MVTec AD has them",
}
_FRESH = """\
# yaml-language-server: $schema=.sightline/params.schema.json
# Your data sets and models. `sightline check --full` prints every value, also those that are not here, and why.
"""


def start(
    folder: Annotated[Path, typer.Argument(help="images and what is known of them, in any format that is read")],
    name: Annotated[str | None, typer.Option(help="name of the data set; default: that of the folder")] = None,
    minutes: Annotated[float, typer.Option(min=1, help="time for everything that will run")] = 20.0,
    task: Annotated[str | None, typer.Option(help="what is to be learned, where the files leave a choice")] = None,
    project: Annotated[Path, typer.Option(help="folder of the project, made if it is none yet")] = Path(),
    data: Annotated[str, typer.Option(help="copy, link, in-place, or auto: how images get into data/raw")] = "auto",
    mirror: Annotated[
        bool | None,
        typer.Option(help="whether mirrored images are as good as the others; default: asked, otherwise no"),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE of the data set's entry that is settled, e.g. format=csv"),
    ] = None,
) -> None:
    """Recognise a folder of images, choose models that fit it and the time, and write both into params.yaml."""
    from sightline.data.raw.recognition import recognise

    if data not in ("auto", "copy", "link", "in-place"):
        raise UserError(f"--data {data}: not one of auto, copy, link, in-place")
    given, folder = folder, folder.resolve()
    name = _name_of(folder) if name is None else _checked_name(name)
    place = project.resolve()
    if place.is_relative_to(folder):
        raise UserError(f"--project {project}: the project cannot be in the folder of the images; name another folder")
    found = recognise(folder, _settled(settings or ()))
    candidate = _chosen(folder, found)
    if len(candidate.tasks) > 1 and task is None and sys.stdin.isatty():
        print(f"{given}: {candidate.seen}")
    kind = _task(folder, candidate, task)
    print(f"{given}: {candidate.seen}: {kind.replace('_', ' ')}")
    with _entered(project):
        from sightline.labs.start.starting import start as begin

        done = begin(
            folder,
            candidate,
            kind,
            project=Path(),
            text=_text(),
            name=name,
            minutes=minutes,
            way=data,  # type: ignore[arg-type]  # checked above
            mirror=_asker(mirror),
            tell=print,
        )
    _show(done, project)


def _name_of(folder: Path) -> str:
    name = _NO_NAME.sub("-", folder.name.lower()).strip("-_")
    if not name:
        raise UserError(f"{folder}: its name gives no name for a data set; choose one with --name")
    return name[:40]


def _checked_name(name: str) -> str:
    from sightline.config.base import NAME_RULE

    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", name):
        raise UserError(f"--name {name!r}: use at most 40 {NAME_RULE}")
    return name


def _settled(settings: Sequence[str]) -> dict[str, Any]:
    from ruamel.yaml import YAML

    settled = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise UserError(f"--set {setting}: expected KEY=VALUE, e.g. format=csv")
        settled[key] = YAML(typ="safe").load(value)
    return settled


def _chosen(folder: Path, found: Sequence[Candidate]) -> Candidate:
    """Return the one that is meant.

    Raises:
        UserError: several may be, and there is nobody to ask.
    """
    if len(found) == 1:
        return found[0]
    keys = [_difference(candidate, found) for candidate in found]
    shown = [
        f"{number}. {one.seen}: {one.tasks[0]} (--set {key})"
        for number, (one, key) in enumerate(zip(found, keys, strict=True), 1)
    ]
    if not sys.stdin.isatty():
        raise UserError([f"{folder}: may be read in {len(found)} ways; choose one with --set:", *shown])
    print(f"{folder}: may be read in {len(found)} ways:", *shown, sep="\n")
    return found[_asked("which one", [str(number) for number in range(1, len(found) + 1)])]


def _difference(candidate: Candidate, found: Sequence[Candidate]) -> str:
    """Return the setting that distinguishes a candidate from the others."""
    for key, value in candidate.section.items():
        others = [other.section.get(key) for other in found if other is not candidate]
        if value not in others:
            return f"{key}={value if not isinstance(value, list) else '[' + ', '.join(map(str, value)) + ']'}"
    return f"format={candidate.section['format']}"


def _task(folder: Path, candidate: Candidate, wanted: str | None) -> str:
    """Return the kind of task.

    Raises:
        UserError: the files do not teach what is wanted, or they leave a choice and there is nobody to ask.
    """
    possible = [*candidate.tasks, *(["localization"] if "detection" in candidate.tasks else [])]
    if wanted is not None:
        if wanted not in possible:
            more = f"; {wanted.replace('_', ' ')} needs {_NEEDS[wanted]}" if wanted in _NEEDS else ""
            known = "" if more else f"; kinds of task are {', '.join(sorted(_NEEDS))}"
            teaches = " or ".join(candidate.tasks)
            raise UserError(f"--task {wanted}: {candidate.seen}: this teaches {teaches}{more}{known}")
        return wanted
    if len(candidate.tasks) == 1:
        return candidate.tasks[0]
    if not sys.stdin.isatty():
        choices = " or ".join(f"--task {kind}" for kind in candidate.tasks)
        raise UserError(f"{folder}: {candidate.seen}: may teach {' or '.join(candidate.tasks)}; choose with {choices}")
    return candidate.tasks[_asked(f"what is to be learned ({', '.join(candidate.tasks)})", candidate.tasks)]


def _asked(question: str, answers: Sequence[str]) -> int:
    """Ask until one of the answers is given; return its position."""
    while (answer := str(typer.prompt(question)).strip()) not in answers:
        print(f"{answer!r}: expected one of {', '.join(answers)}")
    return answers.index(answer)


@contextmanager
def _entered(project: Path) -> Iterator[None]:
    """Go into the project's folder. Where it is none, it is made one, which is gone again if the block fails."""
    if (project / "params.yaml").is_file():
        os.chdir(project)
        yield
        return
    from sightline.commands.init import make_project
    from sightline.commands.skeleton import skeleton

    if project.is_dir() and any(not path.name.startswith(".") for path in project.iterdir()):
        raise UserError(
            f"{project.resolve()}: not empty and no project (params.yaml is missing); name a new folder for one, "
            "e.g. --project shop, or make this one a project with `sightline init`"
        )
    place = project.resolve()
    before = set(place.iterdir()) if place.is_dir() else None
    make_project(project, skeleton())
    os.chdir(place)
    try:
        yield
    except BaseException:
        os.chdir(place.parent)
        for path in set(place.iterdir()) - (before or set()):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if before is None:
            place.rmdir()
        raise
    print(f"{project}: a new project, with DVC{' and git' if Path('.git').is_dir() else ''}")


def _text() -> str:
    """Return the text to which entries are added; the examples of a new project give way."""
    from sightline.commands.skeleton import skeleton

    content = Path("params.yaml").read_bytes()
    return _FRESH if content == skeleton()["params.yaml"] else content.decode("utf-8")


def _asker(mirror: bool | None) -> Callable[[Facts], bool]:
    if mirror is None and sys.stdin.isatty():
        print("after a look at the images there may be one question, or say --mirror or --no-mirror now", flush=True)

    def answer(facts: Facts) -> bool:
        if mirror is not None:
            return mirror
        if facts.unsafe_mirror() or not sys.stdin.isatty():
            return False
        return typer.confirm("are mirrored images as good as the others (no text, no left and right)?", default=False)

    return answer


def _show(done: Started, project: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "expected minutes", title=f"Written into params.yaml for {done.name}")
    for model in done.models:
        own = [value for stage, value in done.seconds.items() if stage.endswith(f"@{model}")]
        own += [done.seconds.get(f"embed@{done.name}-features", 0.0)] if f"fit_head@{model}" in done.seconds else []
        table.add_row(model, f"{sum(own) / 60:.1f}")
    total = sum(done.seconds.values()) / 60
    table.add_row("everything", f"{total:.1f}", style="bold")
    Console(highlight=False, width=None if sys.stdout.isatty() else 100).print(table)
    for note in done.notes:
        print(f"note: {note}")
    where = "" if project == Path() else f"cd {shlex.quote(str(project))} && "
    print(f"Next: {where}dvc repro     (or sightline repro; about {total:.0f} min; reasons are in params.yaml)")
    best = ", which names the best and how to use it" if len(done.models) > 1 else ""
    print(f"Then: git add -A && git commit; sightline models{best}; reports/index.html shows what came of it")
