"""Whether a data set says truly what its rows are."""

from __future__ import annotations

import json
from collections.abc import Mapping

import torch
from torch import Tensor

from mytorch.testing.compare import same_bits
from mytorch.testing.dataset.case import DataSetCase, build, first_rows
from mytorch.testing.errors import CheckError, Skip

IGNORED = -100
"""The class of what is no step, where there is a class for each step of padded rows."""


def column_names(case: DataSetCase) -> None:
    """`columns` names every input column once."""
    data = build(case)
    if not data.columns:
        raise Skip("it names no columns")
    inputs = data[first_rows(data)][0]
    names = list(data.columns)
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise CheckError(f"columns must be different strings, got {names}")
    if data.ragged and isinstance(inputs, Mapping) and isinstance(inputs.get("x"), Tensor):
        inputs = inputs["x"].flatten(0, 1)  # steps, of which the columns are
    if not isinstance(inputs, Tensor) or inputs.dim() != 2 or inputs.shape[1] != len(names):
        shape = tuple(inputs.shape) if isinstance(inputs, Tensor) else type(inputs).__name__
        raise CheckError(f"columns must name every column of the inputs, {shape}, got {len(names)} names")


def class_names(case: DataSetCase) -> None:
    """`classes` names every class; targets are int64 indices into it, or have one number for each class."""
    data = build(case)
    if data.classes is None:
        raise Skip("its targets are numbers")
    targets = data[:][1]
    if data.ragged and targets.dim() == 2:
        targets = targets[targets != IGNORED]
    if len(set(data.classes)) < len(data.classes):
        raise CheckError(f"classes must be different names, got {list(data.classes)}")
    if targets.is_floating_point():
        if targets.dim() < 2 or targets.shape[1] != len(data.classes):
            raise CheckError(
                f"targets must have one number for each of {len(data.classes)} classes, got {targets.shape}"
            )
    elif targets.dtype is not torch.int64 or not 0 <= int(targets.min()) <= int(targets.max()) < len(data.classes):
        raise CheckError(
            f"targets must be int64 indices below {len(data.classes)}, the number of classes, "
            f"got {targets.dtype} from {int(targets.min())} to {int(targets.max())}"
        )


def known_targets(case: DataSetCase) -> None:
    """`targets`, if it is known, holds the targets of all rows."""
    data = build(case)
    if data.targets is None:
        raise Skip("its targets do not lie in memory")
    wanted = data[:][1]
    if not isinstance(data.targets, Tensor) or not isinstance(wanted, Tensor):
        raise CheckError(f"targets must be one tensor, or None, got {type(data.targets).__name__}")
    if data.targets.dtype is not wanted.dtype or not same_bits(data.targets, wanted):
        raise CheckError("targets must be the targets of data[:], got others")


def units(case: DataSetCase) -> None:
    """`in_units` returns numbers of the same shape, for all targets and for a single row of them."""
    data = build(case)
    targets = data[first_rows(data)][1]
    if not isinstance(targets, Tensor):
        raise Skip("its targets are no tensor")
    for values in (targets, targets[:1]):
        found = data.in_units(values)
        if not isinstance(found, Tensor) or found.shape != values.shape:
            got = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise CheckError(f"in_units must give a tensor of {tuple(values.shape)} for targets of it, got {got}")


def preparation(case: DataSetCase) -> None:
    """`preparation` can be stored as JSON, as a run does, and is the same when it is read again."""
    data = build(case)
    if data.preparation is None:
        raise Skip("new rows need no preparation")
    try:
        again = json.loads(json.dumps(data.preparation, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise CheckError(f"preparation must be what JSON can hold, got {error}") from None
    if again != data.preparation:
        raise CheckError("preparation must be the same after a trip through JSON (lists, and keys that are strings)")
