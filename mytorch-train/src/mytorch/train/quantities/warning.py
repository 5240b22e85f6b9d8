"""What a user of quantities is told who need not do anything about it."""

from __future__ import annotations

import warnings

from mytorch.core import Module
from mytorch.plugins import MytorchWarning


class QuantityWarning(MytorchWarning):
    """What a layer does not state is computed in another way, which takes longer; the text says why."""


def warn_of_one_by_one(path: str, module: Module, tied: bool) -> None:
    """Warn that the backward of a layer is called for each sample."""
    why = "holds one parameter under two names" if tied else "does not state the gradients of single samples"
    warnings.warn(
        f"quantities: layer {path!r} ({type(module).__name__}) {why}, so that its backward is called once for each "
        "sample, which takes longer",
        QuantityWarning,
        stacklevel=2,
    )


def warn_of_differences(path: str, module: Module) -> None:
    """Warn that a layer is computed at several places, for the change of its output and backward."""
    warnings.warn(
        f"quantities: layer {path!r} ({type(module).__name__}) does not state tangent and backward_tangent, so that "
        "differences of its forward and backward are taken, which takes longer",
        QuantityWarning,
        stacklevel=2,
    )


def warn_of_error(path: str, module: Module, method: str, error: float) -> None:
    """Warn that such a difference is not exact."""
    warnings.warn(
        f"quantities: the {method} of layer {path!r} ({type(module).__name__}) is measured to have a relative error "
        f"of {error:.1e}, since it jumps near here, as at a kink; state tangent and backward_tangent, or take other "
        "rows",
        QuantityWarning,
        stacklevel=2,
    )
