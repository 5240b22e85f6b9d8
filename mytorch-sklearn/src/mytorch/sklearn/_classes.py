"""The targets of a classifier: how labels become numbers for a loss, and outputs become labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.multiclass import type_of_target

from mytorch.core import ArgumentError, Loss, require_kind
from mytorch.nn import BCEWithLogitsLoss, CrossEntropyLoss
from mytorch.plugins import shown
from mytorch.sklearn._losses import PerOutput

Array = np.ndarray[Any, Any]


class OneOf:
    """Each row has one of some classes. With a loss of "sigmoid" outputs, one column tells the second of two."""

    rules = ("softmax", "log-softmax", "sigmoid")

    def __init__(self, owner: str, classes: Array, loss: Loss | None) -> None:
        self.owner, self.classes_, self.loss = owner, classes, CrossEntropyLoss() if loss is None else loss
        self.outputs = outputs_of(owner, self.loss, self.rules)
        if self.outputs == "sigmoid" and len(classes) > 2:
            raise ArgumentError(
                f"{owner}: loss must take one column a class for {len(classes)} classes, got "
                f'{type(self.loss).__name__}, whose outputs are "sigmoid"; leave it out, or use CrossEntropyLoss()'
            )
        self.columns = 1 if self.outputs == "sigmoid" else len(classes)

    def with_loss(self, loss: Loss | None) -> OneOf:
        """The same for another loss."""
        return OneOf(self.owner, self.classes_, loss)

    def encode(self, y: Array) -> Array:
        """Indices of the classes, (rows,); for "sigmoid" outputs 0 or 1 as numbers, (rows, 1)."""
        codes = indices_of(self.owner, y, self.classes_)
        return codes[:, None].astype(float) if self.outputs == "sigmoid" else codes

    def columns_of(self, y: Array) -> list[Array]:
        """The indices of the classes of each question, of which there is one."""
        return [indices_of(self.owner, y, self.classes_)]

    def criterion(self, loss: Loss) -> Loss:
        """The loss of all columns of the outputs."""
        return loss

    def probabilities(self, outputs: Array) -> Array:
        """(rows, classes)."""
        if self.outputs == "sigmoid":
            p = sigmoid(outputs)
            return np.hstack((1 - p, p))
        return softmax(outputs)

    def labels(self, outputs: Array) -> Array:
        """(rows,), as in y."""
        second = outputs[:, 0] > 0 if self.outputs == "sigmoid" else outputs.argmax(1)
        found: Array = self.classes_[second.astype(int)]
        return found


class YesOrNo:
    """Each row has any of some labels: y is a matrix of 0 and 1 with a column a label."""

    def __init__(self, owner: str, classes: Array, loss: Loss | None) -> None:
        self.owner, self.classes_, self.loss = owner, classes, BCEWithLogitsLoss() if loss is None else loss
        self.columns = len(classes)
        outputs_of(owner, self.loss, ("sigmoid",))

    def with_loss(self, loss: Loss | None) -> YesOrNo:
        """The same for another loss."""
        return YesOrNo(self.owner, self.classes_, loss)

    def encode(self, y: Array) -> Array:
        """0 or 1 as numbers, (rows, labels)."""
        if y.shape[1:] != (self.columns,) or not np.isin(y, (0, 1)).all():
            raise ArgumentError(
                f"{self.owner}: y must be 0 or 1 for each of {self.columns} labels, got {shown(y.tolist())}"
            )
        return y.astype(float)

    def columns_of(self, y: Array) -> list[Array]:
        """0 or 1 for each row, a label at a time."""
        return list(self.encode(y).astype(int).T)

    def criterion(self, loss: Loss) -> Loss:
        """The loss of all columns of the outputs."""
        return loss

    def probabilities(self, outputs: Array) -> Array:
        """(rows, labels): that of yes."""
        return sigmoid(outputs)

    def labels(self, outputs: Array) -> Array:
        """(rows, labels), 0 or 1."""
        return (outputs > 0).astype(int)


class OneOfEach:
    """Each row has a class for each of several targets: y has a column a target."""

    def __init__(self, owner: str, classes: Sequence[Array], loss: Loss | None) -> None:
        self.owner, self.loss = owner, CrossEntropyLoss() if loss is None else loss
        self.classes_ = list(classes)
        self.sizes = [len(one) for one in classes]
        self.columns = sum(self.sizes)
        outputs_of(owner, self.loss, ("softmax", "log-softmax"))

    def with_loss(self, loss: Loss | None) -> OneOfEach:
        """The same for another loss."""
        return OneOfEach(self.owner, self.classes_, loss)

    def encode(self, y: Array) -> Array:
        """Indices of the classes, (rows, targets)."""
        return np.stack(self.columns_of(y), 1)

    def columns_of(self, y: Array) -> list[Array]:
        """The indices of the classes of each target."""
        if y.shape[1:] != (len(self.sizes),):
            raise ArgumentError(f"{self.owner}: y must have {len(self.sizes)} columns, got {y.shape}")
        return [indices_of(self.owner, y[:, i], classes) for i, classes in enumerate(self.classes_)]

    def criterion(self, loss: Loss) -> Loss:
        """The loss of all columns of the outputs."""
        return PerOutput(loss, self.sizes)

    def probabilities(self, outputs: Array) -> list[Array]:
        """(rows, classes) for each target."""
        return [softmax(part) for part in self._parts(outputs)]

    def labels(self, outputs: Array) -> Array:
        """(rows, targets), as in y."""
        parts = zip(self._parts(outputs), self.classes_, strict=True)
        return np.stack([classes[part.argmax(1)] for part, classes in parts], 1)

    def _parts(self, outputs: Array) -> list[Array]:
        return np.split(outputs, np.cumsum(self.sizes)[:-1], 1)


Encoding = OneOf | YesOrNo | OneOfEach


def encoding_of(owner: str, y: Array, classes: Any, loss: Loss | None) -> Encoding:
    """How the labels of a training are encoded.

    y: (rows,) or (rows, columns).
    classes: all that there will be, where `y` need not have each; None for those of y.
    Raises ArgumentError for a target of one class.
    """
    if y.ndim == 1:
        known = np.unique(y) if classes is None else np.unique(np.asarray(classes))
        require_classes(owner, known)
        return OneOf(owner, known, loss)
    if type_of_target(y, input_name="y") == "multilabel-indicator" and not _lists(classes):
        if classes is not None and len(classes) != y.shape[1]:
            raise ArgumentError(f"{owner}: classes must be {y.shape[1]} for so many labels, got {shown(classes)}")
        return YesOrNo(owner, np.arange(y.shape[1]), loss)
    each = [np.unique(column) for column in (y.T if classes is None else map(np.asarray, classes))]
    for column, one in enumerate(each):
        require_classes(owner, one, f" in column {column}")
    return OneOfEach(owner, each, loss)


def _lists(classes: Any) -> bool:
    """Whether classes are told for each of several targets."""
    return classes is not None and len(classes) > 0 and np.ndim(classes[0]) == 1


def require_classes(owner: str, classes: Array, place: str = "") -> None:
    """Raise ArgumentError for fewer than two classes."""
    if len(classes) < 2:
        got = f"one class, {shown(classes.tolist()[0])}" if len(classes) else "none"
        raise ArgumentError(
            f"{owner}: y must have at least two classes{place}, got {got}; rows of weight 0 do not count"
        )


def indices_of(owner: str, y: Array, classes: Array) -> Array:
    """The index of the class of each row. Raises ArgumentError for a label that is none of them."""
    if y.ndim > 1:
        raise ArgumentError(f"{owner}: y must be one column, as before, got {y.shape}")
    codes = np.minimum(np.searchsorted(classes, y), len(classes) - 1)
    wrong = classes[codes] != y
    if np.any(wrong):
        raise ArgumentError(
            f"{owner}: y must have the classes {shown(classes.tolist())}, got {shown(np.unique(y[wrong]).tolist())}"
        )
    return codes


def outputs_of(owner: str, loss: Loss, allowed: Sequence[str]) -> str:
    """How a loss reads outputs. Raises ArgumentError for a way that does not fit the targets."""
    require_kind(owner, "loss", loss, Loss)
    if loss.outputs not in allowed:
        rule = " or ".join(f'"{one}"' for one in allowed)
        raise ArgumentError(
            f"{owner}: loss must be one whose outputs are {rule} for these targets, got {type(loss).__name__}, whose "
            f'outputs are "{loss.outputs}"'
        )
    return loss.outputs


def balanced(columns: Sequence[Array], weights: Array) -> Array:
    """Weights of rows, times those that they have, under which each class of a column weighs as much as any other."""
    found = weights
    for codes in columns:
        totals = np.bincount(codes, weights=weights)
        found = found * totals.sum() / (np.count_nonzero(totals) * totals[codes])
    return found


def softmax(outputs: Array) -> Array:
    """Over the columns; of logarithms of probabilities, the probabilities themselves."""
    e = np.exp(outputs - outputs.max(1, keepdims=True))
    found: Array = e / e.sum(1, keepdims=True)
    return found


def sigmoid(outputs: Array) -> Array:
    """1 / (1 + exp(-outputs)), for outputs of any size."""
    e = np.exp(-np.abs(outputs))
    found: Array = np.where(outputs >= 0, 1, e) / (1 + e)
    return found
