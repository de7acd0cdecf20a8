"""The command line: look at params, networks and models, judge them by hand, predict, explain and serve."""

from __future__ import annotations

import sys

import typer

from sightline.commands.check import check
from sightline.commands.convert import convert
from sightline.commands.dream import dream
from sightline.commands.drift import drift
from sightline.commands.explain import explain
from sightline.commands.export import export
from sightline.commands.history import history
from sightline.commands.ingest import ingest
from sightline.commands.init import init
from sightline.commands.models import models
from sightline.commands.predict import predict
from sightline.commands.promote import promote, rollback
from sightline.commands.report import report
from sightline.commands.repro import repro
from sightline.commands.schedule import schedule
from sightline.commands.schema import schema
from sightline.commands.serve import serve
from sightline.commands.stylize import stylize
from sightline.commands.summary import summary
from sightline.commands.table import table
from sightline.commands.tune import tune
from sightline.commands.why import why
from sightline.pipeline.process import fail, set_up_process

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _root() -> None:
    """A vision model factory: images in, evaluated, gated and registered models out."""


<<<<<<< HEAD
=======
@app.command()
def models(
    params: ParamsFile = Path("params.yaml"),
    following: Annotated[bool, typer.Option("--next", help="also show the commands to type next")] = False,
) -> None:
    """Show each model with its score on the test split and its status in the registry."""
    from rich.console import Console

    from sightline.config import load_params
    from sightline.registry.outcome_table import registry_table
    from sightline.registry.outcomes import last_outcomes

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    names = load_params(params).registered()
    registered = [outcome for outcome in last_outcomes(Path()) if outcome.name in names]
    if registered:
        console.print(registry_table(registered))
    missing = [name for name in names if name not in {outcome.name for outcome in registered}]
    if missing:
        told = f"{', '.join(missing)} not registered yet" if registered else "no model is registered yet"
        console.print(f"{told}; `make repro` trains and registers the models of params.yaml", soft_wrap=True)
    if following:
        console.print("\nNext:")
        for command, told in NEXT.items():
            console.print(f"  [bold]{command:<36}[/bold] {told}", soft_wrap=True)


@app.command()
def promote(
    name: ModelName,
    reason: Annotated[str, typer.Option(help="why, for the ledger")] = "",
) -> None:
    """Make the released model the champion by hand, regardless of the gate's decision."""
    from sightline.config import load_params
    from sightline.registry.registration import promote as promote_released

    promote_released(name, load_params(Path("params.yaml")), Path(), print, reason)


@app.command()
def rollback(name: ModelName) -> None:
    """Make the previous champion the champion again."""
    from sightline.config import load_params
    from sightline.registry.registration import rollback as roll_back

    roll_back(name, load_params(Path("params.yaml")), Path(), print)


@app.command()
def export(
    dataset: Annotated[str, typer.Argument(help="a prepared data set")],
    to: Annotated[Path, typer.Option(help="the output folder")],
    split: Annotated[Literal["train", "val", "test"], typer.Option(help="which part")] = "test",
) -> None:
    """Write a split of a prepared data set as COCO: images/ and annotations.json."""
    from sightline.data.export import export_coco

    images, annotations = export_coco(Path("data/prepared") / dataset, split, to)
    print(f"{to}: {images} images, {annotations} annotations")


