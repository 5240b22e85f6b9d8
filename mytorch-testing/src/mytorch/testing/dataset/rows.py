"""Whether a data set gives the same rows however they are asked for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from mytorch.core import DataSet, View, seed_torch
from mytorch.testing.compare import require_close, same_bits
from mytorch.testing.dataset.case import DataSetCase, build, first_rows
from mytorch.testing.errors import CheckError, Skip
from mytorch.testing.structure import tensors


def length(case: DataSetCase) -> None:
    """len is the number of rows, which is at least one."""
    rows = len(build(case))
    if rows < 1:
        raise CheckError(f"len must be at least 1 for a data set that can be checked, got {rows}")


def batches_of_rows(case: DataSetCase) -> None:
    """A batch is a pair of inputs and targets, each with one row for every index."""
    data = build(case)
    batch = data[first_rows(data)]
    if not (isinstance(batch, tuple) and len(batch) == 2):
        raise CheckError(f"a batch must be (inputs, targets), got {type(batch).__name__}")
    found = _named(batch)
    if not found:
        raise CheckError("a batch must hold tensors, got none")
    count = len(first_rows(data))
    for name, tensor in found.items():
        if tensor.shape[:1] != (count,):
            raise CheckError(f"{name} must have {count} rows for {count} indices, got shape {tuple(tensor.shape)}")


def order(case: DataSetCase) -> None:
    """Rows come in the order of the indices, and once for each index."""
    data = _same_every_time(case)
    count = len(first_rows(data))
    wanted = [count - 1, 0, *range(count), 0]
    expected = _one_by_one(data, wanted)
    for name, tensor in _named(data[torch.tensor(wanted)]).items():
        _require_same(name, tensor, expected[name], f"hold the rows {wanted} in this order")


def kinds_of_index(case: DataSetCase) -> None:
    """A slice, a list, an int32 tensor, a mask and negative indices give the same batch as an int64 tensor."""
    data = _same_every_time(case)
    rows, count = first_rows(data), len(first_rows(data))
    expected = _named(data[rows])
    for what, index in {
        "a slice": slice(count),
        "a list": rows.tolist(),
        "an int32 tensor": rows.int(),
        "a mask": torch.arange(len(data)) < count,
        "negative indices": (rows - len(data)).tolist(),
    }.items():
        for name, tensor in _named(data[index]).items():
            _require_same(name, tensor, expected[name], f"be the same for {what} as for an int64 tensor")


def single_row(case: DataSetCase) -> None:
    """data[i] is row i without the batch axis; data[-1] is the last row."""
    data = _same_every_time(case)
    for index in (0, len(data) - 1, -1):
        expected = _named(data[torch.tensor([index % len(data)])])
        for name, tensor in _named(data[index]).items():
            _require_same(f"{name} of data[{index}]", tensor, expected[name][0], "be that row")


def past_the_end(case: DataSetCase) -> None:
    """An index out of range raises an IndexError, so that a for loop ends."""
    data = build(case)
    for index in (len(data), -len(data) - 1, [len(data)]):
        try:
            data[index]
        except IndexError:
            continue
        raise CheckError(f"data[{index}] must raise IndexError, since there are {len(data)} rows, got a result")


def no_rows(case: DataSetCase) -> None:
    """No indices give no rows, otherwise of the same shape and dtype."""
    data = build(case)
    expected = _named(data[first_rows(data)])
    for name, tensor in _named(data[torch.zeros(0, dtype=torch.int64)]).items():
        wanted = (0, *expected[name].shape[1:]), expected[name].dtype
        if (tensor.shape, tensor.dtype) != wanted:
            got = f"{tuple(tensor.shape)} {tensor.dtype}"
            raise CheckError(f"{name} must be {wanted[0]} {wanted[1]} for no indices, got {got}")


def same_again(case: DataSetCase) -> None:
    """Reading a row again gives the same numbers (without the tag random)."""
    data = _same_every_time(case)
    first = _named(data[first_rows(data)])
    for name, tensor in _named(data[first_rows(data)]).items():
        _require_same(name, tensor, first[name], "be the same when asked for again (tag random otherwise)")


def unshared(case: DataSetCase) -> None:
    """Writing into a batch does not change the data."""
    data = _same_every_time(case)
    expected = {name: tensor.clone() for name, tensor in _named(data[first_rows(data)]).items()}
    for index in (first_rows(data), slice(len(first_rows(data)))):
        for tensor in _named(data[index]).values():
            tensor.zero_()
    for name, tensor in _named(data[first_rows(data)]).items():
        _require_same(name, tensor, expected[name], "be the same after somebody wrote into a batch")


def determinism(case: DataSetCase) -> None:
    """Two data sets that are built alike with the same seed hold the same rows."""
    one, other = build(case), build(case)
    seed_torch(case.seed)
    expected = _named(one[first_rows(one)])
    seed_torch(case.seed)
    for name, tensor in _named(other[first_rows(other)]).items():
        _require_same(name, tensor, expected[name], "be the same under the same seed")


def parts(case: DataSetCase) -> None:
    """A View of some rows, a View of a View and torch's Subset give these rows, also when they are sliced."""
    data = _same_every_time(case)
    rows = first_rows(data).flip(0)
    expected = _one_by_one(data, rows.tolist())
    made: dict[str, Any] = {
        "a View": View(data, rows),
        "a View of a View": View(View(data, rows.flip(0)), range(len(rows) - 1, -1, -1)),
        "torch's Subset": Subset(data, rows.tolist()),  # type: ignore[arg-type]
    }
    for what, part in made.items():
        for name, tensor in _named(part[:]).items():
            _require_same(name, tensor, expected[name], f"be those rows in {what} of the rows {rows.tolist()}")


def data_loader(case: DataSetCase) -> None:
    """torch's DataLoader takes the data set as it is and gives the same batches."""
    data = _same_every_time(case)
    expected = _named(data[first_rows(data)])
    if not any(name.startswith("targets") for name in expected):
        raise Skip("it has no targets, and a DataLoader wants tensors alone")
    loader: Any = DataLoader(data, batch_size=len(first_rows(data)))  # type: ignore[arg-type]
    try:
        found = _named(next(iter(loader)))
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckError(f"DataLoader(data, batch_size=...) must give (inputs, targets), got {error!r}") from error
    for name, tensor in found.items():
        _require_same(name, tensor, expected[name], "be the same from a DataLoader")


def no_graph(case: DataSetCase) -> None:
    """Rows do not require grad."""
    data = build(case)
    for name, tensor in _named(data[first_rows(data)]).items():
        if tensor.requires_grad:
            raise CheckError(f"{name} must not require grad, got requires_grad=True")


def _same_every_time(case: DataSetCase) -> DataSet:
    if "random" in case.tags:
        raise Skip("tag random")
    return build(case)


def _one_by_one(data: DataSet, rows: list[int]) -> dict[str, Tensor]:
    """The batch of these rows, each fetched alone."""
    alone = [_named(data[torch.tensor([row])]) for row in rows]
    return {name: torch.cat([row[name] for row in alone]) for name in alone[0]}


def _named(batch: Any) -> dict[str, Tensor]:
    inputs, targets = batch
    return tensors(inputs, "inputs") | tensors(targets, "targets")


def _require_same(name: str, actual: Tensor, expected: Tensor, rule: str) -> None:
    if actual.dtype is not expected.dtype:
        raise CheckError(f"{name} must {rule}: dtype must be {expected.dtype}, got {actual.dtype}")
    if actual.shape != expected.shape or not same_bits(actual, expected):
        require_close(name, actual.double(), expected.double(), rule, rtol=0, atol=0)
