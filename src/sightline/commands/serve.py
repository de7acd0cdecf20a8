"""`sightline serve`: a model behind HTTP, and its page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def serve(
    model: Annotated[str, typer.Argument(help="a model's folder or name, NAME@champion, NAME@challenger or NAME/3")],
    host: Annotated[
        str, typer.Option(help="address to listen on; 0.0.0.0 for all addresses of this machine")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free port")] = 8080,
    max_batch: Annotated[int, typer.Option(min=1, help="most images in a batch")] = 8,
    max_wait_ms: Annotated[
        float, typer.Option(min=0, help="milliseconds that an image waits for others in its batch")
    ] = 0.0,
    max_queue: Annotated[int, typer.Option(min=1, help="most images that may wait; further ones get a 503")] = 512,
    max_body_mb: Annotated[float, typer.Option(min=0.001, help="most megabytes in a request")] = 32.0,
    max_megapixels: Annotated[float, typer.Option(min=0.001, help="largest image accepted, by its header")] = 50.0,
    timeout: Annotated[float, typer.Option(min=0.001, help="seconds until a request times out with a 504")] = 30.0,
    workers: Annotated[
        int,
        typer.Option(min=0, help="threads that decode and predict, each with separate batches; 0: as suits the model"),
    ] = 0,
    engine: Annotated[
        Literal["auto", "torch", "onnx", "int8"], typer.Option(help="what runs the model; int8: model.int8.onnx")
    ] = "auto",
    token: Annotated[
        Path | None, typer.Option(help="file with the token that requests must carry; made where it is missing")
    ] = None,
    poll: Annotated[float, typer.Option(min=0.1, help="seconds between checks for a new champion")] = 5.0,
) -> None:
    """Answer images over HTTP with a model, and show a page to try it; a new champion takes over without a restart."""
    from sightline.evaluation.lanes import worthwhile_lanes
    from sightline.operations.serve import (
        Batching,
        Following,
        Limits,
        build_service,
        listening_here,
        load_served,
        open_port,
        read_token,
        run_server,
    )
    from sightline.operations.serve.served_model import ServedModel
    from sightline.registry.resolving import champion_version, resolve_model
    from sightline.system.processors import usable_processors

    root = Path()
    listening = open_port(host, port)  # first, as a port that is taken is found at once
    secret = None if token is None else read_token(token)
    workers = workers or worthwhile_lanes(resolve_model(model, root).folder, engine)

    def load() -> ServedModel:
        resolved = resolve_model(model, root)
        threads = max(1, usable_processors() // workers)
        return load_served(resolved.folder, resolved.name, resolved.version or "", threads, engine)

    limits = Limits(max_body_mb, megapixels=max_megapixels, queue=max_queue, seconds=timeout)
    first = load()
    following = None
    if model.endswith("@champion"):
        following = Following(lambda: champion_version(first.name, root), load, poll)
    app = build_service(first, limits, Batching(max_batch, max_wait_ms, workers), following, secret)
    version = f" version {first.version}" if first.version else ""
    address = f"http://{host}:{listening.getsockname()[1]}"
    print(f"{first.name}{version}: {address} (page), {address}/predict; ctrl-c ends it", flush=True)
    if token is not None:
        print(f"requests need the token in {token}: Authorization: Bearer TOKEN", flush=True)
    elif not listening_here(listening):
        print("whoever reaches this address may ask the model; --token FILE keeps others out", flush=True)
    run_server(app, listening)
