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

    def batch_at(self, indices):
        return self.inputs[indices], self.targets[indices]


class Empty(Points):
    def __len__(self):
        return 0


class InputsOnly(Points):
    def batch_at(self, indices):
        return self.inputs[indices]


class OneTarget(Points):
    def batch_at(self, indices):
        return self.inputs[indices], self.targets[:1]


class Sorts(Points):
    def batch_at(self, indices):
        return super().batch_at(indices.sort().values)


class NoSlices(Points):
    def __getitem__(self, index):
        return super().__getitem__(slice(1, index.stop + 1) if isinstance(index, slice) else index)


class NoMasks(Points):
    def __getitem__(self, index):
        masked = isinstance(index, torch.Tensor) and index.dtype is torch.bool
        return super().__getitem__(index.long()[:7] if masked else index)


class KeepsBatchAxis(Points):
    def __getitem__(self, index):
        return super().__getitem__([index] if isinstance(index, int) else index)


class Wraps(Points):
    def __getitem__(self, index):
        return super().__getitem__(index % len(self) if isinstance(index, int) else index)


class ListsWrap(Points):
    def __getitem__(self, index):
        return super().__getitem__([row % len(self) for row in index] if isinstance(index, list) else index)


class EmptyAsFloat(Points):
    def batch_at(self, indices):
        inputs, targets = super().batch_at(indices)
        return inputs, targets if len(indices) else torch.zeros(0)


class Jitters(Points):
    def batch_at(self, indices):
        inputs, targets = super().batch_at(indices)
        return inputs + torch.randn_like(inputs), targets


class GivesViews(Points):
    def batch_at(self, indices):
        rows = slice(0, len(indices)) if indices.tolist() == list(range(len(indices))) else indices
        return self.inputs[rows], self.targets[rows]


class SlicesAreViews(Points):
    def __getitem__(self, index):
        return (self.inputs[index], self.targets[index]) if isinstance(index, slice) else super().__getitem__(index)


class OtherEveryTime(Points):
    seeds = iter(range(100))

    def __init__(self):
        super().__init__()
        self.inputs = torch.randn(10, 2, generator=torch.Generator().manual_seed(next(self.seeds)))


class Stretches(Points):
    def batch_at(self, indices):
        return super().batch_at((torch.arange(len(indices)) + int(indices[0])).clamp(max=9))


class OneNameTooMany(Points):
    columns = ("x", "y", "z")


class SameNames(Points):
    columns = ("x", "x")


class ClassesShort(Points):
    classes = ("left",)


class FloatIndices(Points):
    def batch_at(self, indices):
        inputs, targets = super().batch_at(indices)
        return inputs, targets.int()


class TensorPreparation(Points):
    preparation = {"mean": torch.zeros(2)}  # noqa: RUF012


class TuplePreparation(Points):
    preparation = {"mean": (0.0, 0.5)}  # noqa: RUF012


class TargetsOfSome(Points):
    def __init__(self):
        super().__init__()
        self.kept, self.targets = self.targets, self.targets[:5]

    def batch_at(self, indices):
        return self.inputs[indices], self.kept[indices]


class TargetsAsList(TargetsOfSome):
    def __init__(self):
        super().__init__()
        self.targets = self.kept.tolist()


class UnitOfAll(Points):
    def in_units(self, values):
        return values.double().mean()


class NoUnit(Points):
    def in_units(self, values):
        pass


class WholeBatches(Points):
    def __getitems__(self, indices):
        return self[indices]


class Doubles(Points):
    def __getitems__(self, indices):
        return [(inputs * 2, targets) for inputs, targets in super().__getitems__(indices)]


class Watched(Points):
    def batch_at(self, indices):
        inputs, targets = super().batch_at(indices)
        return inputs.requires_grad_(), targets


WRONG = [
    (Empty, "length", "len must be at least 1"),
    (InputsOnly, "batches_of_rows", r"a batch must be \(inputs, targets\), got Tensor"),
    (OneTarget, "batches_of_rows", r"targets must have 7 rows for 7 indices, got shape \(1,\)"),
    (Sorts, "order", r"inputs must hold the rows \[6, 0, .*\] in this order"),
    (NoSlices, "kinds_of_index", "inputs must be the same for a slice as for an int64 tensor"),
    (NoMasks, "kinds_of_index", "inputs must be the same for a mask as for an int64 tensor"),
    (KeepsBatchAxis, "single_row", r"inputs of data\[0\] must be that row: shape must be \(2,\), got \(1, 2\)"),
    (Wraps, "past_the_end", r"data\[10\] must raise IndexError, since there are 10 rows, got a result"),
    (ListsWrap, "past_the_end", r"data\[\[10\]\] must raise IndexError, since there are 10 rows, got a result"),
    (EmptyAsFloat, "no_rows", r"targets must be \(0,\) torch.int64 for no indices, got \(0,\) torch.float32"),
    (Jitters, "same_again", "inputs must be the same when asked for again .tag random otherwise"),
    (GivesViews, "unshared", "inputs must be the same after somebody wrote into a batch"),
    (SlicesAreViews, "unshared", "inputs must be the same after somebody wrote into a batch"),
    (OtherEveryTime, "determinism", "inputs must be the same under the same seed"),
    (OneNameTooMany, "column_names", r"columns must name every column of the inputs, \(7, 2\), got 3 names"),
    (SameNames, "column_names", "columns must be different strings"),
    (ClassesShort, "class_names", "targets must be int64 indices below 1, the number of classes"),
    (FloatIndices, "class_names", "targets must be int64 indices below 2, .* got torch.int32 from 0 to 1"),
    (TensorPreparation, "preparation", "preparation must be what JSON can hold"),
    (TuplePreparation, "preparation", "preparation must be the same after a trip through JSON"),
    (TargetsOfSome, "known_targets", r"targets must be the targets of data\[:\], got others"),
    (TargetsAsList, "known_targets", "targets must be one tensor, or None, got list"),
    (UnitOfAll, "units", r"in_units must give a tensor of \(7,\) for targets of it, got shape \(\)"),
    (NoUnit, "units", r"in_units must give a tensor of \(7,\) for targets of it, got NoneType"),
    (Stretches, "parts", r"inputs must be those rows in a View of the rows \[6, 5, 4, 3, 2, 1, 0\]"),
    (WholeBatches, "data_loader", r"DataLoader\(data, batch_size=...\) must give \(inputs, targets\), got "),
    (Doubles, "data_loader", "inputs must be the same from a DataLoader"),
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
