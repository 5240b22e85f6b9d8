"""Every data set of this distribution goes through the kit."""

from importlib.metadata import entry_points

import torch

from mytorch.data import Disk, Standardize, Standardized, TensorDataSet, split
from mytorch.testing import declare_dataset


def numbers():
    return TensorDataSet(torch.randn(9, 3), torch.randn(9, 2), columns=("a", "b", "c"))


test_disk = declare_dataset(lambda: Disk(50, seed=3, dtype="float64"))
test_disk_of_one_row = declare_dataset(lambda: Disk(1))
test_tensor_data_set = declare_dataset(numbers)
test_rows_of_a_split = declare_dataset(lambda: split(Disk(40), (0.5, 0.5))[1])
test_standardized = declare_dataset(lambda: Standardized(Disk(40), Standardize.fit(Disk(40))))


def test_every_part_is_declared_here():
    own = {entry.load() for entry in entry_points(group="mytorch.datasets") if entry.dist.name == "mytorch-data"}
    assert own == {Disk}
