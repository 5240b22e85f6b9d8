"""Sequences: the target is computed again from what the sequence shows."""

import doctest
import math
from typing import Any

import pytest
import torch

from mytorch.core import ArgumentError
from mytorch.data import AddingProblem, Copying, SineMixtures
from mytorch.data.generated import sequences

SEEDS = (0, 1, 2**40)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("length", [2, 3, 50, 101])
def test_the_adding_problem_adds_the_marked_values(length: int, seed: int) -> None:
    data = AddingProblem(500, length=length, seed=seed, dtype="float64")
    assert data.inputs.shape == (500, length, 2)
    assert data.targets.shape == (500, 1)
    for row, target in zip(data.inputs, data.targets.flatten().tolist(), strict=True):
        marked = row[:, 1].nonzero().flatten().tolist()
        assert len(marked) == 2
        assert marked[0] < length // 2 <= marked[1]
        assert target == sum(row[place, 0].item() for place in marked)
        assert row[:, 1].sum() == 2
    assert 0 <= data.inputs[..., 0].min() <= data.inputs[..., 0].max() < 1


def test_every_place_is_marked_and_who_says_one_is_off_by_a_sixth() -> None:
    data = AddingProblem(20_000, length=9)
    assert data.inputs[..., 1].sum(0).min() > 0
    assert abs((data.targets - 1).square().mean().item() - 1 / 6) < 0.01


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("symbols", "length", "delay"), [(1, 1, 1), (4, 3, 2), (8, 10, 20)])
def test_copying_repeats_the_symbols_after_the_sign(symbols: int, length: int, delay: int, seed: int) -> None:
    data = Copying(300, symbols=symbols, length=length, delay=delay, seed=seed)
    for inputs, targets in zip(data.inputs.tolist(), data.targets.tolist(), strict=True):
        kept = inputs[:length]
        assert all(1 <= symbol <= symbols for symbol in kept)
        assert inputs[length:] == [0] * (delay - 1) + [symbols + 1] + [0] * length
        assert targets == [0] * (length + delay) + kept
    assert data.inputs.dtype is data.targets.dtype is torch.int64
    assert data.classes == ("blank", *(str(symbol) for symbol in range(1, symbols + 1)))
    assert len(data.inputs[:, :length].unique()) == symbols


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("components", [1, 3])
def test_a_mixture_of_sines_solves_its_recurrence(components: int, seed: int) -> None:
    """A sum of k sines follows exactly from the 2k steps before it, with coefficients found by least squares."""
    data = SineMixtures(20, history=60, horizon=8, components=components, noise=0.0, seed=seed, dtype="float64")
    series = torch.cat((data.inputs[..., 0], data.targets), 1)
    assert series.abs().max() < components
    lags = 2 * components
    for row in series:
        windows = row.unfold(0, lags + 1, 1)
        solved = torch.linalg.lstsq(windows[:, :lags], windows[:, lags:], driver="gelsd").solution
        torch.testing.assert_close(windows[:, :lags] @ solved, windows[:, lags:], rtol=0, atol=1e-6)


def test_noise_of_series_is_normal() -> None:
    options: dict[str, Any] = {"history": 30, "horizon": 10, "seed": 6}
    plain, noisy = SineMixtures(400, noise=0.0, **options), SineMixtures(400, noise=0.5, **options)
    difference = torch.cat(((noisy.inputs - plain.inputs)[..., 0], noisy.targets - plain.targets), 1)
    assert abs(difference.std().item() - 0.5) < 0.01
    assert abs(difference.mean().item()) < 0.02


@pytest.mark.parametrize("cls", [AddingProblem, SineMixtures])
def test_a_seed_decides_the_numbers_and_the_dtype_does_not(cls: Any) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    wide = cls(30, seed=7, dtype=torch.float64)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)
    data = cls(30, seed=7)
    torch.testing.assert_close(data.inputs, wide.inputs.float(), rtol=0, atol=0)
    torch.testing.assert_close(data.targets, wide.targets.float(), rtol=0, atol=0)
    assert not torch.equal(cls(30, seed=8).inputs, data.inputs)


@pytest.mark.parametrize(
    ("cls", "arguments", "message"),
    [
        (AddingProblem, {"length": 1}, "AddingProblem: length must be a whole number of at least 2, got 1"),
        (AddingProblem, {"samples": 1.5}, "AddingProblem: samples must be a whole number of at least 1, got 1.5"),
        (AddingProblem, {"samples": 10**12}, "AddingProblem: samples must fit into the memory of this machine"),
        (AddingProblem, {"dtype": "int64"}, "AddingProblem: dtype must be one of float32, .* got 'int64'"),
        (Copying, {"symbols": 0}, "Copying: symbols must be a whole number of at least 1, got 0"),
        (Copying, {"symbols": 1001}, "Copying: symbols must be a whole number of at most 1,000, got 1001"),
        (Copying, {"delay": 0}, "Copying: delay must be a whole number of at least 1, got 0"),
        (Copying, {"length": 2_000_000}, "Copying: length must be a whole number of at most 1,000,000, got 2000000"),
        (Copying, {"seed": -1}, "Copying: seed must be a whole number from 0"),
        (SineMixtures, {"history": 0}, "SineMixtures: history must be a whole number of at least 1, got 0"),
        (SineMixtures, {"horizon": 0}, "SineMixtures: horizon must be a whole number of at least 1, got 0"),
        (SineMixtures, {"components": 0}, "SineMixtures: components must be a whole number of at least 1, got 0"),
        (SineMixtures, {"noise": math.inf}, "SineMixtures: noise must be finite and at least 0, got inf"),
    ],
)
def test_arguments_outside_their_range_raise(cls: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        cls(**arguments)


def test_the_examples_hold() -> None:
    result = doctest.testmod(sequences)
    assert result.attempted > 8
    assert not result.failed
