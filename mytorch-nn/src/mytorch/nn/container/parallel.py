"""Several branches beside each other."""

from __future__ import annotations

from typing import Any

from mytorch.core import Directions, ShapeError, kind_of
from mytorch.nn.container._branches import Branches, Saved, is_unused


class Parallel(Branches):
    """Give the same input to each branch, and return all outputs.

    Forward:   y = (branch_1(x), branch_2(x), ...)
    Backward:  d_x = sum over the branches of their d_x, each for its entry of d_y; a branch whose entry is None,
               since its output was not used, is left out
    Shapes:    x: what every branch takes, its further inputs and options after it;  y: a tuple, one entry a branch
    Raises:    ArgumentError if a branch is not a Module; ContractError if a branch's forward returns no pair;
               ShapeError if d_y has not one entry for each branch, or none that is used;
               StateError if there is no branch, a saved value is used twice, or branches came or went since
    Source:    Szegedy et al. 2014, "Going deeper with convolutions", for branches side by side

    It is a list of its branches: len, iteration, indices and slices, append, insert, extend, pop, del.

    Example:
        >>> low, high = Parallel(Identity(), ReLU())(torch.tensor([-1.0, 2.0]))
        >>> high
        tensor([0., 2.])
    """

    def forward(self, x: Any, *more: Any, **options: Any) -> tuple[tuple[Any, ...], Saved]:
        outputs, saved = self._forward_each(x, more, options)
        return tuple(outputs), (saved, None)

    def backward(self, d_y: tuple[Any, ...], saved: Saved) -> Any:
        self._require_own(saved, type(None))
        if not isinstance(d_y, tuple) or len(d_y) != len(self.layers):
            got = f"a tuple of {len(d_y)}" if isinstance(d_y, tuple) else kind_of(d_y)
            raise ShapeError(
                f"Parallel: d_y must have the shape of the output, a tuple of one entry for each of "
                f"{len(self.layers)} branches, got {got}"
            )
        if is_unused(d_y):
            raise ShapeError("Parallel: d_y must have a gradient for at least one of its entries, got None for each")
        return self._backward_each(d_y, saved[0])

    def tangent(self, t_x: Any, saved: Saved, along: Directions) -> tuple[tuple[Any, ...], list[Any]]:
        t_outputs, t_saved = self._tangent_each(t_x, saved[0], along)
        return tuple(t_outputs), t_saved

    def backward_tangent(
        self, d_y: tuple[Any, ...], t_d_y: tuple[Any, ...], saved: Saved, t_saved: list[Any], along: Directions
    ) -> tuple[Any, Any]:
        return self._backward_tangent_each(d_y, t_d_y, saved[0], t_saved, along)

    def __call__(self, x: Any, *more: Any, **options: Any) -> tuple[Any, ...]:
        return tuple(self._call_each(x, more, options))
