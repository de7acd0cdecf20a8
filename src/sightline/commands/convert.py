"""`sightline convert`: a model's network as one file for other programs."""

from __future__ import annotations

from pathlib import Path
from shutil import copyfile
from typing import Annotated, Literal

import typer


def convert(
    model: Annotated[str, typer.Argument(help="a model folder, NAME, NAME@champion, NAME/3 or models:/NAME@champion")],
    to: Annotated[Literal["onnx", "int8", "torch-export", "openvino"], typer.Option(help="the format")],
    out: Annotated[
        Path, typer.Option(help="the file to write: .onnx, .pt2 for torch-export, .xml for openvino (weights: .bin)")
    ],
) -> None:
    """Write a network, normalisation and label map included, as ONNX, program of torch.export or OpenVINO IR."""
    from sightline.registry.resolving import resolve_model
    from sightline.system.errors import UserError
    from sightline.system.files import new_file
    from sightline.training.artifact.detector import DETECTOR
    from sightline.training.artifact.folder import ONNX, read_model
    from sightline.training.artifact.int8 import INT8, int8_folder, read_int8
    from sightline.training.artifact.onnx import write_onnx, write_torch_export
    from sightline.training.artifact.openvino import write_openvino
    from sightline.training.heads.artifact import holds_head

    folder = resolve_model(model, Path()).folder
    if holds_head(folder):
        raise UserError(
            f"{model}: a head is not a network (it is features and a scikit-learn classifier), so it has no graph"
        )
    task, card = read_model(folder)
    match to:
        case "onnx" if card.onnx_sha256:
            with new_file(out) as work:  # the very file that was compared with the network
                copyfile(folder / ONNX, work)
        case "int8":
            read_int8(folder, card)  # refuses one that is not there, or not this model's
            with new_file(out) as work:
                copyfile(int8_folder(folder) / INT8, work)
        case "onnx":
            write_onnx(task, card.input.extent, card.input.channels, out, card.tiling)
        case "openvino":
            if not card.onnx_sha256:
                raise UserError(f"{model}: it has no model.onnx, which OpenVINO would read")
            write_openvino(folder / ONNX, card.input.extent, card.input.channels, out)
        case "torch-export":
            write_torch_export(task, card.input.extent, card.input.channels, out, card.tiling)
    if card.crop_by is not None:
        print(f"{model}: the network sees crops; the detector that finds them is a model too: {folder / DETECTOR}")
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
