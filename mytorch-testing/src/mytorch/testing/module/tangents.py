"""Whether a module that states how its output and its backward change states it rightly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mytorch.core import Directions, seed_torch, states_tangents
from mytorch.testing.compare import require_close
from mytorch.testing.errors import CheckError, tried
from mytorch.testing.module.snapshot import Snapshot
from mytorch.testing.module.trial import Case, Trial
from mytorch.testing.structure import changed, is_floating, leaves, mapped, tensors

Slope = Callable[[Tensor, Callable[[], Tensor], Tensor, Tensor], Tensor]
"""Of what is stated, a function, a tensor and a direction: the function's slope as the tensor moves along that."""
Compare = Callable[[str, Tensor, Tensor, str], None]
Along = dict[str, Tensor]
"""Along what parameters move, by their names."""
Stated = tuple[Tensor, Tensor]
"""The change of the output, and that of the gradients of inputs and parameters, in a row each."""


def compare_tangents(case: Case, slope: Slope, compare: Compare) -> str | None:
    """`tangent` and `backward_tangent` equal central differences of forward and backward.

    Each input and parameter moves alone, along a random direction, while d_output changes, too. What does not move may
    be None or zeros, and input_grad may be False. What both methods read is as it was afterwards, and a backward may
    follow.
    Returns why nothing was compared where a module within states neither.
    """
    asked = _Asked(Trial(case), mapped(case.inputs, _copied))
    if not states_tangents(asked.trial.module):
        return None
    for path, module in asked.trial.module.named_modules():
        if not states_tangents(module):
            silent = f"{path!r} ({type(module).__name__})"
            return f"tangent and backward_tangent are not compared, since those of {silent} are not stated"
    asked.prepare()
    for move in _moves(asked):
        t_output, changes = asked.stated(move.t_input, move.along)
        expected = slope(t_output, asked.output, move.value, move.direction)
        compare(f"t_output {move.name}", t_output, expected, "match finite differences of forward (tangent)")
        moved = slope(changes - asked.linear, asked.gradients, move.value, move.direction)
        rule = "match finite differences of backward (backward_tangent)"
        compare(f"the change of the gradients {move.name}", changes, moved + asked.linear, rule)
        if move.along:
            asked.require_same_where_still((t_output, changes), move.along, move.name)
    asked.require_same_where_still((torch.zeros_like(asked.output()), asked.linear), {}, "where nothing moves")
    return None


class _Asked:
    """A module, and what its `tangent` and `backward_tangent` are asked for: changes of numbers, in a row."""

    def __init__(self, trial: Trial, inputs: tuple[Any, ...]) -> None:
        self.trial, self.inputs = trial, inputs
        self.is_loss = trial.case.predictions is not None
        self.differentiated = inputs[: trial.case.predictions]
        self.of_inputs = sum(leaf.numel() for leaf in _floating(self.differentiated))
        """How many of the gradients are those of inputs."""
        self.zeros = _bare(mapped(self.differentiated, lambda x: torch.zeros_like(x) if is_floating(x) else None))
        self.still = self.zeros if self.is_loss else _bare(mapped(self.differentiated, lambda _: None))
        """What a t_input is of which nothing moves."""

    def prepare(self) -> None:
        """Draw upstream gradients, and compute what their backward makes of both."""
        self.d_output = self.trial.upstream(self.trial.forward(self.inputs)[0])
        self.t_d_output = mapped(self.d_output, _other)
        self.linear = self.gradients(self.t_d_output)
        self.before = self.gradients()

    def output(self) -> Tensor:
        """Every number of the output."""
        return _flat(self.trial.forward(self.inputs)[0])

    def gradients(self, d_output: Any = None) -> Tensor:
        """Those of the inputs and the parameters, of one forward and backward."""
        self.trial.module.zero_grad()
        _, saved = self.trial.forward(self.inputs)
        return self._in_a_row(self.trial.backward(self.d_output if d_output is None else d_output, saved))

    def stated(self, t_input: Any, along: Along) -> Stated:
        """The change of the output and of the gradients. Raises CheckError unless all that is read stays as it is."""
        module = self.trial.module
        module.zero_grad()
        output, saved = self.trial.forward(self.inputs)
        given = {"t_input": t_input, "d_output": self.d_output, "t_d_output": self.t_d_output, "saved": saved}
        given |= {f"along[{name}]": direction for name, direction in along.items()}
        parameters = dict(module.named_param())
        directions = Directions({parameters[name]: direction for name, direction in along.items()})
        read = _Read(lambda: given | self._held())
        with tried(lambda: "tangent(t_input, saved, along)"):
            t_output, t_saved = _pair("tangent", "t_output, t_saved", module.tangent(t_input, saved, directions))
        read.require_unchanged("tangent")
        given["t_saved"] = t_saved
        read = _Read(lambda: given | self._held())
        with tried(lambda: "backward_tangent(d_output, t_d_output, saved, t_saved, along)"):
            found = module.backward_tangent(self.d_output, self.t_d_output, saved, t_saved, directions)
        d_input, t_d_input = _pair("backward_tangent", "d_input, t_d_input", found)
        read.require_unchanged("backward_tangent")
        if not module.input_grad:
            return _like("t_output", t_output, output), self._of_parameters()
        changes = self._in_a_row(t_d_input, "backward_tangent")
        d_inputs = self._in_a_row(d_input, "backward_tangent")[: self.of_inputs]
        require_close("d_input of backward_tangent", d_inputs, self.before[: self.of_inputs], "be that of backward")
        module.zero_grad()
        again = self._in_a_row(self.trial.backward(self.d_output, saved))
        require_close("the gradients of a backward after the tangents", again, self.before, "be as without them")
        return _like("t_output", t_output, output), changes

    def require_same_where_still(self, wanted: Stated, along: Along, name: str) -> None:
        """Both are the same with None and with zeros for what does not move, and if the input wants no gradient."""
        for t_input, told in ((self.still, "None"), (self.zeros, "zeros")):
            _require_same(self.stated(t_input, along), wanted, name, f"be the same with {told} for t_input")
        if not self.is_loss:
            self.trial.module.input_grad = False
            found = self.stated(self.still, along)
            self.trial.module.input_grad = True
            wanted = wanted[0], wanted[1][self.of_inputs :]
            _require_same(found, wanted, name, "be the same with input_grad=False")

    def _held(self) -> dict[str, Any]:
        """The numbers of the module."""
        held = {f"parameter {name}": parameter.value for name, parameter in self.trial.module.named_param()}
        return held | {f"buffer {name}": buffer.value for name, buffer in self.trial.module.named_buffer()}

    def _in_a_row(self, d_input: Any, method: str = "backward") -> Tensor:
        """The gradients of the inputs, and those of the parameters; zeros for None."""
        found = self.trial.input_gradients(d_input, self.inputs, method).values()
        floating = _floating(self.differentiated)
        of_inputs = [_or_zeros(gradient, leaf) for gradient, leaf in zip(found, floating, strict=True)]
        return _joined([*of_inputs, self._of_parameters()])

    def _of_parameters(self) -> Tensor:
        return _joined([_or_zeros(parameter.grad, parameter.value) for parameter in self.trial.module.param()])


