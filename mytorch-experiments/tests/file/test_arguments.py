"""Arguments from an experiment, checked against a constructor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest
from toy_parts import Chain, Dense, Rectify, SquaredError

from mytorch.experiments import ExperimentError
from mytorch.experiments.file.arguments import construct


@dataclass
class Point:
    x: int


class Part:
    def __init__(
        self, size: int, rate: float = 0.5, kind: Literal["a", "b"] = "a", pair: tuple[float, float] = (0, 1)
    ):
        self.arguments = (size, rate, kind, pair)


class Strange:
    def __init__(self, point: Point | None = None, other: Unknown = None, unnamed=3):  # noqa: F821
        self.unnamed = unnamed


class Holder:
    def __init__(self, point: Point):
        self.point = point


def test_construct():
    assert construct("x", Part, {"size": 3, "rate": 1, "pair": [0.1, 0.2]}).arguments == (3, 1, "a", [0.1, 0.2])


def test_variadic_arguments_by_name():
    net = construct("model", Chain, {"layers": [Rectify(), Rectify()]})
    assert len(net.layers) == 2
    assert construct("model", Chain, {}).layers == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"sise": 3}, r"^optimizer.sise: Part has no argument 'sise'. Nearest: size"),
        ({"size": 3, "zzz": 3}, r"^optimizer.zzz: Part has no argument 'zzz'. Known: kind, pair, rate, size"),
        ({}, r"^optimizer.size: must be given for Part"),
        ({"size": "3"}, r"^optimizer.size: must be a whole number, got '3'"),
        ({"size": True}, r"^optimizer.size: must be a whole number, got True"),
        ({"size": 3, "rate": "0.1"}, r"^optimizer.rate: must be a number, got '0.1'"),
        ({"size": 3, "kind": "c"}, r"^optimizer.kind: must be 'a' or 'b', got 'c'"),
    ],
)
def test_errors_start_with_the_key(arguments, text):
    with pytest.raises(ExperimentError, match=text):
        construct("optimizer", Part, arguments)


def test_what_the_program_fills_in_cannot_be_set():
    with pytest.raises(
        ExperimentError, match=r"x.rates: Part has no argument 'rates'. Known: kind, pair, rate|Nearest: rate"
    ):
        construct("x", Part, {"size": 1, "rates": 2}, "size")


def test_a_range_error_gets_the_key():
    with pytest.raises(ExperimentError, match=r"^model.0: Dense: out_features must be at least 1, got 0"):
        construct("model.0", Dense, {"in_features": 2, "out_features": 0})


@pytest.mark.parametrize("error", [ValueError, TypeError, RuntimeError, AssertionError, KeyError])
def test_an_error_of_the_constructor_gets_the_key(error):
    class Picky:
        def __init__(self, size: int):
            raise error("no such size")

    with pytest.raises(ExperimentError, match=r"^data.train: Picky does not take these arguments: .?no such size"):
        construct("data.train", Picky, {"size": 1})


def test_a_list_that_holds_something_else():
    with pytest.raises(ExperimentError, match=r"^model.layers.0: must be a layer such as \{ type = .*\}, got 5$"):
        construct("model", Chain, {"layers": [5]})


def test_annotations_that_cannot_be_checked_are_let_through():
    assert construct("x", Strange, {"unnamed": "y", "other": 3, "point": None}).unnamed == "y"
    assert construct("x", Holder, {"point": Point(3)}).point == Point(3)


def test_no_arguments():
    with pytest.raises(ExperimentError, match=r"^loss.x: Rectify has no argument 'x'. There are none."):
        construct("loss", Rectify, {"x": 1})
    assert construct("loss", SquaredError, {}).reduction == "mean"
