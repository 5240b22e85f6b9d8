"""Bodies with text, of which a language model says what comes next."""

from __future__ import annotations

from typing import Any

import torch

from mytorch.core import DataSet
from mytorch.experiments.predict.kept_data import KeptData
from mytorch.experiments.predict.new_rows import rows_of
from mytorch.experiments.serve.files import Files
from mytorch.experiments.serve.form import Form
from mytorch.experiments.serve.media import TEXT


class TextForm(Form):
    """A text of more tokens than a block: the rows are its whole blocks, as in the training."""

    takes = (TEXT,)

    def __init__(self, kept: KeptData, dtype: torch.dtype) -> None:
        self.kept, self.dtype = kept, dtype
        self.encoding = kept.reading.get("encoding") or kept.entry.get("reading", {}).get("encoding", "utf-8")
        self.about = (
            f"A text of more than {kept.entry['block_size']} tokens. Each row is a block of so many, and the "
            "prediction for each of its places is the token behind it."
        )

    def rows(self, media: str, body: bytes, files: Files) -> DataSet:  # noqa: ARG002 - it is the only one
        file = files.folder / "request.txt"
        file.write_bytes(body)
        return rows_of(file, self.kept, self.dtype, targets=False)

    def content(self) -> dict[str, Any]:
        return {TEXT: {"schema": {"type": "string", "description": self.about}}}