class _Read:
    """What both methods only read."""

    def __init__(self, given: Callable[[], Mapping[str, Any]]) -> None:
        self.given = given
        self.before = Snapshot(self._tensors())

    def require_unchanged(self, step: str) -> None:
        """Raise CheckError unless the same tensors are in it, with the same numbers."""
        now = self._tensors()
        for name, value in self.before.tensors.items():
            if now.get(name) is not value:
                got = "replaced it" if name in now else "took it out"
                raise CheckError(f"{name} must stay as it is, since a backward may follow, but {step} {got}")
        self.before.require_unchanged(step)

    def _tensors(self) -> dict[str, Tensor]:
        return {path: leaf for name, value in self.given().items() for path, leaf in tensors(value, name).items()}


class _Move(NamedTuple):
    """What moves: its name, its value and direction, and both as the two methods are given them."""

    name: str
    value: Tensor
    direction: Tensor
    t_input: Any
    along: Along


def _moves(asked: _Asked) -> Iterator[_Move]:
    trial = asked.trial
    seed_torch(trial.case.seed + 5)
    several = len(asked.differentiated) > 1
    for path, leaf in leaves(asked.differentiated, ""):
        if is_floating(leaf):
            direction = torch.randn_like(leaf)
            t_input = _bare(changed(asked.still if several else (asked.still,), path, direction))
            yield _Move(f"along input {path}", leaf, direction, t_input, {})
    for name, parameter in list(trial.module.named_param()):
        if parameter.trainable:
            moved = trial.held_constant(name, torch.randn_like(parameter.value))
            assert moved is not None
            yield _Move(f"along {name}", parameter.value, moved, asked.still, {name: moved})


def _copied(leaf: Any) -> Any:
    return leaf.clone() if isinstance(leaf, Tensor) else leaf


def _other(d_leaf: Any) -> Any:
    if d_leaf is None:
        return None
    return 0.7 * d_leaf.roll(1) if isinstance(d_leaf, Tensor) else 0.7 * d_leaf


def _bare(values: tuple[Any, ...]) -> Any:
    return values[0] if len(values) == 1 else values


def _pair(method: str, names: str, value: Any) -> tuple[Any, Any]:
    if not isinstance(value, tuple) or len(value) != 2:
        raise CheckError(f"{method} must return ({names}), a tuple of two, got {type(value).__name__}")
    return value


def _require_same(found: Stated, wanted: Stated, name: str, rule: str) -> None:
    require_close(f"t_output {name}", found[0], wanted[0], rule)
    require_close(f"the change of the gradients {name}", found[1], wanted[1], rule)


def _like(name: str, value: Any, like: Any) -> Tensor:
    """What a structure holds in the places where another has floating-point tensors, in a row; zeros for None."""
    found = dict(leaves(value, ""))
    parts = []
    for path, leaf in leaves(like, ""):
        if is_floating(leaf):
            part = found.get(path)
            if part is not None and (not isinstance(part, Tensor) or part.shape != leaf.shape):
                got = tuple(part.shape) if isinstance(part, Tensor) else type(part).__name__
                raise CheckError(f"{name}{path} must be None or have the shape {tuple(leaf.shape)}, got {got}")
            parts.append(_or_zeros(part, leaf))
    return _joined(parts)


def _floating(value: Any) -> list[Tensor]:
    return [leaf for _, leaf in leaves(value, "") if is_floating(leaf)]


def _flat(value: Any) -> Tensor:
    return _joined([leaf.flatten() for leaf in _floating(value)])


def _or_zeros(value: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like).flatten() if value is None else value.flatten()


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat([torch.zeros(0).double(), *parts])
