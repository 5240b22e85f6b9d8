"""What an author may want to know when a gradient is wrong: buffers that forward changes and reads."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch

from mytorch.testing.module.trial import Case, Trial
from mytorch.testing.structure import tensors

CONCERNED = frozenset(
    {
        "finite_differences",
        "full_jacobian",
        "autograd",
        "reference",
        "two_forwards",
        "shared_module",
        "mode_at_backward",
        "traceable",
    }
)


def explain(name: str, case: Case) -> str:
    """A remark on a failed check of a module whose output depends on a buffer that the same forward changes."""
    found: list[str] = []
    if name in CONCERNED:
        with suppress(Exception):  # a module that fails may fail here, too, and has been told so
            found = read_and_changed(case)
    if not found:
        return ""
    named = ", ".join(found)
    return (
        f"; forward changes the buffer {named} and its output depends on it: if it reads the new value, the "
        "derivative goes through the change, too; save what backward reads as a copy, and let the output depend on "
        "the value from before the change or on the batch alone"
    )


def read_and_changed(case: Case) -> list[str]:
    """The buffers that forward changes and on whose values its output depends."""
    before = dict(Trial(case).module.named_buffer())
    trial = Trial(case)
    expected = tensors(trial.forward(case.inputs)[0], "")
    names = [name for name, buffer in trial.module.named_buffer() if not torch.equal(buffer.value, before[name].value)]
    return [name for name in names if not _same(_moved(case, name), expected)]


def _moved(case: Case, name: str) -> Any:
    """The output where a buffer has another value to begin with."""
    trial = Trial(case)
    buffer = dict(trial.module.named_buffer())[name]
    buffer.value = buffer.value + 1
    trial.remember_buffers()
    return tensors(trial.forward(case.inputs)[0], "")


def _same(actual: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, expected[name]) for name, value in actual.items())
