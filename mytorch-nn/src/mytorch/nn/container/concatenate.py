"""The outputs of several branches, one after the other along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from mytorch.core import Directions, Module, ShapeError, require_upstream, require_whole
from mytorch.nn._own import require_own
from mytorch.nn.container._branches import Branches, Saved


class Concatenate(Branches):
    """Give the same input to each branch, and join their outputs along an axis: Inception, DenseNet, U-Net.

    Forward:   y = branch_1(x), branch_2(x), ... one after the other along axis dim
    Backward:  d_x = sum over the branches of their d_x, each of which is given its own piece of d_y
    Shapes:    x: what every branch takes, its further inputs and options after it;
               y: that of an output, with the sum of their sizes along dim; dim=1 is that of channels in a batch,
               dim=-3 that of the channels of images with or without a batch
    Raises:    ArgumentError if a branch is not a Module or gives no tensor, or dim is no whole number;
               ContractError if a branch's forward returns no pair; ShapeError if outputs differ in another axis
               than dim or have no such axis, or d_y has not the shape of y; DtypeError if they differ in dtype;
               StateError if there is no branch, a saved value is used twice, or branches came or went since
    Source:    Szegedy et al. 2014, "Going deeper with convolutions"; Huang et al. 2016, "Densely connected
               convolutional networks"; Ronneberger et al. 2015, "U-Net: convolutional networks for biomedical image
               segmentation"

    It is a list of its branches: len, iteration, indices and slices, append, insert, extend, pop, del.

    Example:
        >>> Concatenate(Identity(), ReLU(), dim=0)(torch.tensor([-1.0, 2.0]))
        tensor([-1.,  2.,  0.,  2.])
    """

    conformance: ClassVar[dict[str, Any]] = {"tags": ("fixed_dimensions",)}

    def __init__(self, *branches: Module, dim: int = 1) -> None:
        super().__init__(*branches)
        require_whole(self, "dim", dim, None)
        self.dim = dim

    def forward(self, x: Any, *more: Any, **options: Any) -> tuple[Tensor, Saved]:
        outputs, saved = self._forward_each(x, more, options)
        y = self._join(outputs)
        return y, (saved, (self.dim, y.shape, [output.shape[self.dim] for output in outputs]))

    def backward(self, d_y: Tensor, saved: Saved) -> Any:
        self._require_own(saved, tuple)
        saved_by_branches, (dim, shape, sizes) = saved
        require_own(self, "dim", self.dim, dim)
        require_upstream(self, d_y, shape)
        return self._backward_each(d_y.split(sizes, self.dim), saved_by_branches)

    def tangent(self, t_x: Any, saved: Saved, along: Directions) -> tuple[Tensor | None, list[Any]]:
        saved_by_branches, (dim, shape, sizes) = saved
        t_outputs, t_saved = self._tangent_each(t_x, saved_by_branches, along)
        moves = next((t_output for t_output in t_outputs if t_output is not None), None)
        if moves is None:
            return None, t_saved
        t_y = moves.new_zeros(shape)
        for t_piece, t_output in zip(t_y.split(sizes, dim), t_outputs, strict=True):
            if t_output is not None:
                t_piece.copy_(t_output)
        return t_y, t_saved

    def backward_tangent(
        self, d_y: Tensor, t_d_y: Tensor, saved: Saved, t_saved: list[Any], along: Directions
    ) -> tuple[Any, Any]:
        saved_by_branches, (dim, _, sizes) = saved
        pieces = d_y.split(sizes, dim), t_d_y.split(sizes, dim)
        return self._backward_tangent_each(*pieces, saved_by_branches, t_saved, along)

    def __call__(self, x: Any, *more: Any, **options: Any) -> Tensor:
        return self._join(self._call_each(x, more, options))

    def extra_repr(self) -> str:
        return "" if self.dim == 1 else f"dim={self.dim}"

    def arguments(self) -> dict[str, Any]:
        return {**super().arguments(), "dim": self.dim}

    def _of(self, layers: list[Module]) -> Self:
        return type(self)(*layers, dim=self.dim)

    def _join(self, outputs: Sequence[Any]) -> Tensor:
        tensors = self._require_tensors(outputs)
        first = self._other_sizes(tensors[0])
        for number, output in enumerate(tensors):
            if self._other_sizes(output) != first:
                raise ShapeError(
                    f"Concatenate: output of branch {number} must have the shape of that of branch 0, "
                    f"{tuple(tensors[0].shape)}, but along axis {self.dim}, got {tuple(output.shape)}"
                )
        return torch.cat(tensors, self.dim)

    def _other_sizes(self, output: Tensor) -> list[int]:
        """The sizes along the axes that are not joined. Raises ShapeError if there is no axis to join."""
        if not -output.dim() <= self.dim < output.dim():
            raise ShapeError(
                f"Concatenate: outputs must have an axis {self.dim}, got {output.dim()} axes in {tuple(output.shape)}"
            )
        sizes = list(output.shape)
        sizes.pop(self.dim)
        return [output.dim(), *sizes]
