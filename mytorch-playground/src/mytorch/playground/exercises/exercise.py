"""An exercise as its file states it."""

from __future__ import annotations

import ast
from functools import cached_property
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mytorch.playground.exercises.answer import BLANK, Place, find_place, read_answer

Text = Annotated[str, Field(min_length=1, max_length=10_000)]
STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)


class Trial(NamedTuple):
    """Sizes that an answer is judged with.

    build: an expression that builds the layer;  inputs: what its forward takes
    """

    build: str
    inputs: str


class Piece(BaseModel):
    """A wrong line to choose, and why it is wrong."""

    model_config = STRICT
    code: Text
    why: Text


class Exercise(BaseModel):
    """A layer with a hidden line.

    title, statement: what is asked
    layer: the code of a class that derives from Module or Loss, in which one line of `backward` is `name = ____`;
        torch, math, Module, Loss and Parameter are there without an import
    build: an expression that builds the layer, such as "Linear(3, 2)"
    inputs: what its forward takes, as `check_layer` is given it: "(4, 3)" draws a tensor of this shape
    second_inputs, second_build: the same with other sizes, so that an answer with a size typed in is told from a right
        one; the layer is built in the same way where second_build is left out
    solution: what belongs behind `name =`;  explanation: why, shown with the solution
    hints: shown one by one;  pieces: wrong lines to choose from beside the solution
    """

    model_config = STRICT
    title: Text
    statement: Text
    layer: Text
    build: Text
    inputs: Text
    second_inputs: Text
    second_build: Text | None = None
    solution: Text
    explanation: Text
    hints: Annotated[list[Text], Field(min_length=1, max_length=10)]
    pieces: Annotated[list[Piece], Field(min_length=2, max_length=10)]

    @cached_property
    def place(self) -> Place:
        """Where the hidden line belongs, and what may be used in it."""
        return find_place(self.layer)

    @property
    def trials(self) -> tuple[Trial, Trial]:
        """What builds the layer and what its forward takes: twice, with other sizes."""
        return Trial(self.build, self.inputs), Trial(self.second_build or self.build, self.second_inputs)

    @model_validator(mode="after")
    def _require_code(self) -> Exercise:
        """Raise ValueError for code that is none, without running any of it."""
        codes = {name: getattr(self, name) for name in ("layer", "build", "inputs", "second_build", "second_inputs")}
        for name, text in codes.items():
            if text is None:
                continue
            try:
                ast.parse(text) if name == "layer" else ast.parse(f"({text}\n,)", mode="eval")
            except SyntaxError as error:
                where = f"line {error.lineno}: " if name == "layer" else ""
                raise ValueError(f"{name} must be Python, got {where}{error.msg}") from None
        lines = {"solution": self.solution, **{f"pieces.{at}": one.code for at, one in enumerate(self.pieces)}}
        for name, text in lines.items():
            try:
                read_answer(text, self.place)
            except ValueError as error:
                raise ValueError(
                    f"{name} must be what belongs behind `{self.place.target} = {BLANK}`: {error}"
                ) from None
        if self.inputs == self.second_inputs:
            raise ValueError(f"second_inputs must have other sizes than inputs, got {self.inputs} twice")
        if len({*lines.values()}) < len(lines):
            raise ValueError("pieces must differ from each other and from the solution")
        return self
