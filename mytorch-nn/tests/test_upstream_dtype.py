"""An upstream gradient of another dtype than the output: refused by an error of the project, or taken."""

import contextlib
from dataclasses import replace

import pytest
import torch

from mytorch.core import MytorchError
from mytorch.plugins import catalogue
from mytorch.testing.inputs import drawn
from mytorch.testing.installed.declarations import Told, declarations
from mytorch.testing.module.trial import Case, Trial
from mytorch.testing.structure import is_floating, mapped

PARTS = [part for kind in ("layer", "loss") for part in catalogue().of_kind(kind) if part.distribution == "mytorch-nn"]


PAIRS = [  # of the part, and of what comes from above
    (torch.float64, torch.float32),
    (torch.bfloat16, torch.float32),
    (torch.float32, torch.float64),
    (torch.bfloat16, torch.float16),
]


@pytest.mark.parametrize(("dtype", "other"), PAIRS, ids=str)
@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
@torch.no_grad()
def test_no_part_answers_it_in_torch_s_text(part, dtype, other):
    for _, declaration in declarations(part, Told()):
        factory, *inputs = declaration.check.args
        told = declaration.check.keywords
        case = Case(factory, tuple(inputs), tags=frozenset(told["tags"]), options=told.get("options") or {})
        case = replace(case, inputs=drawn(case.inputs, 0))
        trial = Trial(case)
        upstream = mapped(
            trial.upstream(trial.forward(case.inputs)[0]), lambda leaf: leaf.to(other) if is_floating(leaf) else leaf
        )
        trial.rewind()
        trial.module.to(dtype)
        trial.remember_buffers()
        given = mapped(case.inputs, lambda leaf: leaf.to(dtype) if is_floating(leaf) else leaf)
        _, saved = trial.forward(given)
        with contextlib.suppress(MytorchError):
            trial.module.backward(upstream, saved)
        for parameter in trial.module.param():
            assert parameter.grad is None or parameter.grad.dtype is dtype
