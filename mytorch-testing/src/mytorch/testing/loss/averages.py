"""Whether a loss says rightly by what its mean is divided, and how its predictions are read."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from mytorch.core import OUTPUTS, Loss
from mytorch.testing.errors import CheckError, Skip
from mytorch.testing.module.trial import Case, Trial
from mytorch.testing.structure import leaves, mapped


def declared_outputs(case: Case) -> None:
    """A loss derives from mytorch.core.Loss, and its `outputs` is a word for how predictions are read."""
    loss = _loss(Trial(case))
    if loss.outputs not in OUTPUTS:
        raise CheckError(f"outputs must be one of {', '.join(OUTPUTS)}, got {loss.outputs!r}")


def averages(case: Case) -> None:
    """The mean over two batches together is the mean of their values weighted by weight_of; a sum is their sum."""
    trial = Trial(case)
    loss, rows = _loss(trial), _rows(case)
    parts = [_cut(case, slice(None, 1)), _cut(case, slice(1, None))]
    weights = [_weight(loss, case, part) for part in parts]
    whole = _weight(loss, case, case.inputs)
    if not math.isclose(whole, sum(weights), rel_tol=1e-9):
        raise CheckError(
            f"weight_of must add up over batches: for row 0 and the other {rows - 1} it is {_listed(weights)}, "
            f"and for all together {whole:g}"
        )
    values = [trial.forward(part)[0] for part in (case.inputs, *parts)]
    if not isinstance(values[0], Tensor) or values[0].dim() or loss.reduction == "none" or not whole:
        return
    expected, *apart = (float(value) for value in values)
    sums = loss.reduction == "sum"
    kept = [value * (1 if sums else weight) for value, weight in zip(apart, weights, strict=True) if weight]
    together = sum(kept) / (1 if sums else whole)
    if not math.isclose(together, expected, rel_tol=1e-7, abs_tol=1e-12):
        how = "the sum" if sums else "the mean, weighted by weight_of,"
        raise CheckError(
            f"{how} of the values of row 0 and of the other {rows - 1} must be the value of all together, "
            f"{expected:g}, got {together:g} from the values {_listed(apart)} and the weights {_listed(weights)}: "
            'weight_of must be by what the mean is divided, and reduction "sum" for a loss that divides by nothing'
        )


def ignored_batch(case: Case) -> None:
    """A batch of weight 0, such as one whose targets are all ignored, has gradients of 0, not NaN."""
    trial = Trial(case)
    loss = _loss(trial)
    batches = [_cut(case, slice(row, row + 1)) for row in range(_rows(case))]
    ignored = [batch for batch in batches if _weight(loss, case, batch) == 0]
    if not ignored:
        raise Skip("none of its targets weighs nothing")
    trial.module.zero_grad()
    value, saved = trial.forward(ignored[0])
    found = loss.backward(trial.upstream(value), saved)
    for path, gradient in (*leaves(found, "the gradient of a prediction"), *trial.parameter_gradients().items()):
        if isinstance(gradient, Tensor) and gradient.count_nonzero():
            largest = float(gradient.abs().max())
            raise CheckError(f"{path} must be 0 for a batch of weight 0, got up to {largest:g}")


def _loss(trial: Trial) -> Loss:
    if not isinstance(trial.module, Loss):
        raise CheckError(
            "a loss must derive from mytorch.core.Loss, which says by what its mean is divided and how predictions "
            f"are read, got {type(trial.module).__name__}, which is a Module only"
        )
    return trial.module


def _rows(case: Case) -> int:
    """How many rows all inputs have. Raises Skip unless they can be cut into batches."""
    if "mixes_batch" in case.tags:
        raise Skip("tag mixes_batch")
    tensors = [leaf for _, leaf in leaves(case.inputs, "") if isinstance(leaf, Tensor)]
    first = next(leaf for _, leaf in leaves(case.differentiated, "") if isinstance(leaf, Tensor))
    counts = {leaf.shape[0] if leaf.dim() else 0 for leaf in tensors}
    if first.dim() < 2 or len(counts) > 1 or max(counts) < 2:  # one axis may be that of the classes
        raise Skip("its inputs are no batch of several rows")
    return counts.pop()


def _cut(case: Case, rows: slice) -> tuple[Any, ...]:
    cut: tuple[Any, ...] = mapped(case.inputs, lambda leaf: leaf[rows] if isinstance(leaf, Tensor) else leaf)
    return cut


def _weight(loss: Loss, case: Case, inputs: tuple[Any, ...]) -> float:
    """What weight_of says of a batch. Raises CheckError unless it is a number of at least 0."""
    predictions, targets = inputs[: case.predictions], inputs[case.predictions :]
    weight = loss.weight_of(*(some[0] if len(some) == 1 else some for some in (predictions, targets)))
    if not isinstance(weight, (int, float, Tensor)) or (isinstance(weight, Tensor) and weight.dim()):
        got = f"a tensor of {tuple(weight.shape)}" if isinstance(weight, Tensor) else f"a {type(weight).__name__}"
        raise CheckError(f"weight_of must return a number or a tensor without axes, got {got}")
    if not 0 <= float(weight) < torch.inf:
        raise CheckError(f"weight_of must return a number of at least 0, got {float(weight)}")
    return float(weight)


def _listed(numbers: list[float]) -> str:
    return " and ".join(f"{number:g}" for number in numbers)
