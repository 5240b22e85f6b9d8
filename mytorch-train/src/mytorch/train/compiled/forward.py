"""A model's forward pass as machine code."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from mytorch.core import Module
from mytorch.train.compiled.forward_program import ForwardProgram, make_forward
from mytorch.train.compiled.program import difference
from mytorch.train.compiled.reason import reason_of
from mytorch.train.compiled.warning import EngineWarning
from mytorch.train.evaluation import judging, predict

KINDS = 4
"""At most so many kinds of inputs (dtypes, and shapes without the rows) are compiled; others are computed eagerly."""


class CompiledForward:
    """What a model makes of a batch in evaluation mode, in one call of machine code for any number of rows.

        forward = CompiledForward(net)
        output = forward(inputs)  # as net(inputs)

    inputs: tensors on the CPU whose first axis is the rows. The first call compiles, or takes what the cache has.
    Weights are the model's own at every moment, so it may be trained on, loaded or moved to another dtype. Its layers
    are those of the first call: make a new CompiledForward after one was replaced.
    Results are compared with eager ones at the first batch of no row, of one and of several. What cannot be compiled
    is computed eagerly, and an EngineWarning says why. Threads may share it.
    say: is given a line before something takes long.
    """

    def __init__(self, net: Module, say: Callable[[str], object] = lambda _line: None) -> None:
        self.net, self.say = net, say
        self.programs: dict[Any, ForwardProgram] = {}
        self.refused = False
        self._making = Lock()

    def __call__(self, *inputs: Any) -> Any:
        kind = kind_of(inputs)
        program = self.programs.get(kind)
        if program is None or min(inputs[0].shape[0], 2) not in program.checked or not program.in_place():
            return self._with_care(inputs, kind)
        return program.run(inputs)

    def _with_care(self, inputs: Sequence[Any], kind: Any) -> Any:
        """The eager output, after which the machine code is ready for more of this kind."""
        with judging(self.net):
            expected = predict(self.net, inputs)  # first, since it raises what is wrong with the inputs
        if kind is not None:
            with self._making:
                if not self.refused:
                    self._prepare(inputs, kind, expected)
        return expected

    def _prepare(self, inputs: Sequence[Tensor], kind: Any, expected: Any) -> None:
        try:
            program = self._program(inputs, kind)
            if program is None:
                return
            found, wanted = (pytree.tree_leaves(output) for output in (program.run(inputs), expected))
            if wrong := different(found, wanted):
                self._refuse(f"its first results are not those of the eager model: {wrong}")
            elif all(value.isfinite().all() for value in wanted):
                program.checked.add(min(inputs[0].shape[0], 2))
        except Exception as error:
            self._refuse(reason_of(error, "forward pass"))

    def _program(self, inputs: Sequence[Tensor], kind: Any) -> ForwardProgram | None:
        """The program of a kind of inputs, with the weights of now; None if there are too many kinds."""
        for known in list(self.programs):
            if not self.programs[known].follow():
                del self.programs[known]
        if kind not in self.programs and len(self.programs) < KINDS:
            with judging(self.net):
                self.programs[kind] = make_forward(self.net, inputs, self.say)
        return self.programs.get(kind)

    def _refuse(self, reason: str) -> None:
        self.refused = True
        self.programs.clear()
        warnings.warn(f"compiled engine: {reason}; prediction goes on eagerly", EngineWarning, stacklevel=2)


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
