"""A model's forward pass as machine code."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from mytorch.core import Module
from mytorch.train.compiled.forward_program import ForwardProgram, make_forward
from mytorch.train.compiled.program import difference
from mytorch.train.compiled.reason import lacks_compiler, reason_of
from mytorch.train.compiled.warning import EngineWarning
from mytorch.train.evaluation import judging, predict

KINDS = 4
"""At most so many kinds of inputs (dtypes, and shapes without the rows) are compiled; others are computed eagerly."""


def _nothing(_line: str) -> None:
    """Nobody is told."""


class CompiledForward:
    """What a model makes of a batch in evaluation mode, in one call of machine code for any number of rows.

        forward = CompiledForward(net)
        output = forward(inputs)  # as net(inputs)

    inputs: tensors on the CPU whose first axis is the rows. The first call compiles, or takes what the cache has.
    Weights are the model's own at every moment, so it may be trained on, loaded or moved to another dtype. Its layers
    are those of the first call: make a new CompiledForward after one was replaced.
    Results are compared with eager ones at the first batch of no row, of one and of several. A kind of inputs that
    cannot be compiled is computed eagerly, and an EngineWarning says why. Threads may share it: while one compiles,
    the others compute eagerly. A copy, also a pickled one, compiles for itself or takes what the cache has.
    say: is given a line before something takes long.
    """

    def __init__(self, net: Module, say: Callable[[str], object] = _nothing) -> None:
        self.net, self.say = net, say
        self.programs: dict[Any, ForwardProgram | None] = {}
        self.refused = False
        self._making, self._changing = Lock(), Lock()

    def __reduce__(self) -> Any:
        return type(self), (self.net, self.say)

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        if named:  # a model with inputs by name is computed layer by layer
            with self._judging():
                output = self.net(*inputs, **named)
            return output if torch.is_inference_mode_enabled() else pytree.tree_map(_plain, output)
        kind = kind_of(inputs)
        program = self.programs.get(kind)
        if program is None or min(inputs[0].shape[0], 2) not in program.checked or not program.in_place():
            return self._with_care(inputs, kind)
        return program.run(inputs)

    def _with_care(self, inputs: Sequence[Any], kind: Any) -> Any:
        """The eager output, after which the machine code is ready for more of this kind, unless another is made."""
        with self._judging():
            expected = predict(self.net, inputs)  # first, since it raises what is wrong with the inputs
        if kind is not None and self._making.acquire(blocking=False):
            try:
                if self._may_have(kind):
                    self._prepare(inputs, kind, expected)
            finally:
                self._making.release()
        return expected if torch.is_inference_mode_enabled() else pytree.tree_map(_plain, expected)

    @contextmanager
    def _judging(self) -> Iterator[None]:
        """The net in evaluation mode; one thread at a time if its modes, which all share, must be changed for that."""
        with self._changing:
            if changes := any(module.training for module in self.net.modules()):
                with judging(self.net):
                    yield
        if not changes:
            with judging(self.net):
                yield

    def _may_have(self, kind: Any) -> bool:
        """Whether there is or may be a program of this kind."""
        if self.refused or kind in self.programs:
            return self.programs.get(kind) is not None
        others = [program for program in self.programs.values() if program is not None]
        return len(self.programs) < KINDS or not all(program.in_place() for program in others)

    def _prepare(self, inputs: Sequence[Tensor], kind: Any, expected: Any) -> None:
        try:
            program = self._program(inputs, kind)
            if program is None:
                return
            found, wanted = (pytree.tree_leaves(output) for output in (program.run(inputs), expected))
            if wrong := different(found, wanted):
                self._refuse(inputs, kind, f"its first results are not those of the eager model: {wrong}")
            elif all(value.isfinite().all() for value in wanted):
                program.checked.add(min(inputs[0].shape[0], 2))
        except Exception as error:
            self.refused = self.refused or lacks_compiler(error)
            self._refuse(inputs, kind, reason_of(error, "forward pass"))

    def _program(self, inputs: Sequence[Tensor], kind: Any) -> ForwardProgram | None:
        """The program of a kind of inputs, with the weights of now; None if there are too many kinds."""
        for known, program in list(self.programs.items()):
            if program is not None and not program.follow():
                del self.programs[known]
        if kind not in self.programs and len(self.programs) < KINDS:
            self.programs[kind] = make_forward(self.net, inputs, self._judging, self.say)
        return self.programs.get(kind)

    def _refuse(self, inputs: Sequence[Tensor], kind: Any, reason: str) -> None:
        """Compute this kind eagerly from now on; it counts among KINDS, so that warnings come to an end."""
        self.programs[kind] = None
        which = "" if self.refused else f" for {' and '.join(map(_described, inputs))}"
        text = f"compiled engine: {reason}; prediction goes on eagerly{which}"
        warnings.warn(text, EngineWarning, stacklevel=2)


def _described(x: Tensor) -> str:
    return f"{str(x.dtype).removeprefix('torch.')} ({', '.join(map(str, ('rows', *x.shape[1:])))})"


def _plain(leaf: Any) -> Any:
    """A tensor that its owner may change in place, as what the machine code gives."""
    return leaf.clone() if isinstance(leaf, Tensor) and leaf.is_inference() else leaf


def kind_of(inputs: Sequence[Any]) -> Any:
    """What inputs of one program have in common; None for those that machine code does not take."""
    if len(inputs) == 1 and type(inputs[0]) is Tensor:  # a microsecond less, where a call takes six
        (x,) = inputs
        return (x.dtype, x.shape[1:]) if x.is_cpu and x.dim() and not x.requires_grad else None
    kinds = [kind_of([x]) for x in inputs if type(x) is Tensor]
    if len(kinds) < len(inputs) or None in kinds or len({x.shape[0] for x in inputs}) != 1:
        return None
    return tuple(kinds)


def different(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> str | None:
    """What is different between compiled and eager outputs, beyond rounding; None if nothing is."""
    kinds = [[(value.shape, value.dtype) for value in values] for values in (found, wanted)]
    if kinds[0] != kinds[1]:
        return f"they are {kinds[0]} where {kinds[1]} were due"
    return difference([torch.zeros_like(value) for value in wanted], found, wanted)
