"""A vocabulary of byte pairs, learned by the library `tokenizers`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from mytorch.data.table.errors import ReaderError
from mytorch.data.text.vocabulary import Ids

CHUNK = 2**16
"""Characters that are encoded at once, about, up to the end of a line: the library takes much memory a token."""


class BytePairs:
    """Tokens of one or more bytes, of which frequent sequences have one of their own; every text has tokens.

    kept: what `to_json` gave.
    Source: Sennrich, Haddow and Birch 2016, "Neural machine translation of rare words with subword units", on bytes as
        in Radford et al. 2019, "Language models are unsupervised multitask learners"
    Raises ReaderError without the library.
    """

    def __init__(self, kept: Mapping[str, Any]) -> None:
        self._tokenizer = _library().Tokenizer.from_str(json.dumps(kept))
        count = self._tokenizer.get_vocab_size()
        self.names = tuple(self._tokenizer.id_to_token(index) for index in range(count))

    @classmethod
    def of(cls, text: str, size: int) -> BytePairs:
        """At most `size` tokens, learned from a text: the 256 bytes, and pairs that are joined by their frequency."""
        library = _library()
        tokenizer = library.Tokenizer(library.models.BPE())
        tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = library.decoders.ByteLevel()
        trainer = library.trainers.BpeTrainer(
            vocab_size=size, initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(), show_progress=False
        )
        tokenizer.train_from_iterator(_chunks(text), trainer)
        return cls(json.loads(tokenizer.to_str()))

    def encode(self, text: str) -> Ids:
        parts = [np.array(self._tokenizer.encode(chunk).ids, np.int32) for chunk in _chunks(text)]
        return np.concatenate([np.empty(0, np.int32), *parts])

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def unknown(self, text: str) -> str:  # noqa: ARG002
        return ""

    def to_json(self) -> Any:
        return json.loads(self._tokenizer.to_str())


def _chunks(text: str) -> Iterator[str]:
    begin = 0
    while begin < len(text):
        end = text.find("\n", begin + CHUNK) + 1 or len(text)
        yield text[begin:end]
        begin = end


def _library() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise ReaderError(
            "TextFile: tokenizers, which learns byte pairs, is not installed. "
            "Install: python -m pip install './mytorch-data[text]'; or use tokens = \"characters\""
        ) from error
    return tokenizers
