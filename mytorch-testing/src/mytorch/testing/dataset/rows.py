"""Whether a data set gives the same rows however they are asked for, and says truly what they are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mytorch.core import DataSet
from mytorch.testing.compare import require_close, same_bits
from mytorch.testing.dataset.case import DataSetCase, build, first_rows
from mytorch.testing.errors import CheckError, Skip
from mytorch.testing.structure import tensors


def length(case: DataSetCase) -> None:
    """len is how many rows there are, at least one."""
    rows = len(build(case))
    if rows < 1:
        raise CheckError(f"len must be at least 1 for a data set that can be checked, got {rows}")


def batches_of_rows(case: DataSetCase) -> None:
    """A batch is inputs and targets, each with one row for every index."""
    data = build(case)
    batch = data.__getitems__(first_rows(data))
    if not (isinstance(batch, tuple) and len(batch) == 2):
        raise CheckError(f"__getitems__ must return (inputs, targets), got {type(batch).__name__}")
    found = _named(batch)
    if not found:
        raise CheckError("__getitems__ must return tensors, got none")
    count = len(first_rows(data))
    for name, tensor in found.items():
        if tensor.shape[:1] != (count,):
            raise CheckError(f"{name} must have {count} rows for {count} indices, got shape {tuple(tensor.shape)}")


def order(case: DataSetCase) -> None:
    """Rows come in the order of their indices, as often as they are asked for."""
    data = _same_every_time(case)
    count = len(first_rows(data))
    one_by_one = [_named(data.__getitems__(torch.tensor([row]))) for row in range(count)]
    wanted = torch.tensor([count - 1, 0, *range(count), 0])
    for name, tensor in _named(data.__getitems__(wanted)).items():
        expected = torch.cat([one_by_one[row][name] for row in wanted.tolist()])
        _require_same(name, tensor, expected, f"hold the rows {wanted.tolist()} in this order")


def lists_and_tensors(case: DataSetCase) -> None:
    """Indices may be a list or an int64 tensor."""
    data = _same_every_time(case)
    expected = _named(data.__getitems__(first_rows(data)))
    for name, tensor in _named(data.__getitems__(first_rows(data).tolist())).items():
        _require_same(name, tensor, expected[name], "be the same for indices as a list and as a tensor")


def single_row(case: DataSetCase) -> None:
    """data[i] is row i, without the axis of the batch; data[-1] is the last."""
    data = _same_every_time(case)
    for index in (0, len(data) - 1, -1):
        expected = _named(data.__getitems__(torch.tensor([index % len(data)])))
        for name, tensor in _named(data[index]).items():
            _require_same(f"{name} of data[{index}]", tensor, expected[name][0], "be that row")


def past_the_end(case: DataSetCase) -> None:
    """data[len(data)] raises IndexError, so that a for loop ends."""
    data = build(case)
    try:
        data[len(data)]
    except IndexError:
        return
    raise CheckError(f"data[{len(data)}] must raise IndexError, since there are {len(data)} rows, got a row")


def no_rows(case: DataSetCase) -> None:
    """No indices give no rows, of the same shape and dtype otherwise."""
    data = build(case)
    expected = _named(data.__getitems__(first_rows(data)))
    for name, tensor in _named(data.__getitems__(torch.zeros(0, dtype=torch.int64))).items():
        wanted = (0, *expected[name].shape[1:]), expected[name].dtype
        if (tensor.shape, tensor.dtype) != wanted:
            got = f"{tuple(tensor.shape)} {tensor.dtype}"
            raise CheckError(f"{name} must be {wanted[0]} {wanted[1]} for no indices, got {got}")


def same_again(case: DataSetCase) -> None:
    """The same rows are the same at every time of asking (tag random otherwise)."""
    data = _same_every_time(case)
    first = _named(data.__getitems__(first_rows(data)))
    for name, tensor in _named(data.__getitems__(first_rows(data))).items():
        _require_same(name, tensor, first[name], "be the same when asked for again (tag random otherwise)")


def unshared(case: DataSetCase) -> None:
    """Who writes into a batch does not change the data."""
    data = _same_every_time(case)
    expected = {name: tensor.clone() for name, tensor in _named(data.__getitems__(first_rows(data))).items()}
    for tensor in _named(data.__getitems__(first_rows(data))).values():
        tensor.zero_()
    for name, tensor in _named(data.__getitems__(first_rows(data))).items():
        _require_same(name, tensor, expected[name], "be the same after somebody wrote into a batch")


def determinism(case: DataSetCase) -> None:
    """Two that are built alike under one seed hold the same rows."""
    one, other = build(case), build(case)
    torch.manual_seed(case.seed)
    expected = _named(one.__getitems__(first_rows(one)))
    torch.manual_seed(case.seed)
    for name, tensor in _named(other.__getitems__(first_rows(other))).items():
        _require_same(name, tensor, expected[name], "be the same under the same seed")


def data_loader(case: DataSetCase) -> None:
    """torch's DataLoader takes it and gives the same batches."""
    data = _same_every_time(case)
    loader: Any = DataLoader(data, batch_size=len(first_rows(data)), collate_fn=lambda batch: batch)  # type: ignore[arg-type]
    expected = _named(data.__getitems__(first_rows(data)))
    for name, tensor in _named(next(iter(loader))).items():
        _require_same(name, tensor, expected[name], "be the same from a DataLoader")


def no_graph(case: DataSetCase) -> None:
    """Rows require no grad."""
    data = build(case)
    for name, tensor in _named(data.__getitems__(first_rows(data))).items():
        if tensor.requires_grad:
            raise CheckError(f"{name} must not require grad, got requires_grad=True")


def _same_every_time(case: DataSetCase) -> DataSet:
    if "random" in case.tags:
        raise Skip("tag random")
    return build(case)


def _named(batch: Any) -> dict[str, Tensor]:
    inputs, targets = batch
    return tensors(inputs, "inputs") | tensors(targets, "targets")


def _require_same(name: str, actual: Tensor, expected: Tensor, rule: str) -> None:
    if actual.dtype is not expected.dtype:
        raise CheckError(f"{name} must {rule}: dtype must be {expected.dtype}, got {actual.dtype}")
    if actual.shape != expected.shape or not same_bits(actual, expected):
        require_close(name, actual.double(), expected.double(), rule, rtol=0, atol=0)
