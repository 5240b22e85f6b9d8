"""A text as blocks of tokens."""

import codecs
import doctest
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mytorch.core import ArgumentError
from mytorch.core.batch import rows_within
from mytorch.data import ReaderError, TableError, TextFile, hold_out, split
from mytorch.plugins import FileError

LETTERS = "abcdef é\nß日🙂"


def drawn(length: int, seed: int = 0) -> str:
    return "".join(np.random.default_rng(seed).choice(list(LETTERS), length))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "text.txt"
    file.write_bytes(drawn(500).encode())
    return file


def need(tokens: str) -> dict[str, Any]:
    """The options of a kind of tokens, whose library must be there."""
    if tokens != "byte-pairs":
        return {"tokens": tokens}
    pytest.importorskip("tokenizers", reason="tokenizers comes with mytorch-data[text]")
    return {"tokens": tokens, "vocabulary_size": 300}


@pytest.mark.parametrize("tokens", ["characters", "bytes", "byte-pairs"])
def test_blocks_follow_each_other_and_targets_are_one_token_further(path: Path, tokens: str) -> None:
    data = TextFile(path, 7, **need(tokens))
    inputs, targets = data[:]
    assert inputs.dtype == targets.dtype == torch.int64
    assert inputs.shape == targets.shape == (len(data), 7)
    flat = inputs.flatten()
    torch.testing.assert_close(flat[1:], targets.flatten()[:-1], rtol=0, atol=0)
    vocabulary = TextFile.vocabulary(json.loads(json.dumps(data.preparation)))
    whole = [*flat.tolist(), int(targets[-1, -1])]
    assert drawn(500).startswith(vocabulary.decode(whole).rstrip("\ufffd"))
    assert len(vocabulary.encode(drawn(500))) - len(whole) < 7
    assert int(flat.max()) < len(data.classes or ()) == len(vocabulary.names)
    picked = torch.tensor([5, 2, 5])
    torch.testing.assert_close(data[picked][0], inputs[picked], rtol=0, atol=0)


def test_characters_are_those_of_the_text_in_their_order(path: Path) -> None:
    data = TextFile(path, 3)
    assert data.classes == ("'\\n'", "' '", "a", "b", "c", "d", "e", "f", "ß", "é", "日", "🙂")
    vocabulary = TextFile.vocabulary(data.preparation or {})
    assert vocabulary.encode("f日 ").tolist() == [7, 10, 1]
    assert vocabulary.decode([11, 0]) == "🙂\n"


def test_byte_pairs_join_what_is_frequent_and_know_every_text(tmp_path: Path) -> None:
    options = need("byte-pairs")
    (tmp_path / "text.txt").write_text("the theme of the thesis, " * 30)
    data = TextFile(tmp_path / "text.txt", 4, **options)
    vocabulary = TextFile.vocabulary(data.preparation or {})
    assert 256 < len(vocabulary.names) <= 300
    assert len(vocabulary.encode("the theme")) <= 3
    for text in (drawn(40), "\t\r\n  x\n\n y", "", "日本\n" * 40_000):
        assert vocabulary.decode(vocabulary.encode(text).tolist()) == text
    assert vocabulary.unknown(drawn(40)) == ""
    again = TextFile(tmp_path / "text.txt", 4, **options)
    assert again.preparation == data.preparation


@pytest.mark.parametrize("tokens", ["characters", "bytes", "byte-pairs"])
def test_another_text_has_the_tokens_of_the_former(path: Path, tmp_path: Path, tokens: str) -> None:
    former = TextFile(path, 6, **need(tokens))
    (tmp_path / "other.txt").write_text(drawn(100, seed=1))
    other = TextFile.new_rows(tmp_path / "other.txt", former.preparation or {}, torch.float32, targets=True)
    assert other.classes == former.classes
    assert other.preparation == former.preparation
    begun = TextFile.vocabulary(former.preparation or {}).decode(other[0][0].tolist()).rstrip("\ufffd")
    assert begun
    assert drawn(100, seed=1).startswith(begun)


def test_a_split_is_by_place(path: Path) -> None:
    data = TextFile(path, 7)
    parts = hold_out(data, validation=0.2, test=0.1, seed=3)
    rows = [part.indices.tolist() for part in parts if part is not None]
    assert [row for part in rows for row in part] == list(range(len(data)))
    assert [len(part) for part in rows] == [50, 14, 7]
    assert split(data, (0.5, 0.5))[1].indices[-1] == len(data) - 1
    with pytest.raises(ArgumentError, match="folds must be left out for a time series or a text"):
        hold_out(data, folds=3, fold=1)


@pytest.mark.parametrize("ends", ["\r\n", "\r", "\n"])
def test_lines_end_alike_but_bytes_are_as_they_stand(tmp_path: Path, ends: str) -> None:
    path = tmp_path / "lines.txt"
    path.write_bytes(f"one{ends}two{ends}".encode())
    decoded = TextFile.vocabulary(TextFile(path, 7).preparation or {}).decode(TextFile(path, 7)[0][0].tolist())
    assert decoded == "one\ntwo"
    assert len(TextFile(path, 3, tokens="bytes")) == (6 + 2 * len(ends) - 1) // 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "latin-1", "cp1252"])
def test_every_encoding_reads_the_same(tmp_path: Path, encoding: str) -> None:
    text = "straße été \n" * 9
    (tmp_path / "text.txt").write_bytes(text.encode(encoding))
    data = TextFile(tmp_path / "text.txt", 11, encoding="utf-8" if encoding == "utf-8-sig" else encoding)
    assert TextFile.vocabulary(data.preparation or {}).decode(data[0][0].tolist()) == "straße été "
    assert TextFile(tmp_path / "text.txt", like=data.preparation)[0][0].tolist() == data[0][0].tolist()


