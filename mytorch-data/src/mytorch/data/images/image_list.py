"""Which images there are in a folder or a table, and of which class each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mytorch.data.images.errors import ImageError
from mytorch.data.table.errors import listed, shown
from mytorch.data.table.open_table import SUFFIXES as TABLES
from mytorch.data.table.open_table import open_table, refuse_address, table_suffix
from mytorch.data.table.reading import Reading
from mytorch.plugins import FileError, nearest

SUFFIXES = (".png", ".jpg", ".jpeg")
"""Endings of images, in small letters; files with others are left alone."""


@dataclass(frozen=True)
class ImageList:
    """Files of images, their names and the name of the class of each; no labels where nobody asked for them."""

    files: list[Path]
    names: list[str]
    labels: list[str] | None


def list_images(path: Path, columns: tuple[str, str], classes: Sequence[str] | None, targets: bool) -> ImageList:
    """The images of a folder, of a table with a line for each, or a single image.

    columns: of a table, those of the files and of the classes. Files are named from the table's folder.
    classes: those of the training, of which a folder need not have all; None if each folder must have images.
    targets: whether their classes are wanted; if not, images may lie anywhere in the folder.
    Raises ImageError for a folder without images or without classes, FileError for no such folder or file.
    """
    refuse_address(path)
    if path.is_dir():
        return _in_classes(path, classes) if targets else _anywhere(path)
    if not path.is_file():
        raise FileError(f"{path}: must be a folder of images or a table of their paths, got no such file or folder")
    if _is_image(path):
        if targets:
            raise ImageError(f"{path}: must be a folder with a folder for each class, got an image")
        return ImageList([path], [path.name], None)
    if table_suffix(path) not in TABLES:
        raise ImageError(f"{path}: must be a folder of images or a table such as labels.csv, got a file of neither")
    return _in_table(path, columns, targets)


def class_folders(path: Path) -> list[Path]:
    """The folders in a folder, in the order of their names, without hidden ones."""
    return sorted(entry for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def images_in(path: Path) -> list[Path]:
    """The images in a folder and in the folders within it, in the order of their names."""
    return sorted(file for file in path.rglob("*") if _is_image(file) and not file.name.startswith("."))


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _in_classes(path: Path, classes: Sequence[str] | None) -> ImageList:
    """The images of class folders."""
    folders = class_folders(path)
    loose = [file.name for file in sorted(path.iterdir()) if _is_image(file)]
    if not folders:
        got = f"{len(loose)} images without a class" if loose else "no folder in it"
        raise ImageError(f"{path}: must have a folder for each class, such as {path}/cat/1.png, got {got}")
    if loose:
        raise ImageError(f"{path}: every image must be in the folder of its class, got {listed(loose)} beside them")
    if classes is None and len(folders) == 1:
        raise ImageError(
            f"{path}: must have a folder for each of at least two classes, got one alone: {shown(folders[0].name)}"
        )
    found = {folder.name: images_in(folder) for folder in folders}
    if classes is None and (empty := [name for name, files in found.items() if not files]):
        raise ImageError(
            f"{path}: every class folder must have a PNG or JPEG image, got none in {listed(empty)}; put images "
            "there, or remove the folder"
        )
    files = [file for held in found.values() for file in held]
    if not files:
        raise _none(path)
    labels = [name for name, held in found.items() for _ in held]
    return ImageList(files, _named(path, files), labels)


def _anywhere(path: Path) -> ImageList:
    files = images_in(path)
    if not files:
        raise _none(path)
    return ImageList(files, _named(path, files), None)


def _none(path: Path) -> ImageError:
    others = sum(file.is_file() for file in path.rglob("*"))
    got = f"{others} files of other kinds" if others else "an empty folder"
    return ImageError(f"{path}: must have a PNG or JPEG image, named *.png, *.jpg or *.jpeg, got {got}")


def _named(path: Path, files: list[Path]) -> list[str]:
    return [file.relative_to(path).as_posix() for file in files]


def _in_table(path: Path, columns: tuple[str, str], targets: bool) -> ImageList:
    """The images that a table names, a line each."""
    source = open_table(path, Reading())
    wanted = list(columns) if targets else list(columns[:1])
    for name in wanted:
        if name not in source.names:
            option = "file_column" if name == columns[0] else "label_column"
            raise ImageError(
                f"{path}: must have the column {shown(name)}, got {listed(source.names)}; name yours by {option}. "
                f"{nearest(name, source.names)}".strip()
            )
    rows = list(source.texts(wanted))
    if not rows:
        raise ImageError(f"{path}: must have a line for each image below the names of the columns, got none")
    for number, row in enumerate(rows):
        if "" in row:
            where = source.cell(number, wanted[row.index("")])
            raise ImageError(f"{where} must hold a text, got a missing cell")
    names = [row[0] for row in rows]
    return ImageList([path.parent / name for name in names], names, [row[1] for row in rows] if targets else None)
