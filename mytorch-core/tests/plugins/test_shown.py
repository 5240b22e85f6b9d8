"""How messages show values, names and other programs' errors."""

from typing import Any

import pytest

from mytorch.plugins import listed, one_line, printable, shown
from mytorch.plugins.shown import REASON, WIDTH


class Shy:
    def __repr__(self) -> str:
        raise RuntimeError


class Wide:
    def __repr__(self) -> str:
        return "Wide(\n    1,\n    2)"


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", ["lr", "a  b", 3, -0.5, None, True, [1, "a"], {"b": 1, "a": [2]}, (1,), b"x", 10**18]
)
def test_a_small_value_is_its_repr(value: object) -> None:
    assert shown(value) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10**6,
        [0] * 10**6,
        dict.fromkeys(range(10**5)),
        10**5000,
        10**4000,
        deep(10_000),
        [[[["x" * 999] * 99] * 99]],
    ],
    ids=["text", "list", "dict", "digits", "number", "nested", "wide"],
)
def test_a_large_value_is_cut(value: object) -> None:
    assert 4 < len(shown(value)) <= WIDTH
    assert len(shown(value, 40)) <= 40


def test_both_ends_of_a_text_are_shown() -> None:
    assert shown("a" * 500 + "b" * 500).startswith("'aaa")
    assert shown("a" * 500 + "b" * 500).endswith("bbb'")


def test_a_value_is_shown_on_one_line() -> None:
    assert shown(Wide()) == "Wide( 1, 2)"
    assert shown(Shy()) == "a Shy" or "Shy instance" in shown(Shy())


def test_no_control_character_is_shown() -> None:
    assert shown("\x1b[31mred") == r"'\x1b[31mred'"
    assert printable("\x1b[2J\x07 \u202eabc\ud800\x9b\n\tend") == "\\x1b[2J\\x07 \\u202eabc\\ud800\\x9b\n\tend"
    assert printable("naïve Ñ 日本 👍") == "naïve Ñ 日本 👍"
    assert one_line(ValueError("\x1b]0;title\x07")) == r"\x1b]0;title\x07"
    assert listed(["a\x1b[1m", "b"]) == r"a\x1b[1m, b"


def test_an_error_is_told_on_one_line_and_cut() -> None:
    assert one_line(ValueError("two\n  lines")) == "two lines"
    assert one_line(ValueError()) == "ValueError"
    assert len(one_line(ValueError("x" * 10**6))) == REASON


def test_names_are_counted_where_there_are_many() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed([f"n{i}" for i in range(100)], 2) == "n0, n1 and 98 more"
    assert len(listed(["x" * 10**5] * 3)) < 4 * WIDTH
