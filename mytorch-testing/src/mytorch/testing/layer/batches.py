"""Whether a layer treats the rows of a batch as it should, whatever their number and layout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ShapeError
from mytorch.testing.compare import require_close
from mytorch.testing.errors import CheckError, Skip
from mytorch.testing.module.gradients import autograd
from mytorch.testing.module.trial import Case, Gradients, Trial
from mytorch.testing.structure import mapped, tensors


def batch_invariance(case: Case) -> None:
    """Each row gives what it gives alone, and the gradients of the parameters are the sums over the rows."""
    count = _rows(case, "mixes_batch")
    trial = Trial(case)
    _require_not_random(trial)
    output, saved = trial.forward(case.inputs)
    d_output = trial.upstream(output)
    if any(leaf.shape[:1] != (count,) for leaf in tensors((output, d_output), "").values()):
        raise Skip("its output has not one row for each row of its input")
    whole = trial.input_gradients(trial.module.backward(d_output, saved)) | trial.parameter_gradients()
    sums: dict[str, Tensor] = {}
    for row in range(count):
        trial.module.zero_grad()
        alone, saved = trial.forward(_cut(case.inputs, row))
        expected = tensors(_cut(output, row), f"row {row} of output")
        for name, actual in tensors(alone, f"row {row} of output").items():
            require_close(name, actual, expected[name], "be the same alone and in a batch (tag mixes_batch otherwise)")
        d_input = trial.module.backward(_cut(d_output, row), saved)
        row_case = replace(case, inputs=_cut(case.inputs, row))
        _require_rows(Trial(row_case).input_gradients(d_input), whole, row)
        for name, gradient in trial.parameter_gradients().items():
            if gradient is not None:
                sums[name] = sums.get(name, torch.zeros_like(gradient)) + gradient
    for name, total in sums.items():
        require_close(name, whole[name], total, "be the sum over the rows of the batch")


def _require_rows(alone: Gradients, whole: Gradients, row: int) -> None:
    for name, gradient in alone.items():
        batch = whole[name]
        expected = None if batch is None else batch[row : row + 1]
        require_close(f"row {row} of {name}", gradient, expected, "be the same alone and in a batch")


def empty_batch(case: Case) -> None:
    """No rows give no rows, a gradient of no rows, and parameter gradients of zero."""
    _rows(case, "mixes_batch")
    trial = Trial(replace(case, inputs=_cut(case.inputs, None)))
    for name, gradient in trial.gradients(trial.case.inputs).items():
        if gradient is not None and gradient.any():
            raise CheckError(f"{name} must be zero for an empty batch, got {float(gradient.abs().max()):.3g}")


def single_row(case: Case) -> None:
    """The gradients of a batch of one row are right, too."""
    _rows(case, "mixes_batch")
    autograd(replace(case, inputs=_cut(case.inputs, 0)))


def leading_dimensions(case: Case) -> None:
    """An additional leading axis gives for each of its entries what the entry gives alone."""
    _rows(case, "fixed_dimensions")
    if "mixes_batch" in case.tags:
        raise Skip("tag mixes_batch")
    trial = Trial(case)
    _require_not_random(trial)
    flat = tensors(trial.forward(case.inputs)[0], "output")
    deep = replace(case, inputs=mapped(case.inputs, lambda leaf: leaf[None] if isinstance(leaf, Tensor) else leaf))
    trial = Trial(deep)
    with _takes_axes("forward"):
        output = tensors(trial.forward(deep.inputs)[0], "output")
    for name, expected in flat.items():
        require_close(name, output.get(name), expected[None], "be the same with another leading axis")
    with _takes_axes("backward"):
        autograd(deep)


@contextmanager
def _takes_axes(step: str) -> Iterator[None]:
    try:
        yield
    except ShapeError as error:
        raise CheckError(
            f"{step} must take additional leading axes (tag fixed_dimensions otherwise): {error}"
        ) from error


def _rows(case: Case, tag: str) -> int:
    """How many rows all inputs have; Skip if a tag says no, or there are no rows to tell apart."""
    if tag in case.tags:
        raise Skip(f"tag {tag}")
    shapes = [leaf.shape for leaf in tensors(case.inputs, "").values()]
    if not shapes or any(len(shape) < 2 for shape in shapes) or len({shape[0] for shape in shapes}) != 1:
        raise Skip("its inputs have no batch axis in common")
    if shapes[0][0] < 2:
        raise Skip(f"its inputs have {shapes[0][0]} rows")
    return shapes[0][0]


def _cut(value: Any, row: int | None) -> Any:
    """One row of every tensor, as a batch; None cuts to no row."""
    part = slice(0, 0) if row is None else slice(row, row + 1)
    return mapped(value, lambda leaf: leaf[part] if isinstance(leaf, Tensor) else leaf)


def _require_not_random(trial: Trial) -> None:
    """Skip if a second forward, from where the random streams then are, gives something else."""
    first = tensors(trial.forward(trial.case.inputs)[0], "")
    again = tensors(trial.module.forward(*trial.case.inputs)[0], "")
    if any(not torch.equal(leaf, again[name]) for name, leaf in first.items()):
        raise Skip("it is random")
