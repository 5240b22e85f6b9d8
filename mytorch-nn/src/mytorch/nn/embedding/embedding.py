"""Indices become vectors."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from mytorch.core import (
    Directions,
    SampleGradients,
    readable,
    require_flag,
    require_flags,
    require_like,
    require_room,
    require_saved,
    require_upstream,
)
from mytorch.core.compiling import is_compiling
from mytorch.nn._own import require_own
from mytorch.nn.embedding._table import Table

aten = torch.ops.aten


class Embedding(Table):
    """Take for each index its row of a table of learned vectors.

    Forward:   y = weight[x]; with max_norm, each of these rows whose norm is larger is scaled down to it first, in
               the table itself, the norm being (sum of |weight|^norm_type)^(1 / norm_type)
    Backward:  d_weight[row] = sum of d_y over the places where x is row, 0 for the row padding_idx; with
               scale_grad_by_freq divided by the number of these places. The scaling to max_norm is not differentiated
    Kernel:    aten.embedding_dense_backward
    Shapes:    x: any, int64 or int32;  y: (*x.shape, embedding_dim);  weight: (num_embeddings, embedding_dim)
    Raises:    DtypeError for what holds no indices; ArgumentError on the CPU for an index that is no row;
               ArgumentError for sizes or a padding_idx that do not fit, a max_norm below 0, and sparse=True, or for
               weights or a y that have no room in memory
    Initial:   weight normal with mean 0 and deviation 1; the row padding_idx is 0
    Source:    Bengio et al. 2003, "A neural probabilistic language model"

    Example:
        >>> Embedding.from_pretrained(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))(torch.tensor([1, 0, 1]))
        tensor([[3., 4.],
                [1., 2.],
                [3., 4.]])
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"num_embeddings": 5, "embedding_dim": 2},
        "inputs": [torch.tensor([[0, 3, 3], [4, 0, 1]])],
    }

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        require_flags(self, _freeze=_freeze)
        self._set_sizes(num_embeddings, embedding_dim, padding_idx)
        self._set_limit(max_norm, norm_type)
        self._refuse_sparse(sparse)
        require_flag(self, "scale_grad_by_freq", scale_grad_by_freq)
        self.scale_grad_by_freq = scale_grad_by_freq
        self._set_weight(_weight, _freeze, device, dtype)

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, **options: Any) -> Self:
        return super().from_pretrained(embeddings, freeze, _freeze=freeze, **options)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, torch.Size]]:
        self._require_indices(x, "x")
        weight = self.weight.value
        if not x.is_cpu and (seen := readable(x)) is not None:
            self._require_known(seen, "x")
        if self.max_norm is not None:
            if x.is_cpu and not is_compiling():  # the kernel would have written rows before it finds one that is none
                self._require_known(x, "x")
            self._shorten(x)
        try:
            return torch.embedding(weight, x, self._padding), (x, weight.shape)
        except (IndexError, RuntimeError):  # torch looks at each index anyway
            require_room(self, "y", (*x.shape, self.embedding_dim), weight, "pass fewer indices")
            self._require_known(x, "x")
            raise

    def backward(self, d_y: Tensor, saved: tuple[Tensor, torch.Size]) -> None:
        require_saved(self, saved, Tensor, torch.Size)
        x, shape = saved
        require_own(self, "a table of", tuple(self.weight.value.shape), tuple(shape))
        require_upstream(self, d_y, (*x.shape, self.embedding_dim))
        require_like(self, d_y, self.weight.value, "d_y")
        if self.weight.trainable:
            self.weight.accumulate(
                aten.embedding_dense_backward(d_y, x, self.num_embeddings, self._padding, self.scale_grad_by_freq)
            )

    def tangent(self, t_x: None, saved: tuple[Tensor, torch.Size], along: Directions) -> tuple[Tensor, None]:  # noqa: ARG002
        return torch.embedding(along[self.weight], saved[0]), None

    def backward_tangent(
        self,
        d_y: Tensor,  # noqa: ARG002 - the gradient of the table is linear in it
        t_d_y: Tensor,
        saved: tuple[Tensor, torch.Size],
        t_saved: None,  # noqa: ARG002
        along: Directions,  # noqa: ARG002
    ) -> tuple[None, None]:
        self.backward(t_d_y, saved)
        return None, None

    def sample_gradients(self, d_y: Tensor, saved: tuple[Tensor, torch.Size], axis: int) -> dict[str, SampleGradients]:
        rows = saved[0].movedim(axis, 0).flatten(1)
        d_rows = d_y.movedim(axis, 0).reshape(*rows.shape, self.embedding_dim).flatten(0, 1)
        sample_of = torch.arange(len(rows), device=rows.device).repeat_interleave(rows.shape[1])
        return self._of_uses(sample_of, rows.flatten(), d_rows, len(rows))
