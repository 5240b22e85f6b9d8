"""What the embeddings share: the table of vectors, and what an index must be."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import init

from mytorch.core import (
    ArgumentError,
    DtypeError,
    Module,
    Parameter,
    SampleGradients,
    ShapeError,
    TableRows,
    empty,
    require_device,
    require_flag,
    require_floating,
    require_floating_dtype,
    require_input,
    require_range,
    require_same_device,
    require_whole,
)
from mytorch.nn._visible import out_of_range
from mytorch.plugins import shown

aten = torch.ops.aten


class Table(Module):
    """The base of layers that hold a table of `num_embeddings` vectors; the row padding_idx is not trained."""

    num_embeddings: int
    embedding_dim: int
    padding_idx: int | None
    max_norm: float | None
    norm_type: float
    scale_grad_by_freq: bool
    weight: Parameter

    def _set_sizes(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None) -> None:
        """Keep the sizes; a padding_idx below 0 counts from the end. Raises ArgumentError."""
        require_whole(self, "num_embeddings", num_embeddings)
        require_whole(self, "embedding_dim", embedding_dim)
        if padding_idx is not None:
            require_whole(self, "padding_idx", padding_idx, None)
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ArgumentError(
                    f"{self._name}: padding_idx must be one of {num_embeddings} rows, got {padding_idx}"
                )
            padding_idx %= num_embeddings
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx

    def _set_limit(self, max_norm: float | None, norm_type: float) -> None:
        if max_norm is not None:
            require_range(self, "max_norm", max_norm, 0)
        require_range(self, "norm_type", norm_type)
        self.max_norm, self.norm_type = max_norm, float(norm_type)

    def _refuse_sparse(self, sparse: bool) -> None:
        """Raise ArgumentError if sparse gradients are asked for."""
        require_flag(self, "sparse", sparse)
        if sparse:
            raise ArgumentError(
                f"{self._name}: sparse must be False, since the gradients of mytorch are dense, "
                f"got {shown(sparse)}; "
                "leave it out: mytorch.optim.SparseAdam updates only the rows whose gradient is not 0"
            )

    def _set_weight(
        self, weight: Tensor | None, freeze: bool, device: torch.device | str | None, dtype: torch.dtype | None
    ) -> None:
        """Keep a given table, or draw one. Raises ShapeError for a table of other sizes."""
        require_device(self, device)
        require_floating_dtype(self, dtype)
        shape = (self.num_embeddings, self.embedding_dim)
        if weight is None:
            self.weight = Parameter(empty(self, "weight", shape, device, dtype), trainable=not freeze)
            self.reset_parameters()
            return
        require_floating(self, weight, "_weight")
        if weight.shape != shape:
            raise ShapeError(f"{self._name}: _weight must be {shape}, got {tuple(weight.shape)}")
        self.weight = Parameter(weight, trainable=not freeze)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw a new table from torch's generator, or from the one given; the row padding_idx is 0."""
        init.normal_(self.weight.value, generator=generator)
        if self.padding_idx is not None:
            self.weight.value[self.padding_idx] = 0

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, **options: Any) -> Self:
        """A layer with this table, which it shares; with freeze it is not trained. The options are the constructor's.

        Raises ShapeError unless the table has two axes, DtypeError unless it is floating point.
        """
        require_floating(cls.__name__, embeddings, "embeddings")
        if embeddings.dim() != 2:
            raise ShapeError(
                f"{cls.__name__}: embeddings must be (num_embeddings, embedding_dim), got {tuple(embeddings.shape)}"
            )
        layer = cls(*embeddings.shape, **{**options, "_weight": embeddings})
        layer.weight.trainable = not freeze
        return layer

    def _require_indices(self, indices: Tensor, name: str) -> None:
        """Raise DtypeError unless a tensor holds what an index can be; ArgumentError on another device."""
        require_input(self, indices, name)
        if indices.dtype not in (torch.int64, torch.int32):
            raise DtypeError(
                f"{self._name}: {name} must hold indices, int64 or int32, got {indices.dtype}; convert with .long()"
            )
        require_same_device(self, indices, self.weight.value, name)

    def _require_known(self, indices: Tensor, name: str) -> None:
        """Raise ArgumentError for an index that is no row of the table."""
        unknown = out_of_range(indices, self.num_embeddings)
        if unknown is not None:
            raise ArgumentError(
                f"{self._name}: {name} must hold indices between 0 and {self.num_embeddings - 1}, got {unknown}"
            )

    def _shorten(self, indices: Tensor) -> None:
        """Scale the rows in use down to max_norm, in place, where they are longer; the step is not differentiated."""
        if self.embedding_dim:
            aten.embedding_renorm_(self.weight.value, indices.contiguous(), self.max_norm, self.norm_type)

    def _of_uses(self, sample_of: Tensor, row_of: Tensor, d_rows: Tensor, samples: int) -> dict[str, SampleGradients]:
        """The gradients of single samples, from the uses of rows. Raises ArgumentError if uses by others count."""
        if self.scale_grad_by_freq:
            raise ArgumentError(
                f"{self._name}: scale_grad_by_freq must be False where gradients of single samples are asked for, got "
                "True, which divides by how often the whole batch uses a row"
            )
        if self.padding_idx is not None:
            d_rows = d_rows * (row_of != self.padding_idx).unsqueeze(1)
        shape = self.num_embeddings, self.embedding_dim
        return {"weight": TableRows.of_uses(sample_of, row_of, d_rows, samples, shape)}

    @property
    def _padding(self) -> int:
        """The row of padding as torch's kernels are told it, -1 for none."""
        return -1 if self.padding_idx is None else self.padding_idx

    @property
    def _name(self) -> str:
        return type(self).__name__
