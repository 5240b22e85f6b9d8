"""A folder of images as a data set."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from mytorch.core import ArgumentError, DataSet, require_choice, require_path, require_whole
from mytorch.data.dtype import floating_dtype
from mytorch.data.images.decode import MODES, Pixels, Size, decode, in_words, size_of
from mytorch.data.images.errors import ImageError
from mytorch.data.images.image_list import list_images
from mytorch.data.preparation.moments import Moments
from mytorch.data.table.errors import listed, shown
from mytorch.plugins import FileError, nearest

KEY = "images"
"""Under which name `preparation` keeps how images are read."""
LARGEST = 4096
"""Pixels on a side."""
SHOWN = 5
"""Images that cannot be used, of which an error tells."""
THREADS = min(4, os.cpu_count() or 1)
"""That decode the images of a batch: pillow decodes outside of Python's lock."""


class ImageFolder(DataSet):
    """Images in PNG and JPEG files, each of a class: the folder that it lies in, or a column of a table.

    path:      a folder with a folder for each class, whose name is that of the class; or a table, in any format that
               Table reads, with a line for each image: its path, from the table's folder, and its class
    size:      height and width, or one number for both. Images are scaled until they cover it, and what is beyond is
               cut off on both sides. None takes them as they are; all must then have the same size
    mode:      "RGB" or "grey": others are converted. What is transparent becomes white
    normalize: {"mean": [...], "std": [...]}, a number for each channel: (pixels - mean) / std. None leaves pixels from
               0 to 1; the key `data.standardize` of an experiment learns both from the training part
    file_column, label_column: the columns of a table
    cache_bytes: decoded images are kept up to so many bytes, one for each number; the others are decoded again
               whenever they are asked for
    Shapes:    inputs: (rows, channels, height, width) of dtype, from 0 to 1;  targets: (rows,), int64, classes in the
               order of their names
    like:      the `preparation` of a former ImageFolder, whose size, mode and classes these images get
    Raises:    ImageError for a folder without images or classes, and for an image that is broken, too large, of more
               than 8 bits a channel or of another size, with its path; FileError for one that is not there or cannot
               be read; ReaderError without pillow; ArgumentError for options

    All images are looked at at once, and decoded when they are asked for, in a few threads.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from mytorch.data import ImageFolder
        >>> folder = tempfile.TemporaryDirectory()
        >>> for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        ...     path = Path(folder.name) / name
        ...     path.parent.mkdir(exist_ok=True)
        ...     Image.new("RGB", (30, 20), "red").save(path)
        >>> data = ImageFolder(folder.name, size=16)
        >>> inputs, targets = data[:]
        >>> inputs.shape, targets, data.classes
        (torch.Size([3, 3, 16, 16]), tensor([0, 0, 1]), ('cat', 'dog'))
        >>> folder.cleanup()
    """

    def __init__(
        self,
        path: str | Path,
        size: int | Sequence[int] | None = None,
        *,
        mode: str = "RGB",
        normalize: Mapping[str, Sequence[float]] | None = None,
        file_column: str = "file",
        label_column: str = "label",
        cache_bytes: int = 2**30,
        dtype: torch.dtype | str = "float32",
        like: Mapping[str, Any] | None = None,
        targets: bool = True,
    ) -> None:
        self._dtype = floating_dtype("ImageFolder", dtype)
        path = require_path(self, "path", path)
        require_whole(self, "cache_bytes", cache_bytes, 0)
        known, former_size = None, None
        if like is not None:
            former = _former(like)
            mode, normalize, known = (former[key] for key in ("mode", "normalize", "classes"))
            former_size = _pair(former["size"])
            size = former_size if former["scaled"] else None
            file_column, label_column = former["columns"]
        require_choice(self, "mode", mode, tuple(MODES))
        self._mode, self._moments = mode, _moments(normalize, mode)
        found = list_images(path, (file_column, label_column), known, targets)
        self._files, self.row_names = found.files, ("file", found.names)
        if known is not None or found.labels is not None:
            self.classes = tuple(known or sorted(set(found.labels or ())))
        self.targets = None if found.labels is None else self._indices(path, found.labels)
        self._scale = size is not None
        self._size = self._look_at_each(former_size if size is None else _pair(size))
        shape = (1 if mode == "grey" else 3, *self._size)
        self._cache: Pixels = np.empty((min(len(self), cache_bytes // int(np.prod(shape))), *shape), dtype=np.uint8)
        self._cached = np.zeros(len(self._cache), dtype=bool)
        kept = prepared_images(
            self._size, self._scale, mode, self._moments, self.classes or (), (file_column, label_column)
        )
        self.preparation = {KEY: kept}

    @classmethod
    def new_rows(cls, path: str | Path, preparation: Mapping[str, Any], dtype: torch.dtype, targets: bool) -> Self:
        return cls(path, dtype=dtype, like=preparation, targets=targets)

    def __len__(self) -> int:
        return len(self._files)

    def batch_at(self, indices: Tensor) -> tuple[Tensor, Tensor | None]:
        pixels = torch.from_numpy(self._pixels(indices.numpy())).to(self._dtype).div_(255)
        if self._moments is not None:
            pixels = self._moments.scale(pixels).to(self._dtype)
        return pixels, None if self.targets is None else self.targets[indices]

    def _pixels(self, rows: np.ndarray[Any, Any]) -> Pixels:
        """The pixels of rows: those that are kept, and the others decoded, in their order."""
        kept = rows < len(self._cache)
        new = np.unique(rows[kept][~self._cached[rows[kept]]])
        for row, pixels in zip(new, self._decoded(new), strict=True):
            self._cache[row], self._cached[row] = pixels, True
        if kept.all():
            found: Pixels = self._cache[rows]
            return found
        found = np.empty((len(rows), *self._cache.shape[1:]), dtype=np.uint8)
        found[kept] = self._cache[rows[kept]]
        found[~kept] = self._decoded(rows[~kept])
        return found

    def _decoded(self, rows: np.ndarray[Any, Any]) -> list[Pixels]:
        files = [self._files[row] for row in rows]
        if len(files) < 2 or THREADS == 1:
            return [self._decode(file) for file in files]
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(self._decode, files))

    def _decode(self, file: Path) -> Pixels:
        return decode(file, self._size, self._mode, self._scale)

    def _indices(self, path: Path, labels: list[str]) -> Tensor:
        """The class of each image. Raises ImageError for a class that the training had not."""
        place = {name: index for index, name in enumerate(self.classes or ())}
        if unknown := [label for label in dict.fromkeys(labels) if label not in place]:
            raise ImageError(
                f"{path}: classes must be those of the training, {listed(place)}, got {shown(unknown[0])}. "
                f"{nearest(unknown[0], place)}".strip()
            )
        if len(place) < 2:
            raise ImageError(f"{path}: must have images of at least two classes, got {shown(labels[0])} alone")
        return torch.tensor([place[label] for label in labels])

    def _look_at_each(self, former: Size | None) -> Size:
        """The size of all images, which must be the same, and that of the training if there was one.

        Raises ImageError or FileError for images that cannot be used, several at once.
        """
        sizes, wrong = [], []
        for file in self._files:
            try:
                sizes.append(size_of(file))
            except (ImageError, FileError) as error:
                wrong.append(error)
        if wrong:
            more = [f"{len(wrong) - SHOWN} more images cannot be used"] if len(wrong) > SHOWN else []
            raise type(wrong[0])("\n".join([*map(str, wrong[:SHOWN]), *more]))
        wanted = former or sizes[0]
        other = next((row for row, found in enumerate(sizes) if found != wanted), None)
        if other is not None and not self._scale:
            told = f"as {self._files[0].name} is" if former is None else "as those of the training are"
            raise ImageError(
                f"{self._files[other]}: must be {in_words(wanted)}, {told}, got {in_words(sizes[other])}; train with "
                f"size = {list(wanted)}, by which all are scaled"
            )
        return wanted


def prepared_images(
    size: Size,
    scaled: bool,
    mode: str,
    moments: Moments | None,
    classes: Sequence[str],
    columns: tuple[str, str] = ("file", "label"),
) -> dict[str, Any]:
    """What a preparation keeps of images, by which an ImageFolder reads new ones.

    scaled: whether images of another size are scaled to `size`.  columns: of a table, those of files and of classes.
    """
    return {
        "dataset": "mytorch-data:ImageFolder",
        "size": list(size),
        "scaled": scaled,
        "mode": mode,
        "normalize": None if moments is None else moments.to_json(),
        "classes": list(classes),
        "columns": list(columns),
    }


def _pair(size: int | Sequence[int]) -> Size:
    """Height and width. Raises ArgumentError."""
    pair = tuple(size) if isinstance(size, Sequence) else (size, size)
    if len(pair) != 2 or any(type(side) is not int or not 1 <= side <= LARGEST for side in pair):
        raise ArgumentError(
            f"ImageFolder: size must be a whole number of pixels from 1 to {LARGEST}, or height and width, got "
            f"{shown(size)}"
        )
    return pair


def _moments(normalize: Mapping[str, Sequence[float]] | None, mode: str) -> Moments | None:
    """The mean and deviation of each channel. Raises ArgumentError."""
    if normalize is None:
        return None
    channels = 1 if mode == "grey" else 3
    moments = Moments.of({"normalize": normalize}, "normalize")
    assert moments is not None  # which was given
    moments.require_usable("ImageFolder")
    if len(moments.mean) != channels:
        raise ArgumentError(
            f"ImageFolder: normalize must have {channels} numbers each for mode {mode!r}, got {len(moments.mean)}"
        )
    return moments


def _former(like: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a preparation keeps of a former ImageFolder. Raises ArgumentError."""
    kept = like.get(KEY)
    if (
        not isinstance(kept, Mapping)
        or not {"size", "scaled", "mode", "normalize", "classes", "columns"} <= kept.keys()
    ):
        raise ArgumentError(f"ImageFolder: like must be the preparation of a former one, got {shown(dict(like))}")
    return kept
