"""Sequences of different lengths in memory, and how a batch of them is padded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mytorch.core import ArgumentError, DataSet, DtypeError, ShapeError, kind_of, require_flag, rows_at
from mytorch.data.tensor_data_set import TensorDataSet

PADDING = -100
"""The class of what is no step, which losses and metrics leave out: the ignore_index of CrossEntropyLoss."""


class Steps:
    """Where the steps of sequences stand that lie one behind the other. lengths: (sequences,), int64, at least 1."""

    def __init__(self, lengths: Tensor) -> None:
        self.lengths, self.starts = lengths, lengths.cumsum(0) - lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def places(self, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of a batch, the place of each step, (batch, longest); which of them are padding; and the lengths."""
        lengths = rows_at(self.lengths, indices)
        at = torch.arange(int(lengths.max()) if len(lengths) else 0)
        padding = at >= lengths.unsqueeze(1)
        return (rows_at(self.starts, indices).unsqueeze(1) + at).masked_fill(padding, 0), padding, lengths

    def of(self, indices: Tensor) -> Tensor:
        """The places of all steps of some sequences, one behind the other."""
        places, padding, _ = self.places(indices)
        return places[~padding]


class RaggedDataSet(DataSet):
    """Sequences of different lengths that lie in memory. A batch is padded with 0 to its longest sequence.

    inputs:   a list of tensors, arrays or lists of numbers, one a sequence: (steps, columns), or (steps,) of whole
              numbers such as words
    targets:  one for each sequence, as TensorDataSet takes them; with per_step a list of sequences of classes
    columns, classes: the names of the input columns and of the classes
    per_step: whether each step of a sequence has a target, which must then be a class
    Shapes:   inputs: {"x": (batch, longest, columns) or (batch, longest), "lengths": (batch,), int64};
              targets: (batch, ...); with per_step (batch, longest), int64, -100 in the padding, which CrossEntropyLoss
              leaves out
    Raises:   ShapeError for sequences without steps or with different columns, and for another number of targets;
              DtypeError for what is no number, or no class with per_step; ArgumentError for names that do not fit

    A model gets the entries by name, such as mytorch.nn.Padded, which tells its layers how long the sequences are.

    Example:
        >>> import torch
        >>> from mytorch.data import RaggedDataSet
        >>> data = RaggedDataSet([torch.ones(2, 1), torch.ones(3, 1)], [0, 1])
        >>> inputs, targets = data[:]
        >>> inputs["x"][..., 0], inputs["lengths"], targets
        (tensor([[1., 1., 0.],
                [1., 1., 1.]]), tensor([2, 3]), tensor([0, 1]))
    """

    ragged = True

    def __init__(
        self,
        inputs: Sequence[Any],
        targets: Any,
        columns: Sequence[str] = (),
        classes: Sequence[str] | None = None,
        per_step: bool = False,
    ) -> None:
        require_flag(self, "per_step", per_step)
        values, lengths = _joined("inputs", inputs)
        of_steps: Any = torch.zeros(len(values), dtype=torch.int64)
        if per_step:
            of_steps, found = _joined("targets", targets)
            if found.tolist() != lengths.tolist():
                raise ShapeError(
                    "RaggedDataSet: targets must have as many steps as the inputs, got "
                    f"{_first_difference(found.tolist(), lengths.tolist())}"
                )
        self._steps, self._per_step = Steps(lengths), per_step
        self._of_steps = TensorDataSet(values, of_steps, columns, classes)
        if per_step and (self._of_steps.targets.dtype is not torch.int64 or self._of_steps.targets.dim() > 1):
            raise DtypeError(
                f"RaggedDataSet: targets of steps must be classes, one int64 each, got {self._of_steps.targets.dtype} "
                f"of {tuple(self._of_steps.targets.shape[1:])}"
            )
        self._of_sequences = None if per_step else TensorDataSet(lengths, targets)
        self.targets = None if self._of_sequences is None else self._of_sequences.targets
        self.columns, self.classes = self._of_steps.columns, self._of_steps.classes

    def __len__(self) -> int:
        return len(self._steps)

    def batch_at(self, indices: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        return self._padded(indices, DataSet.batch_at.__name__)

    def exact_at(self, indices: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        return self._padded(indices, DataSet.exact_at.__name__)

    def _padded(self, indices: Tensor, method: str) -> tuple[dict[str, Tensor], Tensor]:
        """The batch, whose numbers either method of the rows gives."""
        places, padding, lengths = self._steps.places(indices)
        x, classes = (unflat(values, places) for values in getattr(self._of_steps, method)(places.flatten()))
        inputs = {"x": zeroed(x, padding), "lengths": lengths}
        if self._of_sequences is None:
            return inputs, classes.masked_fill(padding, PADDING)
        return inputs, getattr(self._of_sequences, method)(indices)[1]


def unflat(values: Tensor, places: Tensor) -> Tensor:
    """Values of places one behind the other as those of sequences."""
    return values.reshape(*places.shape, *values.shape[1:])


def zeroed(x: Tensor, padding: Tensor) -> Tensor:
    """Sequences with 0 in the padding."""
    return x.masked_fill(padding.reshape(*padding.shape, *[1] * (x.dim() - 2)), 0)


def _joined(what: str, sequences: Any) -> tuple[Any, Tensor]:
    """Sequences one behind the other, and their lengths. Raises ShapeError and ArgumentError."""
    if not isinstance(sequences, Sequence) or isinstance(sequences, str) or not len(sequences):
        raise ArgumentError(f"RaggedDataSet: {what} must be a list of sequences, got {kind_of(sequences)}")
    tensors = all(isinstance(each, Tensor) for each in sequences)
    arrays: list[Any] = [each if tensors else np.asarray(each) for each in sequences]
    shape = tuple(arrays[0].shape[1:])
    for number, each in enumerate(arrays):
        if each.ndim == 0 or len(each) == 0:
            raise ShapeError(
                f"RaggedDataSet: every sequence of {what} must have at least one step, got {tuple(each.shape)} as "
                f"number {number}"
            )
        if tuple(each.shape[1:]) != shape:
            raise ShapeError(
                f"RaggedDataSet: steps of {what} must have one shape, {shape} as those of number 0, got "
                f"{tuple(each.shape[1:])} in number {number}"
            )
    lengths = torch.tensor([len(each) for each in arrays])
    return torch.cat(arrays) if tensors else np.concatenate(arrays), lengths


def _first_difference(found: list[int], wanted: list[int]) -> str:
    """Where two lists of lengths differ, for a message."""
    if len(found) != len(wanted):
        return f"{len(found)} sequences for {len(wanted)}"
    number = next(place for place, (one, other) in enumerate(zip(found, wanted, strict=True)) if one != other)
    return f"{found[number]} for {wanted[number]} in number {number}"
