"""Memory for time: what a layer would save is computed a second time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mytorch.core import ArgumentError, Directions, Module, kind_of, require_input, require_pair
from mytorch.core.compiling import is_compiling
from mytorch.nn.container._moment import Moment, has_weights
from mytorch.nn.container._sequence import require_module


@dataclass(frozen=True, eq=False)
class Start:
    """What a forward began with, so that it can be taken once more."""

    inputs: tuple[Any, ...]
    options: dict[str, Any]
    moment: Moment


@dataclass(frozen=True, eq=False)
class Kept:
    """What inner saved, where the forward is not to be taken once more."""

    saved: Any


class Checkpoint(Module):
    """Save only the input of what it holds, and compute the rest again in the backward pass.

    Forward:   y = inner(x)
    Backward:  inner(x) once more, from the mode, the buffers and the random state of the forward, which gives the
               same y and what inner saves; then d_x = the d_x of inner. Buffers and random state are put back, so
               that running statistics count each batch once and later draws are what they would have been
    Memory:    between the passes x, in place of all that inner saves; time: one more forward of inner
    Shapes:    x, y: those of inner, its further inputs and options after x
    Raises:    ArgumentError if inner is not a Module, or saved is not of its own forward; StateError if modules came
               or went within inner since then; and what inner raises
    Source:    Chen et al. 2016, "Training deep nets with sublinear memory cost"

    Inside of torch.compile and the compiled engine, which choose themselves what a step keeps, and as long as a lazy
    layer inside has no weights, it keeps what inner saves. Where weights are updated within the backward pass, those
    within a Checkpoint are updated at the end of the step.

    Example:
        >>> block = Checkpoint(Sequential(Linear(3, 9), Dropout(0.5), Linear(9, 3)))
        >>> y, saved = block.forward(torch.ones(5, 3))
        >>> block.backward(torch.ones(5, 3), saved).shape
        torch.Size([5, 3])
    """

    def __init__(self, inner: Module) -> None:
        self.inner = require_module(self, inner)

    def forward(self, x: Any, *more: Any, **options: Any) -> tuple[Any, Start | Kept]:
        if not isinstance(x, tuple):
            require_input(self, x)
        if is_compiling() or not has_weights(self.inner):
            pair = self.inner.forward(x, *more, **options)
            require_pair(self.inner, pair)
            return pair[0], Kept(pair[1])
        start = Start((x, *more), options, Moment.of(self.inner))
        return self.inner(x, *more, **options), start

    def backward(self, d_y: Any, saved: Start | Kept) -> Any:
        if not isinstance(saved, (Start, Kept)):
            raise ArgumentError(
                f"Checkpoint: saved must be what its own forward returned, got {kind_of(saved)}; give each backward "
                "the saved value of its own forward"
            )
        return self.inner.backward(d_y, self._saved_by_inner(saved))

    def tangent(self, t_x: Any, saved: Start | Kept, along: Directions) -> tuple[Any, Any]:
        t_y, _ = self.inner.tangent(t_x, self._saved_by_inner(saved), along)
        return t_y, t_x

    def backward_tangent(
        self, d_y: Any, t_d_y: Any, saved: Start | Kept, t_x: Any, along: Directions
    ) -> tuple[Any, Any]:
        kept = self._saved_by_inner(saved)
        _, t_kept = self.inner.tangent(t_x, kept, along)
        return self.inner.backward_tangent(d_y, t_d_y, kept, t_kept, along)

    def __call__(self, x: Any, *more: Any, **options: Any) -> Any:
        return self.inner(x, *more, **options)

    def first_child(self) -> Module:
        return self.inner

    def _saved_by_inner(self, saved: Start | Kept) -> Any:
        """What inner saved, or saves in a forward that is taken once more."""
        if isinstance(saved, Kept):
            return saved.saved
        with saved.moment.again("Checkpoint", "inner", self.inner):
            pair = self.inner.forward(*saved.inputs, **saved.options)
        require_pair(self.inner, pair)
        return pair[1]