BINARY = 'if it is no text, tokens = "bytes" takes any file'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must hold text, got an empty file"),
        (codecs.BOM_UTF8, "must hold text, got an empty file"),
        (
            "été".encode("latin-1") * 9,
            "must be text in utf-8, got the byte 0xe9 at 0, which means nothing there; if it is text, name its "
            'encoding, such as encoding = "cp1252" or "latin-1"; tokens = "bytes" takes any file',
        ),
        (
            "some text".encode("utf-16"),
            "must be text in utf-8, got the byte 0xff at 0, which means nothing there; "
            'its bytes are those of encoding = "utf-16"',
        ),
        (
            "some text".encode("utf-16-be"),
            'must be text in utf-8, got zeros as in a binary file; its bytes are those of encoding = "utf-16-be"',
        ),
        (
            "some text".encode("utf-16-le"),
            'must be text in utf-8, got zeros as in a binary file; its bytes are those of encoding = "utf-16-le"',
        ),
        (b"some text\0" * 9, f"must be text in utf-8, got zeros as in a binary file; {BINARY}"),
        (
            bytes(range(256)) * 4,
            f"must be text in utf-8, got the byte 0x80 at 128, which means nothing there; {BINARY}",
        ),
        (b"short", "must have more tokens than block_size = 5, got 5; make block_size smaller"),
    ],
)
def test_what_is_no_text_of_its_encoding_is_told(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "text.txt").write_bytes(content)
    with pytest.raises(TableError) as info:
        TextFile(tmp_path / "text.txt", 5)
    assert str(info.value) == f"{tmp_path / 'text.txt'}: {message}"


def test_any_file_is_bytes(tmp_path: Path) -> None:
    content = np.random.default_rng(1).bytes(1000)
    (tmp_path / "any.bin").write_bytes(content)
    data = TextFile(tmp_path / "any.bin", 9, tokens="bytes")
    assert bytes(data[:][0].flatten().tolist()) == content[: 9 * len(data)]


def test_characters_that_the_former_text_lacks_are_told_with_their_counts(path: Path, tmp_path: Path) -> None:
    former = TextFile(path, 6).preparation
    (tmp_path / "new.txt").write_text("abc XX X\n" + "ñ" * 3 + "yz12 \U0001f600" * 2)
    text = (
        "new.txt: characters must be among the 12 of the text of the training, got 7 that are not: 'X' 3 times, "
        "'ñ' 3 times, 'y' 2 times, 'z' 2 times, '1' 2 times and 2 others; replace them, or train with "
        'tokens = "bytes", which stand for any text'
    )
    with pytest.raises(TableError) as info:
        TextFile(tmp_path / "new.txt", like=former)
    assert str(info.value).endswith(text)
    assert TextFile.vocabulary(former or {}).unknown("ab\x7f") == "1 that is not: '\\x7f' once"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "TextFile: block_size must be a whole number of at least 1, got None"),
        ({"block_size": 0}, "TextFile: block_size must be a whole number of at least 1, got 0"),
        ({"block_size": 3, "tokens": "words"}, "TextFile: tokens must be one of characters, bytes, byte-pairs"),
        (
            {"block_size": 3, "vocabulary_size": 300},
            "vocabulary_size must be left out unless tokens = .byte-pairs., g",
        ),
        ({"block_size": 3, "tokens": "byte-pairs", "vocabulary_size": 256}, "must be a whole number of at least 257"),
        ({"block_size": 3, "tokens": "bytes", "encoding": "utf-8"}, "encoding must be left out for bytes, which have"),
        (
            {"block_size": 3, "encoding": "utf8-16"},
            "encoding must be one that Python knows, .*, got 'utf8-16'. Nearest",
        ),
        (
            {"block_size": 3, "encoding": "rot13"},
            "TextFile: encoding must be one that Python knows, such as utf-8, ut",
        ),
        ({"like": {"text": 3}}, "TextFile: like must be the preparation of a former TextFile, got {'text': 3}"),
        (
            {"like": {"text": {"tokens": "bytes", "block_size": 3, "vocabulary": None, "reading": {"decimal": ","}}}},
            "TextFile: decimal must be left out for a text, which is no table",
        ),
    ],
)
def test_options_outside_their_range_raise(path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        TextFile(path, **arguments)


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="must be a file, got a folder"):
        TextFile(tmp_path, 3)
    with pytest.raises(FileError, match=r"gone\.txt: must be a file, got no such file"):
        TextFile(tmp_path / "gone.txt", 3)
    with pytest.raises(FileError, match="must be a file of this computer, got an address"):
        TextFile("https://example.com/book.txt", 3)


def test_without_the_library_byte_pairs_say_how_to_install_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ReaderError, match=r"tokenizers, which learns byte pairs, is not installed.*data\[text\]'"):
        TextFile(path, 3, tokens="byte-pairs")


def test_the_example_holds() -> None:
    result = doctest.testmod(importlib.import_module("mytorch.data.text.text_file"))
    assert result.attempted > 7
    assert not result.failed


def test_an_evaluation_takes_few_blocks_at_once_since_each_token_becomes_a_vector(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(drawn(40_000))
    data = TextFile(tmp_path / "text.txt", 64)
    assert rows_within(data, 8192) == 2**24 // (2 * 64 * 8 * 32) == 512
    assert rows_within(data, 100) == 100
