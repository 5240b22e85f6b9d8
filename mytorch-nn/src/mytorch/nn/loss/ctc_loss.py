"""The loss of sequences that are shorter than the input, whatever their alignment."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    DtypeError,
    Loss,
    ShapeError,
    kind_of,
    require_dimensions,
    require_flag,
    require_floating,
    require_input,
    require_saved,
    require_whole,
)
from mytorch.nn.loss._reduction import reduce, require_reduction, upstream_tensor, wide

aten = torch.ops.aten
Saved = tuple[Tensor, Tensor, list[int], list[int], Tensor, Tensor, int]
NOT_OF_LOG_PROBS = "its gradient is that of log_softmax followed by the loss, as torch's is"


class CTCLoss(Loss):
    """How unlikely each target sequence is under any alignment with a longer sequence of predictions.

    An alignment gives each step of the input a class or the blank; merging equal neighbours and then dropping the
    blanks leaves the target.

    Forward:   a[n] = -log(sum over the alignments of row n of the product over its steps t < input_lengths[n] of
               exp(log_probs[t, n, class at t])), by the forward algorithm; value = a for reduction none, sum of a for
               sum, for mean the average over the rows of a[n] / target_lengths[n], or / 1 for an empty target;
               zero_infinity: 0 for a row without any alignment, because its input is too short
    Backward:  d_log_probs[t, n, c] = d_a[n] * (exp(log_probs[t, n, c]) - (the probability, among the alignments, that
               step t is of class c)), 0 at t >= input_lengths[n]; NaN for a row without alignment, with zero_infinity
               0. It is that of the scores of which log_probs are the log_softmax; that of log_probs alone lacks the
               first term, of which LogSoftmax's backward makes 0
    Kernel:    aten._ctc_loss, aten._ctc_loss_backward; half precision is computed in float32
    Shapes:    log_probs: (steps, batch, classes) or (steps, classes);  input_lengths, target_lengths: (batch,) or (),
               whole numbers in a tensor or a tuple;  targets: whole numbers (batch, longest target), of which
               target_lengths count, or all targets one after the other, (sum of target_lengths,);
               value: (), for none (batch,) or ()
    Raises:    ShapeError or DtypeError unless these fit; ArgumentError for lengths below 0 or above those of log_probs
               and targets, for targets that are the blank or no class, and for a blank that is no class
    Source:    Graves et al. 2006, "Connectionist temporal classification: labelling unsegmented sequence data with
               recurrent neural networks"

    Example:
        >>> log_probs = torch.tensor([[0.5, 0.5], [0.25, 0.75]]).log()
        >>> CTCLoss()(log_probs, torch.tensor([1]), (2,), (1,)).exp()  # all but two blanks: 1 / (1 - 0.5 * 0.25)
        tensor(1.1429)
    """

    outputs = "log-softmax"
    conformance: ClassVar[dict[str, Any]] = {
        "inputs": [
            torch.linspace(-3, 3, 96).sin().reshape(8, 3, 4).log_softmax(-1),
            torch.tensor([[1, 2, 2], [3, 1, 0], [2, 0, 0]]),
            torch.tensor([8, 6, 7]),
            torch.tensor([3, 2, 1]),
        ],
        "tags": ("not_traceable",),
        "opt_out": {"finite_differences": NOT_OF_LOG_PROBS, "full_jacobian": NOT_OF_LOG_PROBS},
    }

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        require_whole(self, "blank", blank)
        require_reduction(self, reduction)
        require_flag(self, "zero_infinity", zero_infinity)
        self.blank, self.reduction, self.zero_infinity = blank, reduction, zero_infinity

    def forward(
        self,
        log_probs: Tensor,
        targets: Tensor,
        input_lengths: Tensor | tuple[int, ...],
        target_lengths: Tensor | tuple[int, ...],
    ) -> tuple[Tensor, Saved]:
        self._require_predictions(log_probs)
        rows = log_probs.shape[1] if log_probs.dim() == 3 else 1
        inputs = self._lengths("input_lengths", input_lengths, rows, log_probs.shape[0])
        wanted = self._lengths("target_lengths", target_lengths, rows, None)
        targets = self._whole_targets(targets, wanted, log_probs.shape[-1])
        a, alpha = torch._ctc_loss(_batched(log_probs), targets, inputs, wanted, self.blank, self.zero_infinity)
        values = a.where(a != torch.inf, 0) if self.zero_infinity else a
        if self.reduction == "mean":
            value = (values * _shares(a, wanted)).sum()
        else:
            value = reduce(self.reduction, values if log_probs.dim() == 3 else values.squeeze(0))
        return value.to(log_probs.dtype), (log_probs, targets, inputs, wanted, a, alpha, self.blank)

    def backward(self, d_value: float | Tensor, saved: Saved) -> Tensor:
        require_saved(self, saved, Tensor, Tensor, list, list, Tensor, Tensor, int)
        log_probs, targets, inputs, wanted, a, alpha, blank = saved
        d_value = upstream_tensor(self, d_value, log_probs.shape[1:-1], a)
        d_a = d_value * _shares(a, wanted) if self.reduction == "mean" else d_value.expand_as(a)
        x = _batched(log_probs)
        d_x = aten._ctc_loss_backward(d_a, x, targets, inputs, wanted, a, alpha, blank, self.zero_infinity)
        d_log_probs: Tensor = (d_x if log_probs.dim() == 3 else d_x.squeeze(1)).to(log_probs.dtype)
        return d_log_probs

    def weight_of(self, prediction: Tensor, target: Any) -> int:  # noqa: ARG002
        return prediction.shape[1] if prediction.dim() == 3 else 1

    def _require_predictions(self, log_probs: Tensor) -> None:
        require_dimensions(self, log_probs, 2, 3, name="log_probs")
        require_floating(self, log_probs, "log_probs")
        if log_probs.is_meta:
            raise ArgumentError(
                "CTCLoss: log_probs must hold numbers, got a tensor on the meta device, which has none; the result "
                "depends on lengths and targets, and not on shapes alone"
            )
        if not log_probs.numel():
            raise ShapeError(f"CTCLoss: log_probs must not be empty, got {tuple(log_probs.shape)}")
        if self.blank >= log_probs.shape[-1]:
            raise ArgumentError(
                f"CTCLoss: blank must be one of the classes, 0 to {log_probs.shape[-1] - 1} in log_probs of "
                f"{tuple(log_probs.shape)}, got {self.blank}"
            )

    def _lengths(self, name: str, lengths: Any, rows: int, most: int | None) -> list[int]:
        """The lengths as a list. Raises an error unless there is one for each row, from 0 to the most."""
        if isinstance(lengths, Tensor):
            require_input(self, lengths, name)
            if lengths.is_floating_point() or lengths.is_complex() or lengths.dtype is torch.bool:
                raise DtypeError(f"CTCLoss: {name} must be whole numbers, got {lengths.dtype}; convert with .long()")
            if lengths.shape not in ((rows,), ()):
                raise ShapeError(f"CTCLoss: {name} must have the shape ({rows},), got {tuple(lengths.shape)}")
            lengths = tuple(lengths.reshape(-1).tolist())
        if not isinstance(lengths, tuple):
            raise ArgumentError(
                f"CTCLoss: {name} must be a tensor or a tuple of whole numbers, got {kind_of(lengths)}; "
                f"convert with tuple({name})"
            )
        if len(lengths) != rows:
            raise ShapeError(f"CTCLoss: {name} must have a number for each of {rows} rows, got {len(lengths)}")
        for length in lengths:
            if type(length) is not int or length < 0:
                require_whole(self, f"each of {name}", length)
        if most is not None and max(lengths) > most:
            raise ArgumentError(
                f"CTCLoss: each of {name} must be at most the steps of log_probs, {most}, got {max(lengths)}"
            )
        return list(lengths)

    def _whole_targets(self, targets: Tensor, wanted: list[int], classes: int) -> Tensor:
        """The targets in int64. Raises an error unless those that count are classes but the blank, which the kernel
        does not look at."""
        require_dimensions(self, targets, 1, 2, name="targets")
        if targets.is_floating_point() or targets.is_complex() or targets.dtype is torch.bool:
            raise DtypeError(f"CTCLoss: targets must be whole numbers, got {targets.dtype}; convert with .long()")
        counted = targets = targets.long()
        if targets.dim() == 1:
            if len(targets) != sum(wanted):
                raise ShapeError(
                    f"CTCLoss: concatenated targets must be as many as the sum of target_lengths, {sum(wanted)}"
                    f", got {len(targets)}"
                )
        else:
            if len(targets) != len(wanted) or targets.shape[1] < max(wanted):
                raise ShapeError(
                    f"CTCLoss: targets must be ({len(wanted)}, at least the longest of target_lengths, {max(wanted)})"
                    f", got {tuple(targets.shape)}"
                )
            if min(wanted) < targets.shape[1]:
                places = torch.arange(targets.shape[1], device=targets.device)
                counted = targets[places < torch.tensor(wanted, device=targets.device).unsqueeze(1)]
        if counted.numel():
            self._require_classes(counted, classes)
        return targets

    def _require_classes(self, targets: Tensor, classes: int) -> None:
        low, high = (int(bound) for bound in targets.aminmax())
        no_blank = low > self.blank or high < self.blank or not (targets == self.blank).any()
        if low < 0 or high >= classes or not no_blank:
            wrong = targets[(targets < 0) | (targets >= classes) | (targets == self.blank)]
            raise ArgumentError(
                f"CTCLoss: targets must be classes between 0 and {classes - 1} other than the blank, {self.blank}, "
                f"got {int(wrong[0])}"
            )


def _batched(log_probs: Tensor) -> Tensor:
    """log_probs as the kernel takes them: with a batch, and in no half precision, which it does not know."""
    x = log_probs if log_probs.dim() == 3 else log_probs.unsqueeze(1)
    return wide(x)


def _shares(a: Tensor, wanted: list[int]) -> Tensor:
    """By what a mean multiplies the loss of each row."""
    return a.new_tensor([1 / (len(wanted) * max(length, 1)) for length in wanted])
