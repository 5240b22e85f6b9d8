"""Whether a module takes tensors however they lie in memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mytorch.testing.compare import require_close
from mytorch.testing.errors import Skip
from mytorch.testing.module.trial import Case, Trial
from mytorch.testing.structure import mapped, tensors


def non_contiguous(case: Case) -> None:
    """Inputs that are not contiguous give the same outputs and gradients."""
    trial = Trial(case)
    expected = trial.gradients(case.inputs)
    strided = mapped(case.inputs, _strided)
    if all(leaf.is_contiguous() for leaf in tensors(strided, "").values()):
        raise Skip("its inputs cannot be laid out otherwise")
    for name, gradient in trial.gradients(strided).items():
        require_close(name, gradient, expected[name], "be the same for an input that is not contiguous")


def _strided(leaf: Any) -> Any:
    if not isinstance(leaf, Tensor) or not leaf.dim():
        return leaf
    return torch.stack([leaf, torch.zeros_like(leaf)], -1)[..., 0]
