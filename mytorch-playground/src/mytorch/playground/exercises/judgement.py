"""Judging an answer by the checks of the kit."""

from __future__ import annotations

import ast
import math
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Loss, Module, Parameter
from mytorch.playground.exercises.answer import BLANK, FIRST_LINE, Answer, AnswerError, Place, read_answer
from mytorch.playground.exercises.exercise import Exercise, Trial
from mytorch.plugins import one_line
from mytorch.testing import CheckError, check_layer, check_loss

CHECKS = (
    "autograd",
    "finite_differences",
    "full_jacobian",
    "accumulation",
    "fresh_gradients",
    "nothing_written",
    "two_forwards",
)
"""The checks that an answer must pass, the one first that says most about a wrong gradient."""
CODE = "<exercise>"
"""What the layer's code is called in a traceback."""
PRINTED = 2_000
"""Characters that are kept of what an answer prints."""


@dataclass(frozen=True)
class Verdict:
    """What is said of an answer.

    right: whether it passed;  text: what is wrong, or how many checks it passed
    line: of the answer, if one is at fault;  printed: what the answer printed
    """

    right: bool
    text: str
    line: int | None = None
    printed: str = ""


def judge(exercise: Exercise, text: str) -> Verdict:
    """Run the kit on the layer with an answer in its place, with two sizes."""
    printed: list[str] = []
    try:
        names = _defined(exercise, read_answer(text, exercise.place), _printer(printed))
    except AnswerError as error:
        return Verdict(False, str(error), error.line)
    with _float64():  # as the kit's inputs are: an answer that draws or fills a tensor need not say so
        verdict = _judged(exercise, names, text)
    return replace(verdict, printed="".join(printed)[:PRINTED])


def _judged(exercise: Exercise, names: dict[str, Any], text: str) -> Verdict:
    """What is said of an answer that can be run."""
    first, second = exercise.trials
    said = _fault(first, names, exercise.place, text)
    if said is None and (other := _fault(second, names, exercise.place, text)) is not None:
        passed, failed = _with(first), _with(second)
        said = replace(other, text=f"It is right with {passed}, and wrong with {failed}: {other.text}")
    return said or Verdict(True, f"It passed {len(CHECKS)} checks of the kit, with two sizes.")


@contextmanager
def _float64() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _with(trial: Trial) -> str:
    return f"{trial.build} and the inputs {trial.inputs}"


def _printer(printed: list[str]) -> Callable[..., None]:
    """A `print` that keeps the first characters."""
    room = PRINTED

    def show(*values: object) -> None:
        nonlocal room
        if room > 0:
            printed.append(" ".join(map(str, values))[:room] + "\n")
            room -= len(printed[-1])

    return show


class _Fill(ast.NodeTransformer):
    """Puts an answer into its place."""

    def __init__(self, answer: Answer, target: str) -> None:
        self._answer, self._target = answer, target

    def visit_Assign(self, node: ast.Assign) -> Any:
        blank = isinstance(node.value, ast.Name) and node.value.id == BLANK
        return self._answer.statements if blank else node


def _defined(exercise: Exercise, answer: Answer, show: Callable[..., None]) -> dict[str, Any]:
    """The layer with the answer in its place, by its name, among all that the code of an exercise may use."""
    tree = _Fill(answer, exercise.place.target).visit(ast.parse(exercise.layer))
    names: dict[str, Any] = {
        "__name__": "exercise",
        "torch": torch,
        "math": math,
        "Module": Module,
        "Loss": Loss,
        "Parameter": Parameter,
        "print": show,
    }
    try:
        code = compile(ast.fix_missing_locations(tree), CODE, "exec")
    except SyntaxError as error:  # such as a break outside of a loop
        raise AnswerError(
            f"this is no Python: {error.msg}", max(0, (error.lineno or 0) - FIRST_LINE) or None
        ) from None
    exec(code, names)
    return names


def _fault(trial: Trial, names: dict[str, Any], place: Place, text: str) -> Verdict | None:
    """What the kit finds wrong with these sizes, if it does."""
    build = compile(trial.build, CODE, "eval")
    torch.manual_seed(0)
    inputs = eval(compile(f"({trial.inputs}\n,)", CODE, "eval"), names)

    def factory() -> Module:
        layer: Module = eval(build, names)
        return layer

    check = check_loss if isinstance(factory(), Loss) else check_layer
    for name in CHECKS:
        try:
            check(factory, *inputs, modes=("train",), checks=(name,))
        except CheckError as error:
            cause = error.__cause__
            if cause is not None and not isinstance(cause, CheckError):
                return _raised(cause, place, text)
            said = str(error).partition(f": {name}: ")[2].partition("\n  reproduce: ")[0]
            plain = said.replace("match autograd through forward", "be the derivative of the forward pass")
            return Verdict(False, plain[:1].upper() + plain[1:])
    return None


def _raised(error: BaseException, place: Place, text: str) -> Verdict:
    """What an error of the answer, or of what follows from it, says; with the shapes of what the answer used."""
    frames = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if _is_of_layer(frame)]
    own = [(frame, line) for frame, line in frames if line > FIRST_LINE]
    told = f"{type(error).__name__}: {one_line(error, 400)}"
    if own:
        frame, line = own[-1]
        shapes = _shapes(frame, text)
        mixed = (
            " Numbers are float64 here: `.double()` converts to it." if re.search("dtype|scalar type", told) else ""
        )
        return Verdict(False, f"Your line raised {told}.{shapes}{mixed}", line - FIRST_LINE)
    shapes = _shapes(frames[-1][0], place.target) if frames else ""
    return Verdict(False, f"What follows your line raised {told}.{shapes}")


def _is_of_layer(frame: FrameType) -> bool:
    return frame.f_code.co_filename == CODE


def _shapes(frame: FrameType, text: str) -> str:
    """The shapes of the tensors that a text names."""
    layer = frame.f_locals.get("self")
    held = dict(layer.named_param()) if isinstance(layer, Module) else {}
    values = {**frame.f_locals, **{f"self.{name}.value": parameter.value for name, parameter in held.items()}}
    told = [
        f"{name} is {tuple(value.shape) or 'a number'}"
        for name, value in values.items()
        if isinstance(value, Tensor) and re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", text)
    ]
    return f" Here {', '.join(told)}." if told else ""
