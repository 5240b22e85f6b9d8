import json

import pytest
import torch
from torch.utils.data import DataLoader

from mytorch.core import ArgumentError, DtypeError, ShapeError
from mytorch.data import Disk, Standardize, Standardized, TensorDataSet, split


def table(dtype: torch.dtype = torch.float64) -> TensorDataSet:
    inputs = torch.randn(1000, 3, dtype=torch.float64) * torch.tensor([1.0, 100.0, 1e-3]) + torch.tensor(
        [5.0, 1e6, 0.0]
    )
    constant = torch.full((1000, 1), 0.1, dtype=torch.float64)
    return TensorDataSet(torch.cat((inputs, constant), 1).to(dtype), torch.zeros(1000), ("a", "b", "c", "d"))


@pytest.mark.parametrize("batch_size", [1, 7, 1000, 5000])
def test_learns_mean_and_deviation_in_batches_of_any_size(batch_size: int) -> None:
    data = table()
    learned = Standardize.fit(data, batch_size)
    torch.testing.assert_close(learned.mean, data.inputs.mean(0), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(learned.std[:3], data.inputs[:, :3].std(0, correction=0), rtol=1e-9, atol=0)
    assert learned.std[3] == 1  # a constant column


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_inputs_come_with_mean_0_and_deviation_1_in_their_dtype(dtype: torch.dtype) -> None:
    data = table(dtype)
    view = Standardized(data, Standardize.fit(data))
    inputs, targets = view[:]
    assert inputs.dtype is dtype
    precision = {"rtol": 0, "atol": 1e-5}
    exact = inputs.double()
    torch.testing.assert_close(exact.mean(0), torch.zeros(4, dtype=torch.float64), **precision)
    torch.testing.assert_close(exact[:, :3].std(0, correction=0), torch.ones(3, dtype=torch.float64), **precision)
    torch.testing.assert_close(targets, data.targets)
    assert view.columns == data.columns


def test_is_learned_from_the_training_part_only() -> None:
    train, test = split(Disk(200, dtype="float64"), (0.5, 0.5))
    learned = Standardize.fit(train)
    rows = train.data.inputs[train.indices]
    torch.testing.assert_close(learned.mean, rows.mean(0))
    x = test[0][0]
    torch.testing.assert_close(Standardized(test, learned)[0][0], (x - rows.mean(0)) / rows.std(0, correction=0))


def test_the_preparation_is_json_and_enough_to_build_it_again() -> None:
    data = table()
    data.preparation = {"encode": ["a"]}
    learned = Standardize.fit(data)
    view = Standardized(data, learned)
    stored = json.loads(json.dumps(view.preparation))
    assert stored["encode"] == ["a"]
    assert set(stored["standardize"]) == {"mean", "std"}
    again = Standardize.from_preparation(stored)
    torch.testing.assert_close(again.apply(data.inputs), learned.apply(data.inputs), rtol=0, atol=0)


def test_works_with_a_dataloader_and_writes_into_nothing() -> None:
    data = table()
    before = data.inputs.clone()
    view = Standardized(data, Standardize.fit(data))
    assert sum(len(inputs) for inputs, _ in DataLoader(view, batch_size=64)) == 1000
    torch.testing.assert_close(data.inputs, before, rtol=0, atol=0)


def test_what_does_not_fit_raises() -> None:
    learned = Standardize([0.0, 1.0], [1.0, 2.0])
    with pytest.raises(ShapeError, match=r"Standardize: inputs must have 2 columns, got \(4, 3\)"):
        learned.apply(torch.zeros(4, 3))
    with pytest.raises(DtypeError, match=r"Standardize: inputs must be floating point, got torch\.int64"):
        learned.apply(torch.zeros(4, 2, dtype=torch.int64))
    with pytest.raises(ShapeError, match="Standardize: mean and std must have one number a column each, got"):
        Standardize([0.0], [1.0, 2.0])
    for mean, std in (([float("nan")], [1.0]), ([0.0], [0.0])):
        with pytest.raises(ArgumentError, match="Standardize: mean must be finite and std above 0, got"):
            Standardize(mean, std)
    with pytest.raises(ArgumentError, match=r"preparation must hold 'standardize' with 'mean' and 'std', got \{\}"):
        Standardize.from_preparation({})
    with pytest.raises(
        ShapeError, match=r"Standardize: inputs must have shape \(rows, columns\), .*width\), got \(5,\)"
    ):
        Standardize.fit(TensorDataSet(torch.zeros(5), torch.zeros(5)))
    with pytest.raises(ArgumentError, match="the data set to learn from must have rows, got none"):
        Standardize.fit(TensorDataSet(torch.zeros(0, 2), torch.zeros(0)))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_names_its_column(value: float) -> None:
    data = table()
    data.inputs[17, 2] = value
    with pytest.raises(ArgumentError, match="Standardize: inputs must be finite, got other values in column c"):
        Standardize.fit(data)


def test_images_are_standardised_channel_by_channel_over_all_pixels() -> None:
    x = torch.randn(50, 3, 4, 5, dtype=torch.float64) * torch.tensor([1.0, 5.0, 0.1]).reshape(-1, 1, 1) + 2
    x[:, 1, 2, 3] = 7
    data = TensorDataSet(x, torch.zeros(50))
    learned = Standardize.fit(data, batch_size=7)
    torch.testing.assert_close(learned.mean, x.mean((0, 2, 3)))
    torch.testing.assert_close(learned.std, x.std((0, 2, 3), correction=0))
    expected = (x - x.mean((0, 2, 3), keepdim=True)) / x.std((0, 2, 3), correction=0, keepdim=True)
    torch.testing.assert_close(Standardized(data, learned)[:][0], expected)
    with pytest.raises(ShapeError, match=r"Standardize: inputs must have 3 columns, got \(2, 4, 4, 3\)"):
        learned.apply(torch.zeros(2, 4, 4, 3))


def test_standardised_twice_is_refused() -> None:
    data = table()
    view = Standardized(data, Standardize.fit(data))
    with pytest.raises(ArgumentError, match="Standardized: the data set must not be standardised yet"):
        Standardized(view, Standardize.fit(view))
