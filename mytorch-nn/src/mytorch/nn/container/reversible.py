"""Blocks whose input follows from their output, so that nothing needs to be saved between the passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Directions,
    Module,
    ShapeError,
    StateError,
    kind_of,
    require_input,
    require_pair,
    require_upstream,
    require_whole,
)
from mytorch.core.compiling import is_compiling
from mytorch.nn.container._branches import added, joined
from mytorch.nn.container._moment import Moment, has_weights
from mytorch.nn.container._sequence import ModuleSequence, require_module

Moments = tuple[Moment, Moment]
"""Those of f and g."""


@dataclass(frozen=True, eq=False)
class Output:
    """The output of reversible blocks, from which their inputs are computed, with the moments of each block."""

    y: Tensor
    moments: list[Moments]


@dataclass(frozen=True, eq=False)
class Kept:
    """The shape of the output, and what f and g saved, where nothing is computed again."""

    shape: torch.Size
    saved: tuple[Any, Any]


class Reversible(Module):
    """Add to each half of the input a function of the other half, so that the input can be computed from the output.

    Forward:   x1, x2 = the halves of x along dim;  y1 = x1 + f(x2);  y2 = x2 + g(y1);  y = [y1, y2]
    Backward:  x2 = y2 - g(y1);  x1 = y1 - f(x2), computed anew;
               d_y1 += the d_x of g, given d_y2;  d_x2 = d_y2 + the d_x of f, given d_y1;  d_x1 = d_y1
    Memory:    between the passes y, in place of all that f and g save; time: one more forward of f and g. The blocks
               of a ReversibleSequence share one y. Tangents keep what f and g save until their backward
    Shapes:    x, y: (..., 2 * half, ...), of which f and g take and keep (..., half, ...)
    Raises:    ArgumentError if f or g is not a Module, or saved is not of its own forward; ShapeError if dim has an
               odd size, or f or g changes the shape; StateError if modules came or went within f or g since then
    Source:    Gomez et al. 2017, "The reversible residual network: backpropagation without storing activations"

    The x that is computed equals that of the forward up to rounding, so gradients are exact up to rounding, too. While
    f and g are computed again, they have the mode, buffers and random state of the forward. Inside of torch.compile
    and the compiled engine, and as long as a lazy layer inside has no weights, the block keeps what f and g save.

    Example:
        >>> block = Reversible(Linear(2, 2), Linear(2, 2))
        >>> y, saved = block.forward(torch.ones(5, 4))
        >>> block.backward(torch.ones(5, 4), saved).shape
        torch.Size([5, 4])
    """

    conformance: ClassVar[dict[str, Any]] = {"inputs": [(5, 6)], "tags": ("fixed_dimensions",)}

    def __init__(self, f: Module, g: Module, dim: int = 1) -> None:
        self.f, self.g = require_module(self, f), require_module(self, g)
        require_whole(self, "dim", dim, None)
        self.dim = dim

    def forward(self, x: Tensor) -> tuple[Tensor, Output | Kept]:
        x1, x2 = self._halves(x)
        if is_compiling() or not has_weights(self):
            of_x2, saved_f = _pair(self.f, x2)
            y1 = self._sum("f", x1, of_x2)
            of_y1, saved_g = _pair(self.g, y1)
            y = torch.cat([y1, self._sum("g", x2, of_y1)], self.dim)
            return y, Kept(y.shape, (saved_f, saved_g))
        y, moments = self.taken(x)
        return y, Output(y, [moments])

    def backward(self, d_y: Tensor, saved: Output | Kept) -> Tensor | None:
        if isinstance(saved, Kept):
            require_upstream(self, d_y, saved.shape)
            d_y1, d_y2 = d_y.chunk(2, self.dim)
            d_y1 = d_y1 + self.g.backward(d_y2, saved.saved[1])
            d_x2 = self.f.backward(d_y1, saved.saved[0])
            return torch.cat([d_y1, d_y2 + d_x2], self.dim) if self.input_grad else None
        _require_output(self, saved, 1)
        require_upstream(self, d_y, saved.y.shape)
        return self.answered(d_y, saved.y, saved.moments.pop())[0]

    def tangent(self, t_x: Tensor | None, saved: Output | Kept, along: Directions) -> tuple[Tensor | None, Any]:
        kept = saved if isinstance(saved, Kept) else self.undone(saved.y, saved.moments[0])[1]
        t_x1, t_x2 = (None, None) if t_x is None else t_x.chunk(2, self.dim)
        t_of_x2, t_saved_f = self.f.tangent(t_x2, kept.saved[0], along)
        t_y1 = added(t_x1, t_of_x2)
        t_of_y1, t_saved_g = self.g.tangent(t_y1, kept.saved[1], along)
        return joined((t_y1, added(t_x2, t_of_y1)), self.dim), (*kept.saved, t_saved_f, t_saved_g)

    def backward_tangent(
        self,
        d_y: Tensor,
        t_d_y: Tensor,
        saved: Output | Kept,  # noqa: ARG002 - what it stands for is in t_saved
        t_saved: tuple[Any, Any, Any, Any],
        along: Directions,
    ) -> tuple[Tensor | None, Tensor | None]:
        saved_f, saved_g, t_saved_f, t_saved_g = t_saved
        (d_y1, d_y2), (t_d_y1, t_d_y2) = d_y.chunk(2, self.dim), t_d_y.chunk(2, self.dim)
        d_x_of_g, t_d_x_of_g = self.g.backward_tangent(d_y2, t_d_y2, saved_g, t_saved_g, along)
        d_y1, t_d_y1 = d_y1 + d_x_of_g, t_d_y1 + t_d_x_of_g
        d_x2, t_d_x2 = self.f.backward_tangent(d_y1, t_d_y1, saved_f, t_saved_f, along)
        if not self.input_grad:
            return None, None
        return torch.cat([d_y1, d_y2 + d_x2], self.dim), torch.cat([t_d_y1, t_d_y2 + t_d_x2], self.dim)

    def __call__(self, x: Tensor) -> Tensor:
        x1, x2 = self._halves(x)
        y1 = self._sum("f", x1, self.f(x2))
        return torch.cat([y1, self._sum("g", x2, self.g(y1))], self.dim)

    def taken(self, x: Tensor) -> tuple[Tensor, Moments]:
        """The output, and what the forwards of f and g began with."""
        x1, x2 = self._halves(x)
        before_f = Moment.of(self.f)
        y1 = self._sum("f", x1, self.f(x2))
        moment_f, before_g = before_f.ended(), Moment.of(self.g)
        y2 = self._sum("g", x2, self.g(y1))
        return torch.cat([y1, y2], self.dim), (moment_f, before_g.ended())

    def answered(self, d_y: Tensor, y: Tensor, moments: Moments) -> tuple[Tensor | None, Tensor]:
        """The gradient of the input, and the input itself, from the output."""
        (y1, y2), (d_y1, d_y2) = y.chunk(2, self.dim), d_y.chunk(2, self.dim)
        moment_f, moment_g = moments
        with moment_g.again("Reversible", "g", self.g):
            of_y1, saved = _pair(self.g, y1)
        x2 = y2 - of_y1
        d_y1 = d_y1 + self.g.backward(d_y2, saved)
        with moment_f.again("Reversible", "f", self.f):
            of_x2, saved = _pair(self.f, x2)
        d_x2 = self.f.backward(d_y1, saved)
        d_x = torch.cat([d_y1, d_y2 + d_x2], self.dim) if self.input_grad else None
        return d_x, torch.cat([y1 - of_x2, x2], self.dim)

    def undone(self, y: Tensor, moments: Moments) -> tuple[Tensor, Kept]:
        """The input, from the output, and what the forward saves where nothing is computed again."""
        (y1, y2), (moment_f, moment_g) = y.chunk(2, self.dim), moments
        with moment_g.again("Reversible", "g", self.g):
            of_y1, saved_g = _pair(self.g, y1)
        x2 = y2 - of_y1
        with moment_f.again("Reversible", "f", self.f):
            of_x2, saved_f = _pair(self.f, x2)
        return torch.cat([y1 - of_x2, x2], self.dim), Kept(y.shape, (saved_f, saved_g))

    def first_child(self) -> Module:
        return self.f

    def _halves(self, x: Tensor) -> Sequence[Tensor]:
        require_input(self, x)
        if not -x.dim() <= self.dim < x.dim() or x.shape[self.dim] % 2:
            raise ShapeError(
                f"Reversible: axis {self.dim} of x must have an even size, got a tensor of {tuple(x.shape)}; choose "
                "another dim, or pad it"
            )
        return x.chunk(2, self.dim)

    def _sum(self, name: str, half: Tensor, change: Tensor) -> Tensor:
        if change.shape != half.shape:
            raise ShapeError(
                f"Reversible: {name} must keep the shape of its input, {tuple(half.shape)}, got {tuple(change.shape)}"
            )
        return half + change


class ReversibleSequence(ModuleSequence):
    """Reversible blocks one after the other, which save only the last output: memory does not grow with depth.

    Forward:   y = block_n(... block_2(block_1(x)))
    Backward:  from the last block to the first, each gives the gradient of its input and the input itself
    Memory:    between the passes y, whatever the number of blocks; beside it, for each block, copies of its buffers
               and, if it draws random numbers, their state
    Shapes:    x, y: those of the blocks, which keep the shape
    Raises:    ArgumentError if a child is not a Reversible, or saved is not of its own forward; StateError if a saved
               value is used twice, or blocks came or went since its forward; and what the blocks raise
    Source:    Gomez et al. 2017, "The reversible residual network: backpropagation without storing activations"

    Rounding errors of the inputs add up from block to block. The sequence is a list of its blocks.

    Example:
        >>> net = ReversibleSequence(*(Reversible(Linear(2, 2), Tanh()) for _ in range(3)))
        >>> y, saved = net.forward(torch.ones(5, 4))
        >>> net.backward(torch.ones(5, 4), saved).shape
        torch.Size([5, 4])
    """

    def __init__(self, *blocks: Reversible) -> None:
        self.layers = [self._require(block) for block in blocks]

    def forward(self, x: Tensor) -> tuple[Tensor, Output | list[Any]]:
        require_input(self, x)
        saved: list[Any] = []
        if is_compiling() or not has_weights(self) or not self.layers:
            for block in self.layers:
                x, kept = _pair(block, x)
                saved.append(kept)
            return x, saved or [x.shape]
        for block in self._blocks:
            x, moments = block.taken(x)
            saved.append(moments)
        return x, Output(x, saved)

    def backward(self, d_y: Tensor, saved: Output | list[Any]) -> Any:
        if isinstance(saved, list):
            return self._backward_of_kept(d_y, saved)
        _require_output(self, saved, len(self.layers))
        require_upstream(self, d_y, saved.y.shape)
        d_x: Any = d_y  # None of the first block, where nobody needs it
        y = saved.y
        for block in reversed(self._blocks):
            d_x, y = block.answered(d_x, y, saved.moments.pop())
        return d_x if self.input_grad else None

    def tangent(
        self, t_x: Tensor | None, saved: Output | list[Any], along: Directions
    ) -> tuple[Tensor | None, list[tuple[Any, Any]]]:
        t_saved = []
        for block, kept in zip(self.layers, self._kept(saved), strict=bool(self.layers)):
            t_x, t_kept = block.tangent(t_x, kept, along)
            t_saved.append((kept, t_kept))
        return t_x, t_saved

    def backward_tangent(
        self,
        d_y: Any,
        t_d_y: Any,
        saved: Output | list[Any],  # noqa: ARG002 - what it stands for is in t_saved
        t_saved: list[tuple[Any, Any]],
        along: Directions,
    ) -> tuple[Any, Any]:
        for block, (kept, t_kept) in zip(reversed(self.layers), reversed(t_saved), strict=True):
            d_y, t_d_y = block.backward_tangent(d_y, t_d_y, kept, t_kept, along)
        return (d_y, t_d_y) if self.input_grad else (None, None)

    def __call__(self, x: Tensor) -> Tensor:
        require_input(self, x)
        for block in self.layers:
            x = block(x)
        return x

    def first_child(self) -> Module | None:
        return self.layers[0] if self.layers else None

    def arguments(self) -> dict[str, Any]:
        return {"blocks": list(self.layers)}

    @property
    def _blocks(self) -> list[Reversible]:
        return cast("list[Reversible]", self.layers)

    def _kept(self, saved: Output | list[Any]) -> list[Any]:
        """What each block saves where nothing is computed again."""
        if isinstance(saved, list):
            return saved
        y, kept = saved.y, []
        for block, moments in zip(reversed(self._blocks), reversed(saved.moments), strict=True):
            y, of_block = block.undone(y, moments)
            kept.append(of_block)
        return kept[::-1]

    def _backward_of_kept(self, d_y: Any, saved: list[Any]) -> Any:
        if len(saved) != max(len(self.layers), 1):
            raise _used(self, len(self.layers), len(saved))
        if not self.layers:
            require_upstream(self, d_y, saved.pop())
        for block in reversed(self.layers):
            d_y = block.backward(d_y, saved.pop())
        return d_y if self.input_grad else None

    def _require(self, child: Any) -> Module:
        if not isinstance(require_module(self, child), Reversible):
            raise ArgumentError(
                "ReversibleSequence: child must be a Reversible, whose input follows from its output, got a "
                f"{type(child).__name__}; write Reversible(f, g), or take a Sequential"
            )
        return child  # type: ignore[no-any-return]

    def _change(self, key: int | slice, new: list[Module]) -> None:
        super()._change(key, [self._require(child) for child in new])

    def _of(self, layers: list[Any]) -> Self:
        return type(self)(*layers)


def _pair(module: Module, x: Tensor) -> tuple[Any, Any]:
    pair = module.forward(x)
    require_pair(module, pair)
    return pair


def _require_output(module: Module, saved: Any, blocks: int) -> None:
    if not isinstance(saved, Output):
        raise ArgumentError(
            f"{type(module).__name__}: saved must be what its own forward returned, got {kind_of(saved)}; give each "
            "backward the saved value of its own forward"
        )
    if len(saved.moments) != blocks:
        raise _used(module, blocks, len(saved.moments))


def _used(module: Module, blocks: int, got: int) -> StateError:
    return StateError(
        f"{type(module).__name__}: saved must hold one value for each of {blocks} blocks, got {got}; a saved value is "
        "good for one backward: call forward again"
    )
