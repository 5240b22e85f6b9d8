"""Bodies with images: a PNG or JPEG file, or several of them in JSON."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Sequence
from typing import Any

import torch

from mytorch.core import DataSet
from mytorch.experiments.predict.kept_data import KeptData
from mytorch.experiments.predict.new_rows import rows_of
from mytorch.experiments.serve.files import Files
from mytorch.experiments.serve.form import Form
from mytorch.experiments.serve.media import JPEG, JSON, PNG
from mytorch.experiments.serve.read_json import kind_of_json, read_object, require_list
from mytorch.experiments.serve.refusal import Refusal

SUFFIXES = {PNG: ".png", JPEG: ".jpg"}
STARTS = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg"}
"""How files of each kind begin."""


class ImageForm(Form):
    """Images, which are scaled and converted as those of the training were."""

    takes = (JSON, PNG, JPEG)
    about = "Each row is a PNG or JPEG image, in base64 in JSON; it is scaled and converted as those of the training."

    def __init__(self, kept: KeptData, dtype: torch.dtype) -> None:
        self.kept, self.dtype = kept, dtype

    def rows(self, media: str, body: bytes, files: Files) -> DataSet:
        if media in SUFFIXES:
            file = files.folder / f"image{SUFFIXES[media]}"
            file.write_bytes(body)
            return rows_of(file, self.kept, self.dtype, targets=False)
        images = require_list(read_object(body, "images"), "images")
        width = len(str(len(images)))  # images of a folder are read in the order of their names
        for number, text in enumerate(images, 1):
            image = _decoded(text, number)
            suffix = next((suffix for start, suffix in STARTS.items() if image.startswith(start)), None)
            if suffix is None:
                raise Refusal(422, f"request: image {number} must be a PNG or JPEG file in base64, got another one")
            (files.folder / f"image {number:0{width}}{suffix}").write_bytes(image)
        return rows_of(files.folder, self.kept, self.dtype, targets=False)

    def content(self) -> dict[str, Any]:
        images = {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "contentEncoding": "base64"},
            "description": self.about,
        }
        told = {
            "type": "object",
            "properties": {"images": images},
            "required": ["images"],
            "additionalProperties": False,
        }
        example = {"images": [base64.b64encode(_grey(self.kept.entry["size"])).decode()]}
        files = {media: {"schema": {"description": f"A {media} file."}} for media in SUFFIXES}
        return {JSON: {"schema": told, "example": example}, **files}


def _decoded(text: Any, number: int) -> bytes:
    if not isinstance(text, str):
        raise Refusal(422, f"request: image {number} must be a file in base64, got {kind_of_json(text)}")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(422, f"request: image {number} must be a file in base64, got {error}") from None


def _grey(size: Sequence[int]) -> bytes:
    """A PNG file of one colour."""
    from PIL import Image

    file = io.BytesIO()
    Image.new("L", (size[1], size[0]), 128).save(file, "png")
    return file.getvalue()
