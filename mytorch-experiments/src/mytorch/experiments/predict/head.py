"""What a model's outputs mean: labels and probabilities, or numbers in their units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import torch
from torch import Tensor

from mytorch.core import OUTPUTS, ShapeError, kind_of, require_choice
from mytorch.data.dtype import digits_of
from mytorch.data.preparation.moments import TARGETS, Moments

Kind = Literal["softmax", "log-softmax", "sigmoid", "scores", "one-hot", "numbers"]
"""How outputs are read: as the loss says that they were trained with; "one-hot" where its numbers are of classes."""

FEW = 16
"""Up to so many classes, a softmax along the other axis takes a fifth of the time."""


@dataclass(frozen=True)
class Predictions:
    """The predictions of a model for some rows, in their order.

    A row may have several places, each with its class, such as the pixels of an image or the tokens of a text.

    probabilities: (rows, classes, places...), float64, adding up to 1 along the classes; None for numbers.
    values: (rows, outputs...), float64, in the units of the target; None for classes.
    classes: the names of the columns of `probabilities`; () for numbers.
    indices: the column of the class of each row, or of each of its places, int64; None for numbers.
    digits: how many significant digits the model's dtype has; further ones are rounding.
    names: of the columns of `values`; () if they have none.
    lengths: how many steps each row has, int64, (rows,), if sequences of different lengths have an output for each
        step; after the last step, probabilities are 0, values NaN and indices -1. None otherwise.
    others: the further outputs of a model that has several; the fields above are about the first one.
    """

    probabilities: Tensor | None = None
    values: Tensor | None = None
    classes: tuple[str, ...] = ()
    indices: Tensor | None = None
    digits: int = 17
    names: tuple[str, ...] = ()
    lengths: Tensor | None = None
    others: tuple[Tensor, ...] = ()

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The class name of each row; None for numbers, and if rows have several places."""
        if self.indices is None or self.indices.dim() > 1:
            return None
        return tuple(self.classes[index] for index in self.indices.tolist())

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the outputs: (rows, columns), with more axes where a row has several places."""
        return next(tuple(held.shape) for held in (self.values, self.probabilities) if held is not None)

    @property
    def steps(self) -> int:
        """Which axis of the outputs is that of the steps of a sequence."""
        return 2 if self.values is None else 1

    def __len__(self) -> int:
        return next(len(held) for held in (self.values, self.indices) if held is not None)


@dataclass(frozen=True)
class Head:
    """How to read the outputs of a model that was trained with one loss on one kind of target.

    softmax:      p = softmax(outputs), one column a class
    log-softmax:  p = exp(outputs), one column a class, made to add up to 1
    sigmoid:      p = sigmoid(output) of the second class, if there is one column; of several columns, sigmoid(outputs)
                  made to add up to 1
    scores:       shares stand for probabilities: what is negative counts as 0, and the rest is made to add up to 1; if
                  nothing is left, all classes are equal. One column s counts as the two columns -s and s
    one-hot:      outputs near 0 and 1, as a loss of numbers makes them of one-hot targets: shares as those of scores.
                  One column, cut to [0, 1], is that of the second class
    numbers:      values = outputs, times std plus mean if there are moments

    The label is the class with the largest output; of one column the second class if p > 1/2.
    classes: their names; None numbers them.
    names: those of several numbers; () if they have none.
    """

    kind: Kind
    classes: tuple[str, ...] | None = None
    moments: Moments | None = None
    names: tuple[str, ...] = ()

    def read(self, outputs: Any) -> Predictions:
        """The meaning of a batch of outputs, (rows, columns), or (rows, columns, places...) where each place of a row
        has a class or a number of its own. Of a tuple it is that of the first; the other tensors with as many rows are
        kept as they are. Raises ShapeError unless they fit.
        """
        if isinstance(outputs, tuple) and outputs:
            return replace(self.read(outputs[0]), others=_others(outputs))
        if not isinstance(outputs, Tensor) or outputs.dim() == 0 or not outputs.is_floating_point():
            got = f"{outputs.dtype} of {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else kind_of(outputs)
            raise ShapeError(
                "predict: the model's output must be one tensor of floating-point numbers, (rows, columns) or with "
                f"further axes, got {got}; use run.net(inputs)"
            )
        digits = digits_of(outputs.dtype)
        exact = outputs.detach().to(torch.float64, copy=True)
        exact = exact.unsqueeze(1) if exact.dim() == 1 else exact
        if self.kind == "numbers":
            values = exact if self.moments is None else self.moments.in_units(exact)
            named = self.names if len(self.names) == values.shape[1] else ()
            return Predictions(values=values, digits=min(17, digits + self._leading), names=named)
        probabilities, indices = self._judge(exact.movedim(1, -1).reshape(-1, exact.shape[1]))
        rows, count, places = len(exact), probabilities.shape[1], exact.shape[2:]
        of_places = probabilities.reshape(rows, *places, count).movedim(-1, 1)
        return Predictions(of_places, None, self._names(count), indices.reshape(rows, *places), digits)

    @property
    def _leading(self) -> int:
        """How many digits in front are those of a mean that is far from 0, and tell no two values apart."""
        if self.moments is None:
            return 0
        ratio = float((self.moments.mean.abs() / self.moments.std).max())
        return math.ceil(math.log10(ratio)) if 1 < ratio < math.inf else 0

    def _judge(self, columns: Tensor) -> tuple[Tensor, Tensor]:
        """The probabilities of a batch and the index of each row's class."""
        if self.kind in ("softmax", "log-softmax"):
            few = columns.shape[1] <= FEW
            return columns.T.softmax(0).T if few else columns.softmax(1), columns.argmax(1)
        if self.kind == "sigmoid" and columns.shape[1] > 1 and self.classes is None:
            raise ShapeError(
                'predict: after a loss of "sigmoid" outputs, there must be one column or one for each named class, '
                f"got {columns.shape[1]} columns without names; use run.net(inputs).sigmoid()"
            )
        if self.kind == "scores" and columns.shape[1] == 1:
            columns = torch.cat((-columns, columns), 1)
        scores = columns.sigmoid() if self.kind == "sigmoid" else columns
        if columns.shape[1] == 1:
            p = scores.clamp(0, 1)
            return torch.cat((1 - p, p), 1), (p > 0.5).long().reshape(-1)
        scores = scores.clamp(min=0)
        total = scores.sum(1, keepdim=True)
        uniform = torch.full_like(scores, 1 / columns.shape[1])
        return torch.where(total > 0, scores / total, uniform), columns.argmax(1)

    def _names(self, count: int) -> tuple[str, ...]:
        names = self.classes or tuple(map(str, range(count)))
        if len(names) != count:
            raise ShapeError(
                f"predict: the model's output must have a column for each class of {', '.join(names)}, got {count}"
            )
        return names


