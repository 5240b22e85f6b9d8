"""Whether a loss refuses an upstream gradient that does not fit its value."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mytorch.core import ShapeError
from mytorch.testing.errors import CheckError, Skip
from mytorch.testing.module.trial import Case, Trial


def upstream_shape(case: Case) -> None:
    """An upstream gradient that is no number and not of the value's shape raises a ShapeError that names the loss."""
    trial = Trial(case)
    value, _ = trial.forward(case.inputs)
    if not isinstance(value, Tensor):
        raise Skip("its value is no tensor")
    for wrong in _wrong_shapes(value.shape):
        _require_refused(trial, torch.ones(wrong, dtype=value.dtype), value, f"a tensor of {wrong}")
    _require_refused(trial, None, value, "None")


def _wrong_shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shapes that torch would broadcast, or that are of too few or too many numbers."""
    wrong = [(*shape, 1), (2, *shape)]
    if shape:
        wrong += [(1,) * len(shape), (shape[0] + 1, *shape[1:]), shape[::-1], shape[1:] or (1,)]
    return [one for one in dict.fromkeys(wrong) if one and one != tuple(shape)]


def _require_refused(trial: Trial, d_value: Any, value: Tensor, told: str) -> None:
    name = type(trial.module).__name__
    rule = (
        f"d_value must be a number or have the shape of the value, {tuple(value.shape)}: raise ShapeError for {told}"
    )
    _, saved = trial.forward(trial.case.inputs)
    try:
        trial.module.backward(d_value, saved)
    except ShapeError as error:
        if name not in str(error) and not any(True for _ in trial.module.named_children()):
            raise CheckError(f"the ShapeError must name {name}, got {str(error)!r}") from None
    except Exception as error:
        raise CheckError(
            f"{rule}, got {type(error).__name__}: {error}; require_d_value of mytorch.core does"
        ) from None
    else:
        raise CheckError(f"{rule}, got a gradient; require_d_value of mytorch.core does")
