"""Whether a layer treats the rows of a batch as it should, whatever their number."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Module, MytorchError, ShapeError
from mytorch.testing.compare import require_close
from mytorch.testing.errors import CheckError, Skip, tried
from mytorch.testing.module.gradients import autograd
from mytorch.testing.module.trial import Case, Gradients, Trial
from mytorch.testing.structure import changed, leaves, mapped, tensors


def batch_invariance(case: Case) -> None:
    """Each row gives the same as it does alone, and the gradients of parameters are sums over the rows.

    So are those of single rows, if the layer states them by `sample_gradients`.
    """
    count = _rows(case, "mixes_batch")
    trial = Trial(case)
    if trial.is_random():
        raise Skip("it is random")
    output, saved = trial.forward(case.inputs)
    axes = _output_axes(case, count, output)
    d_output = trial.upstream(output)
    stated = _stated(trial, d_output, saved, axes)
    whole = trial.answer(d_output, saved)
    sums: dict[str, Tensor] = {}
    for row in range(count):
        one = _cut(case, row, row + 1)
        trial.module.zero_grad()
        alone, saved = trial.forward(one.inputs, one.options)
        for name, actual in tensors(alone, f"row {row} of output").items():
            expected = tensors(_at(output, axes, row, row + 1), f"row {row} of output")[name]
            require_close(name, actual, expected, "be the same alone and in a batch (tag mixes_batch otherwise)")
        gradients = trial.answer(_at(d_output, axes, row, row + 1), saved, one.inputs)
        _require_rows(gradients, whole, trial.named_tensors(one.inputs, "gradient of "), row, _input_axes(case))
        for name, gradient in trial.parameter_gradients().items():
            if gradient is not None:
                sums[name] = sums.get(name, torch.zeros_like(gradient)) + gradient
                if (of_rows := stated.get(name)) is not None:
                    require_close(
                        f"row {row} of the stated {name}", of_rows[row], gradient, "be that of the row alone"
                    )
    for name, total in sums.items():
        require_close(name, whole[name], total, "be the sum over the rows of the batch (tag mixes_batch otherwise)")


def _stated(trial: Trial, d_output: Any, saved: Any, axes: dict[str, int]) -> dict[str, Tensor]:
    """What the layer states of single rows by `sample_gradients`, if it does, by the names of gradients."""
    if type(trial.module).sample_gradients is Module.sample_gradients or not axes:
        return {}
    axis = next(iter(axes.values()))
    with tried(lambda: f"sample_gradients(d_output, saved, axis={axis})"):
        stated = trial.module.sample_gradients(d_output, saved, axis) or {}
    for name, gradient in trial.parameter_gradients().items():
        if gradient is not None:
            raise CheckError(f"sample_gradients must add nothing to gradients, got a {name}")
    return {f"gradient of {name}": gradients.each() for name, gradients in stated.items()}


def _require_rows(
    alone: Gradients, whole: Gradients, inputs: dict[str, Tensor], row: int, axes: dict[str, int]
) -> None:
    rule = "be the same alone and in a batch (tag mixes_batch otherwise)"
    for name, axis in zip(inputs, axes.values(), strict=True):
        if name in alone:
            batch = whole[name]
            expected = None if batch is None else batch.narrow(axis, row, 1)
            require_close(f"row {row} of {name}", alone[name], expected, rule)


def empty_batch(case: Case) -> None:
    """A batch without rows gives an output and a gradient without rows, and parameter gradients of zero."""
    _rows(case, "mixes_batch")
    empty = _cut(case, 0, 0)
    with _takes("a batch without rows"):
        gradients = Trial(empty).gradients(empty.inputs)
    for name, gradient in gradients.items():
        if gradient is not None and gradient.any():
            raise CheckError(f"{name} must be zero for an empty batch, got {float(gradient.abs().max()):.3g}")


def single_row(case: Case) -> None:
    """The gradients of a batch of one row are correct, too."""
    _rows(case, "mixes_batch")
    with _takes("a row alone"):
        autograd(_cut(case, 0, 1))


@contextmanager
def _takes(what: str) -> Iterator[None]:
    """Name the tag of a layer that refuses a batch which is as good as any for one that keeps rows apart."""
    try:
        yield
    except CheckError:
        raise
    except MytorchError as error:
        got = f"{type(error).__name__}: {error}"
        raise CheckError(f"{what} must be taken (tag mixes_batch otherwise), got {got}") from error


def leading_dimensions(case: Case) -> None:
    """With an additional leading axis, each of its entries gives the same as it does alone."""
    if "sequence_first" in case.tags:
        raise Skip("tag sequence_first")
    count = _rows(case, "fixed_dimensions")
    if "mixes_batch" in case.tags:
        raise Skip("tag mixes_batch")
    trial = Trial(case)
    if trial.is_random():
        raise Skip("it is random")
    flat = tensors(trial.forward(case.inputs)[0], "output")
    deep = replace(
        case,
        inputs=mapped(case.inputs, lambda leaf: leaf[None] if isinstance(leaf, Tensor) else leaf),
        options=mapped(dict(case.options), lambda leaf: leaf[None] if _has_rows(leaf, count) else leaf),
    )
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
    axes, inputs = _input_axes(case), tensors(case.inputs, "")
    if not inputs or len(axes) < len(inputs) or any(leaf.dim() < 2 for leaf in inputs.values()):
        raise Skip("its inputs have no batch axis in common")
    count = next(leaf.shape[axes[name]] for name, leaf in inputs.items())
    if count < 2:
        raise Skip(f"its inputs have {count} rows")
    return count


def _input_axes(case: Case) -> dict[str, int]:
    """Which axis of each input counts rows: that of the first input, or the only one with as many entries.

    The second is that of the initial state of a recurrent layer whose input has the batch in front.
    """
    inputs = tensors(case.inputs, "")
    axis = case.batch_axis
    counts = [leaf.shape[axis] for leaf in inputs.values() if leaf.dim() > axis][:1]
    axes = {}
    for name, leaf in inputs.items():
        fitting = [number for number, size in enumerate(leaf.shape) if size in counts]
        if axis in fitting or len(fitting) == 1:
            axes[name] = axis if axis in fitting else fitting[0]
    return axes


def _cut(case: Case, start: int, stop: int) -> Case:
    """The case with some rows only, of its inputs and of options that have as many entries along one of their axes."""
    axes = _input_axes(case)
    rows = next(leaf.shape[axes[name]] for name, leaf in tensors(case.inputs, "").items())

    def of_option(leaf: Any) -> Any:
        if not _has_rows(leaf, rows):
            return leaf
        return leaf.narrow(leaf.shape.index(rows), start, stop - start)

    inputs = _at(case.inputs, axes, start, stop)
    return replace(case, inputs=inputs, options=mapped(dict(case.options), of_option))


def _narrow(leaf: Any, axis: int, start: int, stop: int) -> Any:
    return leaf.narrow(axis, start, stop - start) if isinstance(leaf, Tensor) else leaf


def _has_rows(leaf: Any, count: int) -> bool:
    return isinstance(leaf, Tensor) and count in leaf.shape


def _output_axes(case: Case, count: int, output: Any) -> dict[str, int]:
    """Which axis of each output counts rows, seen by leaving all of them out but one."""
    one = _cut(case, 0, 1)
    with _takes("a row alone"):
        alone = tensors(Trial(one).forward(one.inputs)[0], "")
    axes = {}
    for name, whole in tensors(output, "").items():
        single = alone.get(name)
        if single is None or single.dim() != whole.dim():
            raise Skip("its output has not one row for each row of its input")
        differing = [axis for axis in range(whole.dim()) if whole.shape[axis] != single.shape[axis]]
        if len(differing) != 1 or (whole.shape[differing[0]], single.shape[differing[0]]) != (count, 1):
            raise Skip("its output has not one row for each row of its input")
        axes[name] = differing[0]
    return axes


def _at(value: Any, axes: dict[str, int], start: int, stop: int) -> Any:
    """Rows of everything inside, each along its own axis."""
    for path, leaf in leaves(value, ""):
        value = changed(value, path, _narrow(leaf, axes.get(path, 0), start, stop))
    return value
