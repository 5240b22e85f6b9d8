"""Class indices as columns of 0 and 1."""

import pytest
import torch

from mytorch.core import ArgumentError, DtypeError, Wrapped
from mytorch.data import Disk, TensorDataSet
from mytorch.data.batches import batches
from mytorch.data.preparation.encoded_targets import EncodedTargets


def targets_of(data):
    return torch.cat([targets for _, targets in batches(data, 3)])


@pytest.mark.parametrize("wrap", [lambda data: data, Wrapped])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_hot(wrap, dtype):
    points = Disk(10)
    data = wrap(points)
    encoded = EncodedTargets(data, "one-hot", dtype)
    assert len(encoded) == 10
    torch.testing.assert_close(targets_of(encoded), torch.eye(2, dtype=dtype)[points.targets])


def test_binary():
    points = Disk(10)
    encoded = EncodedTargets(points, "binary", torch.float64)
    torch.testing.assert_close(targets_of(encoded), points.targets.double().unsqueeze(1))


def test_what_is_known_about_the_data_goes_with_it():
    encoded = EncodedTargets(Disk(10), "one-hot", torch.float32)
    assert (encoded.columns, encoded.classes, encoded.preparation) == (("x", "y"), ("outside", "inside"), None)


def test_the_targets_of_all_rows_and_the_units_are_known():
    class Hundreds(TensorDataSet):
        def in_units(self, values):
            return values * 100

    encoded = EncodedTargets(Hundreds(torch.zeros(3, 1), torch.tensor([0, 1, 1])), "binary", torch.float32)
    assert torch.equal(encoded.targets, targets_of(encoded))
    assert encoded.in_units(torch.tensor(2.0)) == 200


def test_a_row_alone():
    inputs, target = EncodedTargets(Disk(10), "one-hot", torch.float32)[3]
    assert inputs.shape == (2,)
    assert target.shape == (2,)


def test_numbers_are_refused():
    with pytest.raises(DtypeError, match=r'needs class indices, int64, got torch.float32; use targets = "as-is"'):
        targets_of(EncodedTargets(TensorDataSet(torch.zeros(3, 1), torch.rand(3)), "one-hot", torch.float32))


def test_the_number_of_classes_is_that_of_the_whole_data_set():
    data = TensorDataSet(torch.zeros(4, 1), torch.tensor([0, 0, 1, 2]))
    assert targets_of(EncodedTargets(data, "one-hot", torch.float32)).shape == (4, 3)


def test_the_training_data_decide_the_number_of_classes():
    data = TensorDataSet(torch.zeros(2, 1), torch.tensor([0, 1]))
    assert targets_of(EncodedTargets(data, "one-hot", torch.float32, 3)).shape == (2, 3)


def test_an_unknown_number_of_classes_is_refused():
    """Else a batch without the last class would have a column less."""
    nameless = Wrapped(TensorDataSet(torch.zeros(2, 1), torch.tensor([0, 1])))
    with pytest.raises(ArgumentError, match=r"data.targets: one-hot must know the number of classes, got Wrapped"):
        EncodedTargets(nameless, "one-hot", torch.float32)


@pytest.mark.parametrize(("encoding", "wrong"), [("one-hot", 2), ("one-hot", -1), ("binary", 2), ("binary", -1)])
def test_indices_outside_the_classes_are_refused(encoding, wrong):
    data = Disk(10)
    data.targets[3] = wrong
    with pytest.raises(ArgumentError, match=rf"data.targets: {encoding} needs class indices from 0 to 1, got {wrong}"):
        targets_of(EncodedTargets(data, encoding, torch.float32))
