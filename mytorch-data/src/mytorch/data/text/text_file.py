"""A text as a data set: blocks of tokens, and the same blocks one token further."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from mytorch.core import ArgumentError, DataSet, require_choice, require_path, require_whole
from mytorch.data.table.errors import TableError, shown
from mytorch.data.text.byte_pairs import BytePairs
from mytorch.data.text.read_text import read_bytes, read_text
from mytorch.data.text.vocabulary import Bytes, Characters, Ids, Vocabulary

KEY = "text"
"""Under which name `preparation` keeps the vocabulary."""
TOKENS = ("characters", "bytes", "byte-pairs")
SIZE = 1000
"""Byte pairs that are learned unless a size is given."""
BASE = 257
"""Tokens that byte pairs have at least: the bytes, and a pair."""


class TextFile(DataSet):
    """The blocks of a text, one behind the other: the inputs are a block of tokens, the targets the token behind each.

    path:       a file of text, or with tokens = "bytes" any file
    block_size: tokens of a block; those behind the last whole block are left out
    tokens:     "characters"; "bytes", of which there are 256; or "byte-pairs", pieces of words that are learned
    vocabulary_size: of byte pairs, at most, 257 or more; 1000 if None
    encoding:   of the text, such as "utf-16"; "utf-8", or that of the former text, if None; bytes have none
    Shapes:     inputs, targets: (blocks, block_size), int64, with inputs[i, j + 1] = targets[i, j]
    classes, tokens: the tokens
    like:       the `preparation` of a former TextFile, whose tokens and block_size are taken
    Raises:     TableError for an empty file, another encoding, a text shorter than a block, and characters that the
                former text did not have; ArgumentError for options; FileError for no such file; ReaderError for byte
                pairs without tokenizers

    The vocabulary is that of the whole file, so that parts which are split from it have no characters that it misses.
    A split is by place: see `split`.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from mytorch.data import TextFile
        >>> folder = tempfile.TemporaryDirectory()
        >>> path = Path(folder.name) / "sea.txt"
        >>> _ = path.write_text("she sells sea shells")
        >>> data = TextFile(path, block_size=4)
        >>> len(data), data.classes, data[0]
        (4, ("' '", 'a', 'e', 'h', 'l', 's'), (tensor([5, 3, 2, 0]), tensor([3, 2, 0, 5])))
        >>> TextFile.vocabulary(data.preparation).decode([5, 2, 1])
        'sea'
        >>> folder.cleanup()
    """

    overlap = 0

    def __init__(
        self,
        path: str | Path,
        block_size: int | None = None,
        *,
        tokens: str = "characters",
        vocabulary_size: int | None = None,
        encoding: str | None = None,
        like: Mapping[str, Any] | None = None,
    ) -> None:
        path = require_path(self, "path", path)
        former = None if like is None else _former(like)
        if former is not None:
            block_size, tokens = former["block_size"], former["tokens"]
            encoding = former["reading"].get("encoding") if encoding is None else encoding
        require_whole(self, "block_size", block_size, 1)
        assert block_size is not None  # which was required
        self.block_size = block_size
        _require_options(tokens, vocabulary_size, encoding)
        vocabulary, ids = _read(path, tokens, vocabulary_size, encoding or "utf-8", former)
        if len(ids) <= block_size:
            raise TableError(
                f"{path}: must have more tokens than block_size = {block_size}, got {len(ids)}; "
                "make block_size smaller"
            )
        self._tokens = torch.from_numpy(ids.astype("uint8" if len(vocabulary.names) <= 256 else "int32"))
        self.classes = self.tokens = vocabulary.names
        kept = {"tokens": tokens, "block_size": block_size, "vocabulary": vocabulary.to_json(), "whole": True}
        reading = {} if tokens == "bytes" else {"encoding": encoding or "utf-8"}
        self.preparation = {KEY: {"dataset": "mytorch-data:TextFile", **kept, "reading": reading}}

    @classmethod
    def new_rows(cls, path: str | Path, preparation: Mapping[str, Any], dtype: torch.dtype, targets: bool) -> Self:  # noqa: ARG003
        return cls(path, like=preparation)

    @staticmethod
    def vocabulary(preparation: Mapping[str, Any]) -> Vocabulary:
        """What makes tokens of a text and a text of tokens, by the `preparation` of a TextFile.

        Raises ArgumentError for another preparation.
        """
        return _restored(_former(preparation))

    def __len__(self) -> int:
        return (len(self._tokens) - 1) // self.block_size

    def batch_at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        places = indices.unsqueeze(1) * self.block_size + torch.arange(self.block_size)
        return self._tokens[places].long(), self._tokens[places + 1].long()


def _read(
    path: Path, tokens: str, size: int | None, encoding: str, former: Mapping[str, Any] | None
) -> tuple[Vocabulary, Ids]:
    """The vocabulary, learned or that of a former text, and the tokens of the file."""
    if tokens == "bytes":
        return Bytes(), np.frombuffer(read_bytes(path), np.uint8)
    text = read_text(path, encoding)
    vocabulary = _learned(text, tokens, size) if former is None else _restored(former)
    if unknown := vocabulary.unknown(text):
        raise TableError(
            f"{path}: characters must be among the {len(vocabulary.names)} of the text of the training, got "
            f'{unknown}; replace them, or train with tokens = "bytes", which stand for any text'
        )
    return vocabulary, vocabulary.encode(text)


def _learned(text: str, tokens: str, size: int | None) -> Vocabulary:
    return Characters.of(text) if tokens == "characters" else BytePairs.of(text, size or SIZE)


def _restored(kept: Mapping[str, Any]) -> Vocabulary:
    """The vocabulary that a preparation keeps."""
    if kept["tokens"] == "bytes":
        return Bytes()
    return Characters(kept["vocabulary"]) if kept["tokens"] == "characters" else BytePairs(kept["vocabulary"])


def _require_options(tokens: str, size: int | None, encoding: str | None) -> None:
    require_choice("TextFile", "tokens", tokens, TOKENS)
    if size is not None:
        require_whole("TextFile", "vocabulary_size", size, BASE)
        if tokens != "byte-pairs":
            raise ArgumentError(f'TextFile: vocabulary_size must be left out unless tokens = "byte-pairs", got {size}')
    if tokens == "bytes" and encoding is not None:
        raise ArgumentError(f"TextFile: encoding must be left out for bytes, which have none, got {shown(encoding)}")


def _former(like: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a preparation keeps of a former text. Raises ArgumentError."""
    kept = like.get(KEY)
    if not isinstance(kept, Mapping) or not {"tokens", "block_size", "vocabulary", "reading"} <= kept.keys():
        raise ArgumentError(f"TextFile: like must be the preparation of a former TextFile, got {shown(dict(like))}")
    if strange := [name for name in kept["reading"] if name != "encoding"]:
        raise ArgumentError(f"TextFile: {strange[0]} must be left out for a text, which is no table")
    return kept
