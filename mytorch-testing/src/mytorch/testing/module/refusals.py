"""Whether what does not fit is refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from mytorch.core import AutogradError, MytorchError, ShapeError
from mytorch.testing.errors import CheckError, Skip
from mytorch.testing.module.trial import Case, Trial
from mytorch.testing.structure import changed, floating, tensors


def no_tensor(case: Case) -> None:
    """A list or a NumPy array in place of an input raises a MytorchError that names the module."""
    inputs = tensors(case.inputs, "")
    if not inputs:
        raise Skip("it takes no tensor")
    for place, tensor in inputs.items():
        for words, wrong in _others(tensor):
            _require_project_error(Trial(case), changed(case.inputs, place, wrong), words)


def _others(tensor: Tensor) -> Iterator[tuple[str, Any]]:
    """The same numbers, held otherwise."""
    yield "a list", tensor.tolist()
    yield "a NumPy array", tensor.numpy()


def _require_project_error(trial: Trial, inputs: tuple[Any, ...], words: str) -> None:
    wayout = "call require_input of mytorch.core first in forward"
    name = type(trial.module).__name__
    try:
        trial.module.forward(*inputs, **trial.case.options)
    except MytorchError as error:
        if name not in str(error) and not any(True for _ in trial.module.named_children()):
            raise CheckError(f"the error for {words} must name {name}, got {str(error)!r}") from None
    except Exception as error:
        got = f"{type(error).__name__}: {error}"
        raise CheckError(f"{words} as input must raise an error of the project, got {got}; {wayout}") from error
    else:
        raise CheckError(f"{words} as input must raise an error of the project, got an output; {wayout}")


def requires_grad(case: Case) -> None:
    """An input that requires grad raises an AutogradError in grad mode, and is accepted otherwise."""
    inputs = floating(case.differentiated, "")
    if not inputs:
        raise Skip("its inputs have no derivative")
    for place, tensor in inputs.items():
        watched = changed(case.inputs, place, tensor.clone().requires_grad_())
        trial = Trial(case)
        trial.forward(watched)
        with torch.enable_grad():
            try:
                trial.module.forward(*watched, **case.options)
            except AutogradError:
                continue
        raise CheckError(
            "an input that requires grad must raise an AutogradError while grad mode is on, since autograd would "
            "record what backward states, got an output; call require_input of mytorch.core first in forward"
        )


def refused(trial: Trial, inputs: tuple[Any, ...], subject: str, right: Any, wrong: Any) -> Any:
    """None if forward raises a ShapeError that names the module, else its output."""
    name = type(trial.module).__name__
    try:
        output, _ = trial.forward(inputs)
    except ShapeError as error:
        if name not in str(error) and not any(True for _ in trial.module.named_children()):
            raise CheckError(f"the ShapeError must name {name}, got {str(error)!r}") from None
        return None
    except CheckError:
        raise
    except MytorchError:
        return None
    except Exception as error:
        raise CheckError(
            f"{subject} of {tuple(wrong)} instead of {tuple(right)} must raise a ShapeError that names {name}, "
            f"got {type(error).__name__}: {error}"
        ) from None
    return output
