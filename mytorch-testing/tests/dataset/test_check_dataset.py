"""Wrong data sets, each beside a right twin: the check that names the fault fails it and passes the twin."""

import pytest
import torch

from mytorch.core import ArgumentError, DataSet
from mytorch.testing import DATASET_CHECKS, CheckError, check_dataset


class Points(DataSet):
    """The right twin: ten points, standardised, in two classes."""

    columns = ("x", "y")
    classes = ("left", "right")
    preparation = {"mean": [0.0, 0.5]}  # noqa: RUF012

    def __init__(self):
        self.inputs = torch.randn(10, 2, generator=torch.Generator().manual_seed(3))
        self.targets = (self.inputs[:, 0] > 0).long()

    def __len__(self):
        return len(self.inputs)

    def __getitems__(self, indices):
        return self.inputs[indices], self.targets[indices]


class Empty(Points):
    def __len__(self):
        return 0


class InputsOnly(Points):
    def __getitems__(self, indices):
        return self.inputs[indices]


class OneTarget(Points):
    def __getitems__(self, indices):
        return self.inputs[indices], self.targets[:1]


class Sorts(Points):
    def __getitems__(self, indices):
        return super().__getitems__(torch.as_tensor(indices, dtype=torch.int64).sort().values)


class TensorsOnly(Points):
    def __getitems__(self, indices):
        if isinstance(indices, list):
            indices = torch.tensor(indices) * 0
        return super().__getitems__(indices)


class KeepsBatchAxis(Points):
    def __getitem__(self, index):
        if index >= len(self):
            raise IndexError
        return self.__getitems__([index])


class Wraps(Points):
    def __getitem__(self, index):
        inputs, targets = self.__getitems__([index % len(self)])
        return inputs[0], targets[0]


class EmptyAsFloat(Points):
    def __getitems__(self, indices):
        inputs, targets = super().__getitems__(indices)
        return inputs, targets if len(indices) else torch.zeros(0)


class Jitters(Points):
    def __getitems__(self, indices):
        inputs, targets = super().__getitems__(indices)
        return inputs + torch.randn_like(inputs), targets


class GivesViews(Points):
    def __getitems__(self, indices):
        rows = slice(0, len(indices)) if list(indices) == list(range(len(indices))) else indices
        return self.inputs[rows], self.targets[rows]


class OtherEveryTime(Points):
    seeds = iter(range(100))

    def __init__(self):
        super().__init__()
        self.inputs = torch.randn(10, 2, generator=torch.Generator().manual_seed(next(self.seeds)))


class OneNameTooMany(Points):
    columns = ("x", "y", "z")


class SameNames(Points):
    columns = ("x", "x")


class ClassesShort(Points):
    classes = ("left",)


class FloatIndices(Points):
    def __getitems__(self, indices):
        inputs, targets = super().__getitems__(indices)
        return inputs, targets.int()


class TensorPreparation(Points):
    preparation = {"mean": torch.zeros(2)}  # noqa: RUF012


class TuplePreparation(Points):
    preparation = {"mean": (0.0, 0.5)}  # noqa: RUF012


class WithoutCollation(Points):
    def __getitems__(self, indices):
        batch = super().__getitems__(indices)
        return batch if isinstance(indices, torch.Tensor) else tuple(value * 2 for value in batch)


class Watched(Points):
    def __getitems__(self, indices):
        inputs, targets = super().__getitems__(indices)
        return inputs.requires_grad_(), targets


WRONG = [
    (Empty, "length", "len must be at least 1"),
    (InputsOnly, "batches_of_rows", r"__getitems__ must return \(inputs, targets\), got Tensor"),
    (OneTarget, "batches_of_rows", r"targets must have 7 rows for 7 indices, got shape \(1,\)"),
    (Sorts, "order", r"inputs must hold the rows \[6, 0, .*\] in this order"),
    (TensorsOnly, "lists_and_tensors", "inputs must be the same for indices as a list and as a tensor"),
    (KeepsBatchAxis, "single_row", r"inputs of data\[0\] must be that row: shape must be \(2,\), got \(1, 2\)"),
    (Wraps, "past_the_end", r"data\[10\] must raise IndexError, since there are 10 rows, got a row"),
    (EmptyAsFloat, "no_rows", r"targets must be \(0,\) torch.int64 for no indices, got \(0,\) torch.float32"),
    (Jitters, "same_again", "inputs must be the same when asked for again .tag random otherwise"),
    (GivesViews, "unshared", "inputs must be the same after somebody wrote into a batch"),
    (OtherEveryTime, "determinism", "inputs must be the same under the same seed"),
    (OneNameTooMany, "column_names", r"columns must name every column of the inputs, \(7, 2\), got 3 names"),
    (SameNames, "column_names", "columns must be different strings"),
    (ClassesShort, "class_names", "targets must be int64 indices below 1, the number of classes"),
    (FloatIndices, "class_names", "targets must be int64 indices below 2, .* got torch.int32 from 0 to 1"),
    (TensorPreparation, "preparation", "preparation must be what JSON can hold"),
    (TuplePreparation, "preparation", "preparation must be the same after a trip through JSON"),
    (WithoutCollation, "data_loader", "must be the same from a DataLoader"),
    (Watched, "no_graph", "inputs must not require grad"),
]


@pytest.mark.parametrize(("wrong", "check", "text"), WRONG, ids=[one[0].__name__ for one in WRONG])
def test_a_wrong_data_set_fails_where_its_twin_passes(wrong, check, text):
    with pytest.raises(CheckError, match=rf"(?s)^{wrong.__name__}: {check}: .*{text}.*reproduce: check_dataset"):
        check_dataset(wrong, checks=(check,))
    assert check_dataset(Points, checks=(check,)).passed == [check]


def test_the_right_twin_passes_all():
    assert check_dataset(Points).passed == [check.__name__ for check in DATASET_CHECKS]


def test_a_tag_says_that_rows_are_drawn_anew():
    report = check_dataset(Jitters, tags=("random",))
    assert report.skipped["same_again"] == "tag random"
    assert "determinism" in report.passed


def test_what_is_no_data_set():
    with pytest.raises(CheckError, match=r"factory must return a mytorch\.core\.DataSet, got list, which lacks"):
        check_dataset(lambda: [1, 2])
    with pytest.raises(ArgumentError, match="check_dataset: factory must build a new one at each call"):
        check_dataset(Points())
