"""Public formats, one file each: raw files to samples."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from sightline.config.datasets import (
    Coco,
    CsvTable,
    Dataset,
    Defects,
    Digits,
    Dota,
    Figures,
    Idx,
    ImageFolder,
    InstanceMasks,
    MaskFolder,
    Mvtec,
    Scenes,
    Strings,
    TextList,
    Via,
    Voc,
    Yolo,
)
from sightline.config.own import OwnFormat
from sightline.config.plugins import implementation
from sightline.data.raw.formats.batches import BATCHES, is_batch, with_batches
from sightline.data.raw.formats.source import Source, Unreadable, require_two_classes
from sightline.data.raw.names import is_utf8, printable
from sightline.data.structures import SplitName
from sightline.system.errors import UserError

__all__ = ["Source", "Unreadable", "open_files", "open_source", "open_whole"]


def open_source(dataset: Dataset) -> Source:
    """Return the samples of a data set; image files are opened only as they are asked for.

    Raises:
        UserError: the layout, a table or an annotation file is not what the format says, or classes do not exist.
    """
    source = open_whole(dataset)
    if dataset.classes is not None:
        from sightline.data.raw.formats.chosen import ChosenClasses

        source = ChosenClasses(source, dataset.classes, dataset.root)
    if source.sample_labels is not None:  # one class suffices for detection, but not for classification
        require_two_classes(dataset.root, source.labels)
    return source


def open_whole(dataset: Dataset) -> Source:
    """Return the samples of all classes: those of the first files, and those of the batches that were added to them.

    Raises:
        UserError: the layout, a table or an annotation file is not what the format says.
    """
    root, first = Path(dataset.root), open_files(dataset)
    if not (root / BATCHES).is_dir():
        return first
    return with_batches(first, root, lambda folder: open_files(dataset.model_copy(update={"root": str(folder)})))


def open_files(dataset: Dataset) -> Source:
    """Return the samples of the files in the root, without batches.

    Raises:
        UserError: the layout, a table or an annotation file is not what the format says.
    """
    source = _opened(dataset)
    for name in source.labels.classes:
        if not is_utf8(name):
            told = "a class whose name is not UTF-8; rename it, e.g. with `convmv -f latin1 -t utf8`"
            raise UserError(f"{dataset.root}: {printable(name)}: {told}")
    return source


def _opened(dataset: Dataset) -> Source:
    match dataset:
        case ImageFolder(root=root, classes=classes):
            from sightline.data.raw.formats.image_folder import open_image_folder

            return open_image_folder(Path(root), classes)
        case CsvTable(root=root, table=table, values=values, text=text):
            from sightline.data.raw.formats.csv_table import open_csv_table

            return open_csv_table(Path(root), table, values, text)
        case TextList(root=root, lists=lists):
            from sightline.data.raw.formats.text_list import open_text_list

            return open_text_list(Path(root), lists)
        case Idx(root=root):
            from sightline.data.raw.formats.idx import open_idx

            return open_idx(Path(root))
        case Coco() | Voc() | Yolo() | Dota() | MaskFolder() | InstanceMasks() | Via() | Mvtec():
            return _annotated(dataset)
        case Digits() | Scenes() | Figures() | Strings() | Defects():
            return _embedded(dataset)
        case OwnFormat():
            source: Source = implementation(dataset.opener)(dataset)
            return source
        case _:
            assert_never(dataset)


def _embedded(dataset: Digits | Scenes | Figures | Strings | Defects) -> Source:
    match dataset:
        case Digits():
            from sightline.data.raw.builtin import DigitsSource

            return DigitsSource()
        case Scenes(count=count, size=size, max_objects=max_objects, seed=seed, digit_size=sides, turn=turn):
            from sightline.data.raw.builtin_scenes import ScenesSource

            return ScenesSource(count, size, max_objects, seed, (sides[0], sides[1]), turn)
        case Figures(count=count, size=size, seed=seed):
            from sightline.data.raw.builtin_figures import FiguresSource

            return FiguresSource(count, size, seed)
        case Strings(root=root, split=split, seed=seed):
            from sightline.data.raw.builtin_strings import StringsSource, of_mnist, scanned

            fractions: dict[SplitName, float] = {"train": split.train, "val": split.val, "test": split.test}
            digits = of_mnist(Path(root), fractions, seed) if dataset.digits == "mnist" else scanned(fractions, seed)
            lengths = (dataset.shortest, dataset.longest)
            return StringsSource(digits, fractions, dataset.count, dataset.height, lengths, seed)
        case Defects(count=count, size=size, seed=seed):
            from sightline.data.raw.builtin_defects import DefectsSource

            return DefectsSource(count, size, seed)
        case _:
            assert_never(dataset)


def _annotated(dataset: Coco | Voc | Yolo | Dota | MaskFolder | InstanceMasks | Via | Mvtec) -> Source:
    match dataset:
        case Coco(root=root, annotations=annotations, images=images):
            from sightline.data.raw.formats.coco import open_coco

            return open_coco(Path(root), annotations, images, dataset.classes or (), dataset.crowds == "ignored")
        case Voc(root=root):
            from sightline.data.raw.formats.voc import open_voc

            return open_voc(Path(root), is_batch(Path(root)))
        case Yolo(root=root):
            from sightline.data.raw.formats.yolo import open_yolo

            return open_yolo(Path(root), is_batch(Path(root)), dataset.boxes == "oriented")
        case Dota(root=root):
            from sightline.data.raw.formats.dota import open_dota

            return open_dota(Path(root), is_batch(Path(root)))
        case MaskFolder(root=root, images=images, masks=masks, mask_suffix=suffix):
            from sightline.data.raw.formats.mask_folder import open_mask_folder

            values, ignored = dataset.mask_values(), dataset.ignored_values()
            return open_mask_folder(Path(root), images, masks, suffix, values, ignored, dataset.in_colours())
        case InstanceMasks(root=root, images=images, masks=masks, mask_suffix=suffix, class_name=name):
            from sightline.data.raw.formats.instance_masks import open_instance_masks

            return open_instance_masks(Path(root), images, masks, suffix, name)
        case Via(root=root, annotations=annotations, images=images, attribute=attribute, class_name=name):
            from sightline.data.raw.formats.via import open_via

            return open_via(Path(root), annotations, images, attribute, name)
        case Mvtec(root=root):
            from sightline.data.raw.formats.mvtec import open_mvtec

            return open_mvtec(Path(root), is_batch(Path(root)))
        case _:
            assert_never(dataset)
