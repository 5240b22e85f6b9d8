"""Whether a layer refuses an upstream gradient that has not the shape of its output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ShapeError
from mytorch.testing.errors import CheckError, Skip
from mytorch.testing.module.trial import Case, Trial
from mytorch.testing.structure import changed, floating


def upstream_shape(case: Case) -> None:
    """An upstream gradient of the wrong shape, None or no tensor raises a ShapeError that names the layer."""
    trial = Trial(case)
    upstream = trial.upstream(trial.forward(case.inputs)[0])
    outputs = floating(upstream, "")
    if not outputs:
        raise Skip("its output has no derivative")
    for place, right in outputs.items():
        for words, wrong in _wrong(right, alone=place == ""):
            _require_refused(trial, changed(upstream, place, wrong), f"d_output{place} {words}", right)


def _wrong(right: Tensor, alone: bool) -> Iterator[tuple[str, Any]]:
    """Upstream gradients that do not fit, the small and harmless ones first."""
    if alone:
        yield "that is None", None
    yield "that is a number", 1.0
    shape = tuple(right.shape)
    shapes = {(), (1,) * len(shape), (1, *shape[1:]), (*shape[:-1], 1), shape[::-1], (*shape, 1), shape[1:]}
    shapes |= {(size - 1, *shape[1:]) for size in shape[:1] if size > 1}
    for other in sorted(shapes - {shape}, key=lambda sizes: (torch.Size(sizes).numel(), len(sizes))):
        yield f"of {other}", _in_front_of_more(right, other)


def _in_front_of_more(right: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A gradient of a shape; a kernel that reads as many numbers as the output has stays within its memory."""
    count = torch.Size(shape).numel()
    memory = torch.randn(count + right.numel() + 1, dtype=right.dtype)
    return memory[:count].view(shape)


def _require_refused(trial: Trial, d_output: Any, words: str, right: Tensor) -> None:
    name = type(trial.module).__name__
    rule = f"{words} must raise a ShapeError that names {name}, since the output has shape {tuple(right.shape)}"
    wayout = "call require_upstream of mytorch.core first in backward"
    _, saved = trial.forward(trial.case.inputs)
    try:
        trial.module.backward(d_output, saved)
    except ShapeError as error:
        if name not in str(error) and not any(True for _ in trial.module.named_children()):
            raise CheckError(f"the ShapeError for {words} must name {name}, got {str(error)!r}") from None
    except Exception as error:
        raise CheckError(f"{rule}, got {type(error).__name__}: {error}; {wayout}") from error
    else:
        raise CheckError(f"{rule}, got a gradient; {wayout}")
