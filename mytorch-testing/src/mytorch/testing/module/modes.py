"""Whether a module's mode, its randomness and torch's autograd have no say where they must not."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from unittest import mock

import torch

from mytorch.testing.compare import require_close
from mytorch.testing.errors import CheckError
from mytorch.testing.module.trial import Case, Trial
from mytorch.testing.structure import tensors


def mode_at_backward(case: Case) -> None:
    """backward belongs to the forward as it ran: switching the mode between the two changes nothing."""
    trial = Trial(case)
    expected = trial.gradients(case.inputs)
    trial.module.zero_grad()
    output, saved = trial.forward(case.inputs)
    trial.module.train(not case.training)
    actual = trial.answer(trial.upstream(output), saved)
    for name, gradient in expected.items():
        rule = "be that of the mode in which forward ran, though the mode was switched before backward"
        require_close(name, actual[name], gradient, rule)


def quiet_evaluation(case: Case) -> None:
    """In evaluation mode, a second forward gives the same output, and no buffer changes."""
    trial = Trial(replace(case, training=False))
    before = {name: buffer.value.clone() for name, buffer in trial.module.named_buffer()}
    first = tensors(trial.forward(case.inputs)[0], "output")
    for name, value in tensors(trial.forward_again(case.inputs)[0], "output").items():
        require_close(name, value, first.get(name), "be the same from a second forward in evaluation mode", 0, 0)
    for name, buffer in trial.module.named_buffer():
        require_close(f"buffer {name}", buffer.value, before[name], "stay what it is in evaluation mode", 0, 0)


def determinism(case: Case) -> None:
    """Two modules that are built and run with the same seed give the same outputs and gradients."""
    one = Trial(case)
    _draw_beside_torch()
    other = Trial(case)
    first, second = (tensors(trial.forward(case.inputs)[0], "output") for trial in (one, other))
    for name, value in first.items():
        require_close(name, second.get(name), value, "be the same under the same seed", rtol=0, atol=0)
    gradients = other.gradients(case.inputs)
    for name, gradient in one.gradients(case.inputs).items():
        require_close(name, gradients[name], gradient, "be the same under the same seed", rtol=0, atol=0)


def _draw_beside_torch() -> None:
    """Move on the streams that the seed of a run does not set, Python's and NumPy's."""
    random.random()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.random()


def no_autograd(case: Case) -> None:
    """Neither forward nor backward uses torch's autograd or leaves a graph behind."""
    trial = Trial(case)

    def refuse(*_: object, **__: object) -> None:
        raise CheckError("backward must state the derivative itself, got a call of torch.autograd")

    with (
        torch.enable_grad(),
        mock.patch("torch.autograd.grad", refuse),
        mock.patch("torch.autograd.backward", refuse),
    ):
        output, saved = trial.forward(case.inputs)
        d_input = trial.backward(trial.upstream(output), saved)
    left = tensors(output, "output") | tensors(saved, "saved") | tensors(d_input, "gradient of input")
    left |= {f"parameter {name}": parameter.value for name, parameter in trial.module.named_param()}
    for name, value in (left | tensors(trial.parameter_gradients(), "")).items():
        if value.requires_grad:
            raise CheckError(f"{name} must not be part of an autograd graph, got requires_grad=True")
