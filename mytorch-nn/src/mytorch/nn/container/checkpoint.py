"""Memory for time: what a layer would save is computed a second time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Buffer,
    Module,
    RandomState,
    StateError,
    kind_of,
    random_state,
    require_input,
    require_pair,
)
from mytorch.core.compiling import is_compiling
from mytorch.nn.container._sequence import require_module


@dataclass(frozen=True, eq=False)
class Start:
    """What a forward began with, so that it can be taken once more."""

    inputs: tuple[Any, ...]
    options: dict[str, Any]
    random: RandomState
    modes: list[tuple[Module, bool]]
    buffers: dict[Buffer, Tensor]


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
    below a Checkpoint are updated at its end.

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
        if is_compiling() or not all(held.initialized for _, held in self.inner.named_state()):
            pair = self.inner.forward(x, *more, **options)
            require_pair(self.inner, pair)
            return pair[0], Kept(pair[1])
        start = Start(
            (x, *more),
            options,
            random_state(self.inner),
            [(module, module.training) for module in self.inner.modules()],
            {buffer: buffer.value.clone() for _, buffer in self.inner.named_buffer()},
        )
        return self.inner(x, *more, **options), start

    def backward(self, d_y: Any, saved: Start | Kept) -> Any:
        if isinstance(saved, Kept):
            return self.inner.backward(d_y, saved.saved)
        if not isinstance(saved, Start):
            raise ArgumentError(
                f"Checkpoint: saved must be what its own forward returned, got {kind_of(saved)}; give each backward "
                "the saved value of its own forward"
            )
        with self._as_it_was(saved):
            pair = self.inner.forward(*saved.inputs, **saved.options)
        require_pair(self.inner, pair)
        return self.inner.backward(d_y, pair[1])

    def __call__(self, x: Any, *more: Any, **options: Any) -> Any:
        return self.inner(x, *more, **options)

    def first_child(self) -> Module:
        return self.inner

    @contextmanager
    def _as_it_was(self, start: Start) -> Iterator[None]:
        """Within this context, mode, buffers and random state are those of the start."""
        modes = [(module, module.training) for module in self.inner.modules()]
        if [id(module) for module, _ in modes] != [id(module) for module, _ in start.modes]:
            raise StateError(
                "Checkpoint: inner must hold the modules that it held in the forward, which is computed again, got "
                "others; call forward again"
            )
        values = {buffer: buffer.value for _, buffer in self.inner.named_buffer()}
        with random_state(self.inner):
            try:
                for module, mode in start.modes:
                    module.training = mode
                for buffer, value in start.buffers.items():
                    buffer.value = value.clone()
                start.random.restore()
                yield
            finally:
                for module, mode in modes:
                    module.training = mode
                for buffer, value in values.items():
                    buffer.value = value
