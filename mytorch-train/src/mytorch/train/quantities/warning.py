"""What a user of quantities is told who need not do anything about it."""

from __future__ import annotations

import warnings

from mytorch.core import Module
from mytorch.plugins import MytorchWarning


class QuantityWarning(MytorchWarning):
    """The gradients of single samples of a layer take one backward of it for each sample; the text says why."""


def warn_of_one_by_one(path: str, module: Module, tied: bool) -> None:
    """Warn that the backward of a layer is called for each sample."""
    why = "holds one parameter under two names" if tied else "does not state the gradients of single samples"
    warnings.warn(
        f"quantities: layer {path!r} ({type(module).__name__}) {why}, so that its backward is called once for each "
        "sample, which takes longer",
        QuantityWarning,
        stacklevel=2,
    )
