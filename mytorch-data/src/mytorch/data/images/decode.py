"""Decoding images with pillow."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mytorch.data.images.errors import ImageError
from mytorch.data.table.errors import ReaderError, told
from mytorch.plugins import FileError

MOST_PIXELS = 2**26
"""Pixels that an image may have: 200 MB when it is decoded. A small file may claim any number of them."""
MODES = {"RGB": "RGB", "grey": "L"}
"""What pillow calls the modes."""
WIDE = ("I", "F")
"""How pillow's modes of more than 8 bits a channel begin."""
UPRIGHT, SIDEWAYS = 0x0112, (5, 6, 7, 8)
"""The EXIF tag of how a camera was held, and its values for images that are stored lying on their side."""
_BROKEN = (OSError, ValueError, SyntaxError, EOFError, IndexError, OverflowError, struct.error, zlib.error)
"""What pillow raises for a file that is not whole."""

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Size = tuple[int, int]


def size_of(path: Path) -> Size:
    """Height and width of an image, which is looked at but not decoded. Raises ImageError and FileError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of many pixels, which are refused here
        with _opened(path) as image:
            sideways = image.format == "JPEG" and image.getexif().get(UPRIGHT) in SIDEWAYS
            return image.size if sideways else (image.height, image.width)


def decode(path: Path, size: Size, mode: str, scale: bool) -> Pixels:
    """The pixels of an image, (channels, height, width), from 0 to 255.

    size: height and width.  mode: "RGB" or "grey", to which others are converted; what is transparent becomes white.
    scale: whether an image of another size is scaled to cover `size`, and what is beyond it is cut off on both sides;
        if not, it is refused.
    Raises ImageError and FileError with the path.
    """
    from PIL import Image, ImageOps

    with _opened(path) as image:
        if scale:
            image.draft(None, (2 * size[1], 2 * size[0]))  # a large JPEG is decoded at half its size, or a quarter
        upright = ImageOps.exif_transpose(image)
        if upright.has_transparency_data:
            pixels = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", pixels.size, "white"), pixels)
        plain = upright.convert(MODES[mode])
        if scale:
            plain = ImageOps.fit(plain, (size[1], size[0]), Image.Resampling.BILINEAR)
        found = np.asarray(plain, dtype=np.uint8)
    if found.shape[:2] != size:
        raise ImageError(f"{path}: must be {in_words(size)}, as the others are, got {in_words(found.shape[:2])}")
    return found[None] if found.ndim == 2 else np.ascontiguousarray(found.transpose(2, 0, 1))


def in_words(size: tuple[int, ...]) -> str:
    """A size for messages."""
    return f"{size[0]} pixels high and {size[1]} wide"


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An image that is not decoded yet; errors within the context name its path."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ReaderError(
            "ImageFolder: pillow, which reads images, is not installed. "
            "Install: python -m pip install './mytorch-data[images]'"
        ) from error
    if not path.is_file():
        raise FileError(f"{path}: must be an image, got {'a folder' if path.is_dir() else 'no such file'}")
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ImageError(
                    f"{path}: must have at most {MOST_PIXELS} pixels, got {image.width} x {image.height}; "
                    "make it smaller"
                )
            if image.mode.startswith(WIDE):
                raise ImageError(
                    f"{path}: must have 8 bits a channel, got pillow's mode {image.mode!r}; convert it, or store its "
                    "numbers as an array for mytorch.data.Arrays"
                )
            yield image
    except (ImageError, FileError):
        raise
    except PermissionError as error:
        raise FileError(f"{path}: must be readable, got {error.strerror}") from error
    except UnidentifiedImageError:
        got = "something else, or a broken one" if path.stat().st_size else "an empty file"
        raise ImageError(f"{path}: must be a PNG or JPEG image, got {got}") from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: must have at most {MOST_PIXELS} pixels, got more: {told(error)}") from None
    except _BROKEN as error:
        raise ImageError(f"{path}: must be a whole image, got one that is broken: {told(error)}") from None
