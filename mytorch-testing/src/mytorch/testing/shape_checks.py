"""Whether shapes that do not fit are refused by name."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mytorch.core import MytorchError, ShapeError
from mytorch.testing.errors import CheckError, Skip
from mytorch.testing.structure import is_floating
from mytorch.testing.trial import Case, Trial


def bad_shapes(case: Case) -> None:
    """An input whose last axis is too long raises a ShapeError that names the layer, unless any size will do."""
    trial = Trial(case)
    if len(case.inputs) != 1 or not is_floating(case.inputs[0]) or not case.inputs[0].dim():
        raise Skip("only layers of one tensor are asked")
    (x,) = case.inputs
    wrong = torch.cat([x, x[..., :1]], -1)
    if _refused(trial, (wrong,), "input", x.shape, wrong.shape) is None:
        return
    raise Skip("it takes any size")


def no_broadcast(case: Case) -> None:
    """A target that would only fit by broadcasting raises a ShapeError that names the loss."""
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
        if _refused(trial, inputs, "target", prediction.shape, wrong[number].shape) is not None:
            raise CheckError(
                f"target of {tuple(wrong[number].shape)} must not be broadcast to the prediction, "
                f"{tuple(prediction.shape)}: raise ShapeError, got a value"
            )


def _refused(trial: Trial, inputs: tuple[Any, ...], subject: str, right: Any, wrong: Any) -> Any:
    """None if forward raises a ShapeError that names the module, else its output."""
    name = type(trial.module).__name__
    try:
        output, _ = trial.forward(inputs)
    except ShapeError as error:
        if name not in str(error) and not any(True for _ in trial.module.named_children()):
            raise CheckError(f"the ShapeError must name {name}, got {str(error)!r}") from None
        return None
    except MytorchError:
        return None
    except Exception as error:
        raise CheckError(
            f"{subject} of {tuple(wrong)} instead of {tuple(right)} must raise a ShapeError that names {name}, "
            f"got {type(error).__name__}: {error}"
        ) from None
    return output
