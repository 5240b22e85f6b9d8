"""The sum of several branches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Directions, ShapeError, require_upstream
from mytorch.nn.container._branches import Branches, Saved, added


class Add(Branches):
    """Give the same input to each branch, and add up their outputs: a detour whose short way is a layer, too.

    Forward:   y = branch_1(x) + branch_2(x) + ...
    Backward:  d_x = sum over the branches of their d_x, each of which is given d_y
    Shapes:    x: what every branch takes, its further inputs and options after it;  y: the shape of every output
    Raises:    ArgumentError if a branch is not a Module or gives no tensor; ContractError if a branch's forward
               returns no pair; ShapeError if outputs differ in shape, or d_y has another one; DtypeError if they
               differ in dtype; StateError if there is no branch, a saved value is used twice, or branches came or went
    Source:    He et al. 2015, "Deep residual learning for image recognition"; Residual is Add(Identity(), inner)

    It is a list of its branches: len, iteration, indices and slices, append, insert, extend, pop, del.

    Example:
        >>> Add(Identity(), ReLU())(torch.tensor([-1.0, 2.0]))
        tensor([-1.,  4.])
    """

    def forward(self, x: Any, *more: Any, **options: Any) -> tuple[Tensor, Saved]:
        outputs, saved = self._forward_each(x, more, options)
        y = self._sum(outputs)
        return y, (saved, y.shape)

    def backward(self, d_y: Tensor, saved: Saved) -> Any:
        self._require_own(saved, torch.Size)
        saved_by_branches, shape = saved
        require_upstream(self, d_y, shape)
        return self._backward_each([d_y] * len(self.layers), saved_by_branches)

    def tangent(self, t_x: Any, saved: Saved, along: Directions) -> tuple[Tensor | None, list[Any]]:
        t_outputs, t_saved = self._tangent_each(t_x, saved[0], along)
        return reduce(added, t_outputs), t_saved

    def backward_tangent(
        self, d_y: Tensor, t_d_y: Tensor, saved: Saved, t_saved: list[Any], along: Directions
    ) -> tuple[Any, Any]:
        each = [d_y] * len(self.layers), [t_d_y] * len(self.layers)
        return self._backward_tangent_each(*each, saved[0], t_saved, along)

    def __call__(self, x: Any, *more: Any, **options: Any) -> Tensor:
        return self._sum(self._call_each(x, more, options))

    def _sum(self, outputs: Sequence[Any]) -> Tensor:
        first, *others = self._require_tensors(outputs)
        for number, output in enumerate(others, 1):
            if output.shape != first.shape:
                raise ShapeError(
                    f"Add: output of branch {number} must have the shape of that of branch 0, {tuple(first.shape)}, "
                    f"got {tuple(output.shape)}"
                )
        return reduce(add, others, first)