def _others(outputs: tuple[Any, ...]) -> tuple[Tensor, ...]:
    """The tensors behind the first one that have as many rows."""
    rows = len(outputs[0])
    tensors = [value for value in outputs[1:] if isinstance(value, Tensor) and value.dim() > 0]
    return tuple(value.detach().clone() for value in tensors if len(value) == rows)


def head_for(
    outputs: str, encoding: str, classes: Sequence[Any] | None, preparation: Mapping[str, Any] | None
) -> Head:
    """How to read what a model was trained to put out.

    outputs: the word of its loss, see mytorch.core.Loss.
    encoding: how targets reached the loss, "as-is", "one-hot", "binary" or "standardize".
    classes, preparation: what the training data says of itself.
    Raises ArgumentError for another word.
    """
    require_choice("predict", "the loss's outputs", outputs, OUTPUTS)
    of_classes = classes is not None or encoding in ("one-hot", "binary")
    of_numbers = encoding == "standardize" or _has_numbers(preparation)
    if outputs == "numbers" or (outputs == "scores" and of_numbers):
        outputs = "one-hot" if of_classes else "numbers"
    if outputs == "numbers":
        return Head("numbers", moments=Moments.of(preparation, TARGETS))
    return Head(cast(Kind, outputs), None if classes is None else tuple(map(str, classes)))


def _has_numbers(preparation: Mapping[str, Any] | None) -> bool:
    """Whether the target is a table's column of numbers."""
    told: Any = preparation
    for key in ("table", "target"):
        told = told.get(key) if isinstance(told, Mapping) else None
    return isinstance(told, Mapping) and told.get("kind") == "number"


def readable(outputs: Any) -> bool:
    """Whether outputs are of rows that have one place each."""
    return isinstance(outputs, Tensor) and outputs.dim() in (1, 2) and outputs.is_floating_point()
