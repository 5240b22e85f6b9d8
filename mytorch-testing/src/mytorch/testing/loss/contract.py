"""Whether a loss treats its upstream gradient and its targets as the contract says."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mytorch.testing.errors import CheckError, Skip
from mytorch.testing.module.refusals import refused
from mytorch.testing.module.trial import Case, Gradients, Trial, require_equal
from mytorch.testing.structure import is_floating


def upstream_tensor(case: Case) -> None:
    """The upstream gradient of a loss may be a number or a tensor, and the gradient is linear in it."""
    trial = Trial(case)
    value, saved = trial.forward(case.inputs)
    d_value = trial.upstream(value)
    expected = trial.input_gradients(trial.backward(d_value, saved))
    _, saved = trial.forward(case.inputs)
    doubled = 2 * torch.as_tensor(d_value, dtype=torch.float64)
    actual = trial.input_gradients(trial.backward(doubled, saved))
    twice: Gradients = {name: None if grad is None else 2 * grad for name, grad in expected.items()}
    require_equal(actual, twice, "double when the upstream gradient, now a tensor, does")


def no_broadcast(case: Case) -> None:
    """A target that would fit only by broadcasting raises a ShapeError that names the loss."""
    trial = Trial(case)
    prediction, targets = case.inputs[0], list(case.inputs[case.predictions :])
    if not isinstance(prediction, Tensor) or prediction.dim() < 2 or prediction.shape[-1] < 2:
        raise Skip("its prediction has no axis to broadcast over")
    like = [
        number for number, target in enumerate(targets) if is_floating(target) and target.shape == prediction.shape
    ]
    if not like:
        raise Skip("it has no target of the shape of its prediction")
    for number in like:
        wrong: list[Any] = list(targets)
        wrong[number] = targets[number][..., :1]
        inputs = (*case.differentiated, *wrong)
        if refused(trial, inputs, "target", prediction.shape, wrong[number].shape) is not None:
            raise CheckError(
                f"target of {tuple(wrong[number].shape)} must not be broadcast to the prediction, "
                f"{tuple(prediction.shape)}: raise ShapeError, got a value"
            )
