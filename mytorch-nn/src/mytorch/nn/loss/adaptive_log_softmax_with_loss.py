"""The log-softmax of very many classes, of which the rare ones are computed only where they are the target."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Directions,
    DtypeError,
    Module,
    ShapeError,
    StateError,
    kind_of,
    require_flags,
    require_input,
    require_last_axis,
    require_like,
    require_range,
    require_same_device,
    require_saved,
    require_upstream,
    require_whole,
)
from mytorch.nn.container import ModuleList, Sequential
from mytorch.nn.linear import Linear

Part = tuple[Tensor, Tensor, Tensor, Any]
"""Of the head or a cluster: rows, the entry that each takes, their log-probabilities, and what the layers saved."""
Saved = tuple[Tensor, list[Part | None]]
TSaved = list[tuple[Tensor, Any] | None]
"""Of each part: the change of its log-probabilities, and what the layers' own backward_tangent needs."""


class AdaptiveLogSoftmaxWithLoss(Module):
    """The log-probability of each row's target among very many classes, the frequent ones first, and the mean loss.

    The classes below the first cutoff are in the head; those from one cutoff to the next are a cluster, of which the
    head has one entry. Only clusters in which there is a target are computed, so it is a layer with two outputs, and
    no Loss: a value of the quantity to minimise alone would hide the first.

    Forward:   head = log_softmax(head(x)), x = input_, t = target_;  tail[i] = log_softmax(tail[i](x)) of cluster i;
               output = head[t] for a class of the head, head[entry of cluster i] + tail[i][t - cutoffs[i]] for one of
               cluster i;  loss = -(average of output)
    Backward:  d_o = d_output - d_loss / batch;  through each log_softmax that was used: d_scores = d_o * (1 at the
               entry that was taken, else 0) - d_o * exp(log_softmax);  d_x = the sum of the d_x of the head and of
               its row's cluster;  a cluster without a target gets no gradients
    Shapes:    input_: (batch, in_features) or (in_features,);  target_: int64, (batch,) or ();
               output: that of target_;  loss: ();  head.weight: (cutoffs[0] + clusters, in_features);
               tail.i.0.weight: (in_features // div_value^(i + 1), in_features);  tail.i.1.weight: (classes of cluster
               i, in_features // div_value^(i + 1))
    Raises:    ArgumentError unless cutoffs are whole numbers that grow, from 1 to n_classes - 1, and for a target that
               is no class; ShapeError or DtypeError unless input_ and target_ fit
    Initial:   that of Linear
    Source:    Grave et al. 2017, "Efficient softmax approximation for GPUs"

    `log_prob(x)` gives the log-probabilities of all classes, `predict(x)` the likeliest class; neither has a backward.

    Example:
        >>> layer = AdaptiveLogSoftmaxWithLoss(8, 1000, cutoffs=[10, 100])
        >>> output, loss = layer(torch.randn(4, 8), torch.tensor([3, 50, 999, 0]))
        >>> output.shape, layer.predict(torch.randn(4, 8)).shape
        (torch.Size([4]), torch.Size([4]))
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"in_features": 4, "n_classes": 8, "cutoffs": [2, 4, 6], "div_value": 2.0, "head_bias": True},
        "inputs": [(5, 4), torch.tensor([0, 5, 2, 1, 4])],
        "tags": ("mixes_batch", "fixed_dimensions", "not_traceable"),
    }

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        require_flags(self, head_bias=head_bias)
        require_whole(self, "in_features", in_features, 1)
        require_whole(self, "n_classes", n_classes, 1)
        self._require_cutoffs(cutoffs, n_classes)
        require_range(self, "div_value", div_value)
        if div_value <= 0:
            raise ArgumentError(f"AdaptiveLogSoftmaxWithLoss: div_value must be above 0, got {div_value}")
        self.in_features, self.n_classes, self.cutoffs = in_features, n_classes, [*cutoffs, n_classes]
        self.div_value, self.head_bias, self.shortlist_size = div_value, head_bias, cutoffs[0]
        self.head = Linear(in_features, self.cutoffs[0] + len(cutoffs), head_bias, device, dtype)
        self.tail = ModuleList()
        for number, (low, high) in enumerate(pairwise(self.cutoffs), 1):
            inner = int(in_features // div_value**number)
            first = Linear(in_features, inner, False, device, dtype)
            self.tail.append(Sequential(first, Linear(inner, high - low, False, device, dtype)))

    def forward(self, input_: Tensor, target_: Tensor) -> tuple[tuple[Tensor, Tensor], Saved]:
        self._require_fitting(input_, target_)
        x, target = input_.view(-1, self.in_features), target_.view(-1)
        output, entry, clusters = x.new_zeros(len(x)), target.clone(), list[Part | None]()
        for number, (low, high) in enumerate(pairwise(self.cutoffs)):
            rows = ((target >= low) & (target < high)).nonzero().squeeze(1)
            if not len(rows):
                clusters.append(None)
                continue
            part = _part(self.tail[number], x[rows], rows, target[rows] - low)
            clusters.append(part)
            output[rows] = _taken(part)
            entry[rows] = self.shortlist_size + number
        head = _part(self.head, x, torch.arange(len(x), device=x.device), entry)
        output += _taken(head)
        return (output.view(target_.shape), -output.mean()), (input_, [head, *clusters])

    def backward(self, d_output: tuple[Tensor | None, Tensor | None], saved: Saved) -> tuple[Tensor | None, None]:
        require_saved(self, saved, Tensor, list)
        input_, parts = saved
        if len(parts) != 1 + len(self.tail):
            raise StateError(
                f"AdaptiveLogSoftmaxWithLoss: saved must hold the head and {len(self.tail)} clusters, got {len(parts)}"
                "; a saved value is good for one backward: call forward again"
            )
        d_o = self._of_both(d_output, input_)
        d_x = torch.zeros(len(d_o), self.in_features, dtype=input_.dtype, device=input_.device)
        for layers in reversed([self.head, *self.tail]):
            part = parts.pop()  # gone behind its backward
            if part is not None:
                d_x.index_add_(0, part[0], layers.backward(_through_log_softmax(d_o, part), part[3]))
        return d_x.view(input_.shape) if self.input_grad else None, None

    def tangent(
        self, t_input: tuple[Tensor | None, None], saved: Saved, along: Directions
    ) -> tuple[tuple[Tensor, Tensor], TSaved]:
        input_, parts = saved
        t_x = None if t_input[0] is None else t_input[0].reshape(-1, self.in_features)
        t_output = input_.new_zeros(input_.shape[:-1].numel())
        t_saved: TSaved = []
        for layers, part in zip([self.head, *self.tail], parts, strict=True):
            if part is None:
                t_saved.append(None)
                continue
            rows, entry, log_p, kept = part
            t_scores, t_kept = layers.tangent(None if t_x is None else t_x[rows], kept, along)
            t_log_p = t_scores - (log_p.exp() * t_scores).sum(1, keepdim=True)
            t_output[rows] += t_log_p.gather(1, entry).squeeze(1)
            t_saved.append((t_log_p, t_kept))
        return (t_output.view(input_.shape[:-1]), -t_output.mean()), t_saved

    def backward_tangent(
        self,
        d_output: tuple[Tensor | None, Tensor | None],
        t_d_output: tuple[Tensor | None, Tensor | None],
        saved: Saved,
        t_saved: TSaved,
        along: Directions,
    ) -> tuple[tuple[Tensor | None, None], tuple[Tensor | None, None]]:
        input_, parts = saved
        d_o, t_d_o = self._of_both(d_output, input_), self._of_both(t_d_output, input_)
        d_x, t_d_x = (input_.new_zeros(len(d_o), self.in_features) for _ in range(2))
        for layers, part, moved in zip([self.head, *self.tail], parts, t_saved, strict=True):
            if part is None or moved is None:
                continue
            (rows, _, log_p, kept), (t_log_p, t_kept) = part, moved
            change = log_p.exp() * t_log_p * d_o[rows].unsqueeze(1)
            d, t_d = _through_log_softmax(d_o, part), _through_log_softmax(t_d_o, part) - change
            d_rows, t_d_rows = layers.backward_tangent(d, t_d, kept, t_kept, along)
            d_x.index_add_(0, rows, d_rows)
            t_d_x.index_add_(0, rows, t_d_rows)
        if not self.input_grad:
            return (None, None), (None, None)
        return (d_x.view(input_.shape), None), (t_d_x.view(input_.shape), None)

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-probabilities of all classes, (batch, n_classes), for x of (batch, in_features)."""
        require_last_axis(self, x, self.in_features)
        head = self.head(x).log_softmax(-1)
        parts = [head[..., : self.shortlist_size]]
        for number, layers in enumerate(self.tail):
            entry = self.shortlist_size + number
            parts.append(head[..., entry : entry + 1] + layers(x).log_softmax(-1))
        return torch.cat(parts, -1)

    def predict(self, x: Tensor) -> Tensor:
        """The likeliest class of each row, (batch,). Clusters are computed for rows whose head points to one."""
        require_last_axis(self, x, self.in_features)
        found: Tensor = self.head(x).argmax(-1)
        rare = found >= self.shortlist_size
        found[rare] = self.log_prob(x[rare]).argmax(-1)
        return found

    def _of_both(self, d_output: Any, input_: Tensor) -> Tensor:
        """The gradient of each row's output, of which the loss is the mean: (batch,)."""
        if not isinstance(d_output, tuple) or len(d_output) != 2:
            raise ShapeError("AdaptiveLogSoftmaxWithLoss: d_output must be a pair, of output and of loss")
        d_output, d_loss = d_output
        rows = input_.shape[:-1]
        d_o = input_.new_zeros(rows.numel())
        if d_output is not None:
            require_upstream(self, d_output, rows, "d_output")
            require_same_device(self, d_output, input_, "d_output", "output")
            d_o = d_o + d_output.reshape(-1)
        if d_loss is not None:
            require_upstream(self, d_loss, (), "d_loss")
            require_same_device(self, d_loss, input_, "d_loss", "output")
            d_o = d_o - d_loss / max(len(d_o), 1)
        return d_o.to(input_.dtype)

    def _require_cutoffs(self, cutoffs: Sequence[int], n_classes: int) -> None:
        if not isinstance(cutoffs, Sequence):
            raise ArgumentError(
                f"AdaptiveLogSoftmaxWithLoss: cutoffs must be a list of whole numbers, got {kind_of(cutoffs)}"
            )
        for cutoff in cutoffs:
            require_whole(self, "each of cutoffs", cutoff, 1)
        if not cutoffs or any(low >= high for low, high in pairwise([*cutoffs, n_classes])):
            raise ArgumentError(
                "AdaptiveLogSoftmaxWithLoss: cutoffs must be one or more increasing whole numbers below "
                f"n_classes, {n_classes}, got {list(cutoffs)}"
            )

    def _require_fitting(self, x: Tensor, target: Tensor) -> None:
        require_last_axis(self, x, self.in_features, "input_")
        require_like(self, x, self.head.weight.value, "input_")
        require_input(self, target, "target_")
        if x.dim() > 2 or target.shape != x.shape[:-1]:
            raise ShapeError(
                "AdaptiveLogSoftmaxWithLoss: input_ and target_ must be (batch, in_features) and (batch,), or "
                f"(in_features,) and (), got {tuple(x.shape)} and {tuple(target.shape)}"
            )
        if target.dtype != torch.int64:
            raise DtypeError(
                f"AdaptiveLogSoftmaxWithLoss: target_ must be int64 classes, got {target.dtype}; convert with .long()"
            )
        require_same_device(self, target, x, "target_", "input_")
        if target.is_meta:
            raise ArgumentError(
                "AdaptiveLogSoftmaxWithLoss: target_ must hold numbers, got a tensor on the meta device, which has "
                "none; which clusters are computed depends on the targets, and not on shapes alone"
            )
        unknown = target[(target < 0) | (target >= self.n_classes)]
        if unknown.numel():
            raise ArgumentError(
                f"AdaptiveLogSoftmaxWithLoss: target_ must be classes between 0 and {self.n_classes - 1}, "
                f"got {int(unknown[0])}"
            )


def _part(layers: Module, x: Tensor, rows: Tensor, entry: Tensor) -> Part:
    scores, kept = layers.forward(x)
    return rows, entry.unsqueeze(1), scores.log_softmax(1), kept


def _taken(part: Part) -> Tensor:
    """One log-probability of each row."""
    _, entry, log_p, _ = part
    return log_p.gather(1, entry).squeeze(1)


def _through_log_softmax(d_o: Tensor, part: Part) -> Tensor:
    """The gradient of the scores, of which one log-probability of each row was taken."""
    rows, entry, log_p, _ = part
    d = d_o[rows].unsqueeze(1)
    return log_p.exp().mul_(-d).scatter_add_(1, entry, d)