@app.command()
def tune(
    name: ModelName,
    seconds: Annotated[float, typer.Option(min=0, help="total time for all timings")] = 60.0,
    batch_size: Annotated[bool, typer.Option("--batch-size", help="also look for the fastest batch size")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="write without asking")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only show")] = False,
) -> None:
    """Probe settings of a model on this machine, show them, and write into params.yaml what should change."""
    from rich.console import Console

    from sightline.config import load_params
    from sightline.labs.tuning import findings_table, probe, write_changes

    file = Path("params.yaml")
    params = load_params(file)
    model = params.model(name)
    reports = Path("reports", name, "tuning")
    prepared = Path("data/prepared", model.dataset)
    augmentation = params.augmentations.get(model.augment)
    seed = params.seed_of(name)
    found = probe(model, seed, prepared, reports, augmentation=augmentation, seconds=seconds, fastest_batch=batch_size)
    Console(highlight=False, width=None if sys.stdout.isatty() else 100).print(findings_table(found))
    changes = {finding.setting: finding.suggested for finding in found if finding.changed}
    if not changes:
        print(f"{file}: nothing to change")
    elif dry_run:
        print(f"{file}: not changed, because of --dry-run")
    elif not yes and not sys.stdin.isatty():
        print(
            f"{file}: not changed, as there is no terminal to ask for confirmation; `sightline tune {name} "
            f"--yes` writes it"
        )
    elif yes or typer.confirm(f"write into {file}?"):
        write_changes(file, name, changes)
        print(f"{file}: models.{name}: wrote {', '.join(changes)}")


@app.command()
def summary(
    name: Annotated[str, typer.Argument(help="a model of params.yaml, or a network: mnist_cnn, torchvision:vgg16")],
    size: Annotated[int | None, typer.Option(min=1, help="height and width of the image, pixels")] = None,
    channels: Annotated[int | None, typer.Option(help="channels of the image, 1 or 3")] = None,
    classes: Annotated[int | None, typer.Option(min=1, help="number of classes")] = None,
    params: Annotated[Path, typer.Option(help="the params file")] = Path("params.yaml"),
) -> None:
    """Show the layers of a network: shapes, windows, parameters, multiply-adds, receptive fields."""
    from rich.console import Console

    from sightline.commands.layer_table import find_subject, layer_table
    from sightline.config import load_params
    from sightline.models.inspect.inspection import inspect_network

    read = load_params(params) if params.exists() or params != Path("params.yaml") else None
    subject = find_subject(name, read, Path("data/prepared"), size, channels, classes)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    console.print(layer_table(subject, inspect_network(subject.network, subject.shape), console.width))


@app.command()
def table(
    name: Annotated[str, typer.Argument(help="an entry of features in params.yaml, embedded by dvc repro")],
    per_class: Annotated[
        int | None, typer.Option(min=2, help="train images of every class, of all splits; default: 4/5 of train")
    ] = None,
    splits: Annotated[int, typer.Option(min=1, help="random splits to measure on")] = 3,
    kinds: Annotated[str, typer.Option(help="classifiers, separated by commas")] = "linear_svm,logistic",
    dropout: Annotated[
        float, typer.Option(min=0, max=0.95, help="share of features dropped, compared with dropping none")
    ] = 0.5,
) -> None:
    """Compare classifiers on every layer of embedded features: a study on separate splits, which registers nothing."""
    from rich.console import Console

    from sightline.config import load_params
    from sightline.labs.transfer_study import chosen_text, study_features, transfer_table

    params = load_params(Path("params.yaml"))
    own, tried = params.features_of(name), kinds.split(",")
    model = own.model()
    learned = model is not None and params.model(model).dataset == own.dataset
    report = Path("reports/features", name)
    rows, title = study_features(
        Path("data/features", name), own.layers(), report, per_class, splits, tried, dropout, learned, params.seed
    )
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    console.print(transfer_table(rows, title))
    print(f"{chosen_text(rows)}\n{report}: table.md, table.csv, tsne.png")


>>>>>>> w-english
for command in (
    check,
    convert,
    dream,
    drift,
    explain,
    export,
    history,
    ingest,
    init,
    models,
    predict,
    promote,
    report,
    repro,
    rollback,
    schedule,
    schema,
    serve,
    stylize,
    summary,
    table,
    tune,
    why,
):
    app.command()(command)


def main() -> None:
    """Run the command line; bad input and a full disk end with code 2 and no traceback."""
    set_up_process()
    try:
        app(prog_name="sightline")
    except Exception as error:
        sys.exit(fail(error))
