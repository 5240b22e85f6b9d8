"""Sequences of different lengths in memory."""

import doctest

import numpy as np
import pytest
import torch

from mytorch.core import ArgumentError, DtypeError, ShapeError, View
from mytorch.data import RaggedDataSet, Standardize, Standardized, hold_out
from mytorch.data.sequences import PADDING, ragged

LENGTHS = [3, 1, 4, 2]


def sequences(columns=2, dtype=torch.float32):
    return [torch.randn(length, columns, dtype=dtype) for length in LENGTHS]


@pytest.mark.parametrize("indices", [[0], [1, 3], [3, 0, 2, 0], [2, 1], []])
def test_a_batch_is_padded_to_its_longest(indices):
    inputs = sequences()
    data = RaggedDataSet(inputs, [10, 11, 12, 13], columns=("a", "b"))
    batch, targets = data[indices]
    assert batch["lengths"].tolist() == [LENGTHS[index] for index in indices]
    assert targets.tolist() == [10 + index for index in indices]
    longest = max(batch["lengths"].tolist(), default=0)
    assert batch["x"].shape == (len(indices), longest, 2)
    for row, index in enumerate(indices):
        torch.testing.assert_close(batch["x"][row, : LENGTHS[index]], inputs[index], rtol=0, atol=0)
        assert (batch["x"][row, LENGTHS[index] :] == 0).all()


def test_a_row_has_no_padding_and_a_part_has_its_rows():
    inputs = sequences()
    data = RaggedDataSet(inputs, torch.arange(4.0).unsqueeze(1))
    row, target = data[2]
    torch.testing.assert_close(row["x"], inputs[2], rtol=0, atol=0)
    assert (row["lengths"].item(), target.tolist()) == (4, [2.0])
    part = View(data, [1, 3])
    assert part.ragged
    assert part[:][0]["x"].shape == (2, 2, 2)


def test_classes_of_steps_have_a_class_for_the_padding():
    classes = [np.arange(length) % 2 for length in LENGTHS]
    data = RaggedDataSet(sequences(), classes, classes=("even", "odd"), per_step=True)
    _, targets = data[[1, 0]]
    assert targets.tolist() == [[0, PADDING, PADDING], [0, 1, 0]]
    assert data.targets is None
    assert len(hold_out(data, test=0.5).test) == 2


def test_words_and_lists_and_float64_are_taken():
    words = RaggedDataSet([[1, 2], [3]], [0.1, 0.2])
    inputs, targets = words[:]
    assert inputs["x"].tolist() == [[1, 2], [3, 0]]
    assert (inputs["x"].dtype, targets.dtype) == (torch.int64, torch.get_default_dtype())
    assert words.exact_at(torch.tensor([0]))[1].tolist() == [0.1]
    numbers = RaggedDataSet([np.full((2, 1), 0.1), np.ones((1, 1))], [0, 1])
    assert numbers.exact_at(torch.tensor([0]))[0]["x"].tolist() == [[[0.1], [0.1]]]


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_standardisation_learns_from_every_step_but_the_padding(scale):
    inputs = [scale * (each + 3) for each in sequences(dtype=torch.float64)]
    data = RaggedDataSet(inputs, [0, 1, 0, 1])
    learned = Standardize.fit(data, batch_size=3)
    steps = torch.cat(inputs)
    torch.testing.assert_close(learned.mean, steps.mean(0))
    torch.testing.assert_close(learned.std, steps.std(0, correction=0))
    batch, _ = Standardized(data, learned)[[1, 2]]
    torch.testing.assert_close(batch["x"][1], (inputs[2] - steps.mean(0)) / steps.std(0, correction=0))
    assert (batch["x"][0, 1:] == 0).all()


@pytest.mark.parametrize(
    ("inputs", "targets", "options", "error", "message"),
    [
        ([], [], {}, ArgumentError, "inputs must be a list of sequences, got a list"),
        (torch.ones(3, 2, 1), [0], {}, ArgumentError, "inputs must be a list of sequences, got a Tensor"),
        ([torch.ones(2, 1), torch.ones(0, 1)], [0, 1], {}, ShapeError, r"at least one step, got \(0, 1\) as number 1"),
        (
            [np.ones((2, 1)), np.ones((2, 3))],
            [0, 1],
            {},
            ShapeError,
            r"must have one shape, \(1,\) as those of number 0, got \(3,\) in number 1",
        ),
        (
            [torch.ones(2, 1)],
            [0, 1],
            {},
            ShapeError,
            "inputs and targets must have the same number of rows, got 1 and",
        ),
        ([torch.ones(2, 1)], [0], {"columns": ("a", "b")}, ArgumentError, "columns must name every input column"),
        (
            [torch.ones(2, 1)],
            [[0]],
            {"per_step": True},
            ShapeError,
            "as many steps as the inputs, got 1 for 2 in numb",
        ),
        ([torch.ones(2, 1)], [[0], [1]], {"per_step": True}, ShapeError, "the inputs, got 2 sequences for 1"),
        (
            [torch.ones(2, 1)],
            [[0.5, 1]],
            {"per_step": True},
            DtypeError,
            "targets of steps must be classes, one int64",
        ),
        ([torch.ones(2, 1)], [0], {"per_step": 1}, ArgumentError, "per_step must be True or False, got 1"),
        ([["a"], ["b"]], [0, 1], {}, DtypeError, "inputs must be numbers"),
    ],
)
def test_what_does_not_fit_is_refused(inputs, targets, options, error, message):
    with pytest.raises(error, match=message):
        RaggedDataSet(inputs, targets, **options)


def test_the_example_holds():
    result = doctest.testmod(ragged)
    assert result.attempted > 3
    assert not result.failed
