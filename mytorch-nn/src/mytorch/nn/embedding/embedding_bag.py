"""Bags of indices become one vector each."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Directions,
    SampleGradients,
    ShapeError,
    readable,
    require_choice,
    require_dimensions,
    require_flag,
    require_input,
    require_like,
    require_room,
    require_saved,
    require_upstream,
)
from mytorch.nn._own import require_own
from mytorch.nn.embedding._table import Table
from mytorch.plugins import shown

aten = torch.ops.aten
MODES = ("sum", "mean", "max")


class Bags(NamedTuple):
    """What backward needs: the indices in a row, their bags, what the kernel found, and of which shapes all were."""

    indices: Tensor
    offsets: Tensor
    weights: Tensor | None
    found: tuple[Tensor, ...]  # the bag of each index, the sizes of the bags, the rows with the largest values
    inputs: int  # how many were passed
    shape: torch.Size  # of input
    bags: int
    mode: str
    table: torch.Size


class EmbeddingBag(Table):
    """Take for each bag of indices the sum, average or largest values of their rows of a table of learned vectors.

    Forward:   y[bag] = sum of weight[i] over the indices i of the bag that are not padding_idx, with mode "sum" each
               times its per_sample_weights; their average with "mean"; with "max" the largest value of each column;
               0 for a bag without indices. max_norm: as Embedding
    Backward:  d_weight[row] = sum of d_y[bag] over the places where an index is row, times its per_sample_weights,
               divided by the count of the bag's indices with "mean"; with "max" only from the columns in which this
               row, the first of equals, is the largest; with scale_grad_by_freq divided by the count of these places;
               0 for the row padding_idx;  d_per_sample_weights = sum of d_y[bag] * weight[i]
    Differs:   with scale_grad_by_freq, a torch before 2.14 divides some rows on the CPU by the count of another row
    Kernel:    aten._embedding_bag_backward and aten._embedding_bag_per_sample_weights_backward
    Shapes:    input: int64 or int32, (bags, count), or (places,) with the bags one after the other, of which offsets,
               (bags,), int64 or int32, says where each begins, with include_last_offset (bags + 1,) and where the last
               ends;
               per_sample_weights: as input;  y: (bags, embedding_dim);  weight: (num_embeddings, embedding_dim)
    Raises:    ShapeError for other shapes, or offsets beside bags of one length;
               DtypeError for what holds no indices, or per_sample_weights of another dtype than weight;
               ArgumentError on the CPU for an index that is no row, and offsets that do not begin with 0, fall, or do
               not end within input;
               ArgumentError for arguments that do not fit, as Embedding's, or per_sample_weights without mode "sum",
               or for weights or a y that have no room in memory
    Initial:   weight normal with mean 0 and deviation 1; the row padding_idx is 0
    Source:    Joulin et al. 2016, "Bag of tricks for efficient text classification", for the average; the other modes
               and arguments are those of torch.nn.EmbeddingBag

    Example:
        >>> bag = EmbeddingBag.from_pretrained(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), mode="sum")
        >>> bag(torch.tensor([0, 1, 1]), torch.tensor([0, 2]))
        tensor([[4., 6.],
                [3., 4.]])
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"num_embeddings": 5, "embedding_dim": 2},
        "inputs": [torch.tensor([[0, 3, 3], [4, 0, 1]])],
        "tags": ("fixed_dimensions",),
    }

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self._set_sizes(num_embeddings, embedding_dim, padding_idx)
        self._set_limit(max_norm, norm_type)
        self._refuse_sparse(sparse)
        require_choice(self, "mode", mode, MODES)
        require_flag(self, "scale_grad_by_freq", scale_grad_by_freq)
        require_flag(self, "include_last_offset", include_last_offset)
        if scale_grad_by_freq and mode == "max":
            raise ArgumentError("EmbeddingBag: scale_grad_by_freq must be False with mode 'max', got True")
        self.scale_grad_by_freq, self.mode = scale_grad_by_freq, mode
        self.include_last_offset = include_last_offset
        self._set_weight(_weight, False, device, dtype)

    def forward(
        self,
        input: Tensor,  # noqa: A002
        offsets: Tensor | None = None,
        per_sample_weights: Tensor | None = None,
    ) -> tuple[Tensor, Bags]:
        self._require_bags(input, offsets)
        if per_sample_weights is not None:
            self._require_weights(per_sample_weights, input)
        indices, last = input.reshape(-1).contiguous(), self.include_last_offset
        if offsets is None:
            starts, last = torch.arange(len(input), dtype=input.dtype, device=input.device) * input.shape[1], False
        else:
            starts = offsets.to(input.dtype).contiguous()  # the kernels read both in one dtype
        if self.max_norm is not None:
            self._shorten(indices)
        require_room(self, "y", (len(starts) - last, self.embedding_dim), self.weight.value, "pass fewer bags")
        weights = None if per_sample_weights is None else per_sample_weights.reshape(-1).contiguous()
        y, *found = aten._embedding_bag(self.weight.value, indices, starts, *self._how(), weights, last, self._padding)
        inputs = 3 if weights is not None else 1 if offsets is None else 2
        kept = Bags(
            indices, starts, weights, tuple(found), inputs, input.shape, len(y), self.mode, self.weight.value.shape
        )
        return y, kept

    def backward(self, d_y: Tensor, saved: Bags) -> tuple[Tensor | None, ...] | None:
        require_saved(self, saved, *KINDS)
        require_own(self, "a table of", tuple(self.weight.value.shape), tuple(saved.table))
        require_own(self, "mode", self.mode, saved.mode)
        require_upstream(self, d_y, (saved.bags, self.embedding_dim))
        require_like(self, d_y, self.weight.value, "d_y")
        if self.weight.trainable:
            self.weight.accumulate(self._d_weight(d_y, saved))
        if saved.inputs < 3 or not self.input_grad:
            return _nothing(saved)
        return None, None, self._d_per_sample_weights(d_y, saved, self.weight.value)

    def tangent(
        self, t_input: tuple[None, None, Tensor | None] | None, saved: Bags, along: Directions
    ) -> tuple[Tensor, Tensor | None]:
        if self.mode == "max":
            _, sizes, largest = saved.found
            return along[self.weight].gather(0, largest.long()).where(sizes.unsqueeze(1) != 0, 0), None
        t_y = self._of_bags(along[self.weight], saved, saved.weights)
        if saved.inputs < 3 or t_input is None or t_input[2] is None:
            return t_y, None
        t_weights = t_input[2].reshape(-1).contiguous()
        return t_y + self._of_bags(self.weight.value, saved, t_weights), t_weights

    def backward_tangent(
        self, d_y: Tensor, t_d_y: Tensor, saved: Bags, t_weights: Tensor | None, along: Directions
    ) -> tuple[Any, Any]:
        if self.weight.trainable:
            t_d_weight = self._d_weight(t_d_y, saved)
            if t_weights is not None:
                t_d_weight += self._d_weight(d_y, saved._replace(weights=t_weights))
            self.weight.accumulate(t_d_weight)
        if saved.inputs < 3 or not self.input_grad:
            return _nothing(saved), _nothing(saved)
        d_weights, t_d_weights = (self._d_per_sample_weights(d, saved, self.weight.value) for d in (d_y, t_d_y))
        t_d_weights = t_d_weights + self._d_per_sample_weights(d_y, saved, along[self.weight])
        return (None, None, d_weights), (None, None, t_d_weights)

    def sample_gradients(self, d_y: Tensor, saved: Bags, axis: int) -> dict[str, SampleGradients] | None:  # noqa: ARG002
        if self.mode == "max":
            return None
        indices = saved.indices
        bag_of = torch.bucketize(torch.arange(len(indices), device=indices.device), saved.offsets, right=True) - 1
        d_rows = d_y[bag_of.clamp_(max=saved.bags - 1)]  # the last offset may be the end
        if saved.weights is not None:
            d_rows = d_rows * saved.weights.unsqueeze(1)
        if self.mode == "mean":
            counted = (indices != self._padding).to(d_y.dtype)
            d_rows = d_rows / d_y.new_zeros(saved.bags).index_add_(0, bag_of, counted)[bag_of].unsqueeze(1).clamp_(1)
        return self._of_uses(bag_of, indices, d_rows, saved.bags)

    def _of_bags(self, table: Tensor, saved: Bags, weights: Tensor | None) -> Tensor:
        """The sums or averages of the rows of a table of its size."""
        last = len(saved.offsets) != saved.bags
        y: Tensor = aten._embedding_bag(
            table, saved.indices, saved.offsets, *self._how(), weights, last, self._padding
        )[0]
        return y

    def _d_weight(self, d_y: Tensor, saved: Bags) -> Tensor:
        indices, offsets, weights, found, *_ = saved
        d_weight: Tensor = aten._embedding_bag_backward(
            d_y, indices, offsets, *found, self.num_embeddings, *self._how(), weights, self._padding
        )
        if self.scale_grad_by_freq:
            counts = indices.new_zeros(self.num_embeddings).index_add_(0, indices, torch.ones_like(indices))
            d_weight.div_(counts.clamp_(min=1).unsqueeze(-1))
        return d_weight

    def _d_per_sample_weights(self, d_y: Tensor, saved: Bags, weight: Tensor) -> Tensor:
        """The gradients of the weights of a sum of rows of `weight`, the own table or that along which it moves."""
        indices, offsets, _, (bag_of, *_), *_ = saved
        dtype = d_y.dtype
        if dtype is torch.bfloat16 and not d_y.is_cpu:  # which the kernel for a GPU does not know
            d_y, weight = d_y.float(), weight.float()
        d_weights: Tensor = aten._embedding_bag_per_sample_weights_backward(
            d_y, weight, indices, offsets, bag_of, MODES.index(self.mode), self._padding
        )
        return d_weights.to(dtype).reshape(saved.shape)

    def _how(self) -> tuple[bool, int, bool]:
        """What the kernels are told: no division by frequency, the mode, and that the gradient is not sparse."""
        return False, MODES.index(self.mode), False

    def _require_bags(self, indices: Tensor, offsets: Tensor | None) -> None:
        """Raise an error unless indices and offsets describe bags."""
        self._require_indices(indices, "input")
        require_dimensions(self, indices, 1, 2, name="input")
        if (offsets is None) != (indices.dim() == 2):
            raise ShapeError(
                "EmbeddingBag: input must be (bags, count) without offsets or (indices,) with them, "
                f"got {tuple(indices.shape)} and {'no ' if offsets is None else ''}offsets"
            )
        if offsets is not None:
            self._require_indices(offsets, "offsets")
            require_dimensions(self, offsets, 1, name="offsets")
            if self.include_last_offset and not len(offsets):
                raise ShapeError("EmbeddingBag: offsets must have the end of the last bag, got no offsets at all")
            if len(indices) and not len(offsets):  # of which the kernel's backward ends the process
                raise ShapeError(
                    f"EmbeddingBag: offsets must begin a bag for {len(indices)} indices, got no offsets at all"
                )
        if (seen := readable(indices)) is not None:
            self._require_known(seen, "input")
        if offsets is not None and len(offsets) and (seen := readable(offsets)) is not None:
            self._require_order(seen, len(indices))

    def _require_order(self, offsets: Tensor, count: int) -> None:
        """Raise ArgumentError unless the bags begin at 0 and one after the other, and end where the indices do."""
        end, last = int(offsets[-1]), self.include_last_offset
        falls = bool((offsets[1:] < offsets[:-1]).any())
        if int(offsets[0]) != 0 or falls or (end != count if last else end > count):
            raise ArgumentError(
                "EmbeddingBag: offsets must begin with 0, never decrease, and end "
                f"{'with' if last else 'at most with'} the number of indices, {count}, got {offsets.tolist()}"
            )

    def _require_weights(self, weights: Tensor, indices: Tensor) -> None:
        """Raise an error unless there is one weight for each index, and they are summed."""
        require_input(self, weights, "per_sample_weights")
        if weights.shape != indices.shape:
            raise ShapeError(
                f"EmbeddingBag: per_sample_weights must have the shape of input, {tuple(indices.shape)}, "
                f"got {tuple(weights.shape)}"
            )
        require_like(self, weights, self.weight.value, "per_sample_weights")
        self._require_sum()

    def _require_sum(self) -> None:
        if self.mode != "sum":
            raise ArgumentError(
                f"EmbeddingBag: mode must be 'sum' for per_sample_weights, which weight a sum, got {shown(self.mode)}"
            )


def _nothing(saved: Bags) -> tuple[None, ...] | None:
    """No gradient for any of the inputs."""
    return (None,) * saved.inputs if saved.inputs > 1 else None


KINDS: tuple[Any, ...] = (Tensor, Tensor, Tensor | None, tuple, int, torch.Size, int, str, torch.Size)
"""What a saved value consists of."""
