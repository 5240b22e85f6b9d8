"""Points of the plane: where they lie, which class they are of, and what is refused."""

import doctest
import math
from typing import Any

import pytest
import torch

from mytorch.core import ArgumentError, View
from mytorch.data import XOR, Circles, Disk, Gaussians, Moons, Spirals, split
from mytorch.data.generated import disk, planar

FAMILY = (Circles, Disk, Gaussians, Moons, Spirals, XOR)
SEEDS = (0, 1, 20, 2**40 + 3)


def exact(cls: Any, seed: int, **options: Any) -> tuple[torch.Tensor, torch.Tensor]:
    data = cls(2000, seed=seed, dtype="float64", **options)
    assert data.inputs.shape == (2000, 2)
    assert data.targets.shape == (2000,)
    assert data.targets.dtype is torch.int64
    return data.inputs, data.targets


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("classes", "turns"), [(2, 1.0), (3, 1.5), (7, 0.3)])
def test_each_spiral_winds_around_the_origin_behind_the_one_before(seed: int, classes: int, turns: float) -> None:
    points, kinds = exact(Spirals, seed, classes=classes, turns=turns, noise=0.0)
    r = points.norm(dim=1)
    assert r.max() < 1
    angle = torch.atan2(points[:, 1], points[:, 0])
    wound = angle / (2 * math.pi) - turns * r - kinds / classes  # whole turns
    torch.testing.assert_close(wound, wound.round(), rtol=0, atol=1e-9)
    assert abs(r.square().mean().item() - 0.5) < 5 * math.sqrt(1 / 12 / 2000)  # uniform over the area


@pytest.mark.parametrize("seed", SEEDS)
def test_moons_are_half_circles(seed: int) -> None:
    points, kinds = exact(Moons, seed, noise=0.0)
    upper, lower = points[kinds == 0], points[kinds == 1]
    torch.testing.assert_close(upper.norm(dim=1), torch.ones(1000, dtype=torch.float64))
    torch.testing.assert_close((lower - torch.tensor((1.0, 0.5))).norm(dim=1), torch.ones(1000, dtype=torch.float64))
    assert upper[:, 1].min() >= 0
    assert lower[:, 1].max() <= 0.5
    assert abs(upper[:, 0].mean().item()) < 5 * math.sqrt(0.5 / 1000)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("factor", [0.0, 0.3, 0.8])
def test_circles_have_their_radius(seed: int, factor: float) -> None:
    points, kinds = exact(Circles, seed, noise=0.0, factor=factor)
    wanted = torch.where(kinds == 0, 1.0, factor).double()
    torch.testing.assert_close(points.norm(dim=1), wanted, rtol=0, atol=1e-6)
    assert points[kinds == 0].mean(0).abs().max() < 5 * math.sqrt(0.5 / 1000)


@pytest.mark.parametrize("seed", SEEDS)
def test_xor_goes_by_the_signs_before_the_noise(seed: int) -> None:
    points, kinds = exact(XOR, seed)
    assert points.abs().max() <= 1
    torch.testing.assert_close(kinds, ((points[:, 0] > 0) != (points[:, 1] > 0)).long())
    moved, same = exact(XOR, seed, noise=0.3)
    torch.testing.assert_close(kinds, same)
    assert abs((moved - points).std().item() - 0.3) < 0.03


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_gaussians_have_their_centres_and_width(seed: int, classes: int) -> None:
    points, kinds = exact(Gaussians, seed, classes=classes, cluster_std=0.2)
    for kind in range(classes):
        own = points[kinds == kind]
        angle = 2 * math.pi * kind / classes
        centre = torch.tensor((math.cos(angle), math.sin(angle)), dtype=torch.float64)
        assert (own.mean(0) - centre).abs().max() < 5 * 0.2 / math.sqrt(len(own))
        assert abs(own.std(0).mean().item() - 0.2) < 0.05


@pytest.mark.parametrize("cls", [Circles, Gaussians, Moons, Spirals])
def test_noise_is_normal_and_classes_balance_in_a_random_order(cls: Any) -> None:
    name = "cluster_std" if cls is Gaussians else "noise"
    plain, kinds = exact(cls, 5, **{name: 0.0})
    noisy, same = exact(cls, 5, **{name: 0.4})
    torch.testing.assert_close(kinds, same)
    noise = (noisy - plain) / 0.4
    assert abs(noise.mean().item()) < 5 / math.sqrt(4000)
    assert abs(noise.square().mean().item() - 1) < 5 * math.sqrt(2 / 4000)
    counts = kinds.bincount()
    assert counts.max() - counts.min() <= 1
    assert len(kinds[:50].unique()) == len(counts)


@pytest.mark.parametrize("cls", FAMILY)
def test_a_seed_decides_the_points_and_neither_dtype_nor_torchs_own_stream_does(cls: Any) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    wide = cls(300, seed=7, dtype=torch.float64)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)
    for dtype in ("float32", torch.float16, "bfloat16"):
        data = cls(300, seed=7, dtype=dtype)
        torch.testing.assert_close(data.inputs, wide.inputs.to(data.inputs.dtype), rtol=0, atol=0)
        torch.testing.assert_close(data.targets, wide.targets)
    assert cls(300).inputs.dtype is torch.float32
    assert not torch.equal(cls(300, seed=8).inputs, cls(300, seed=7).inputs)


@pytest.mark.parametrize("cls", FAMILY)
def test_indexed_viewed_and_split_as_arrays_are(cls: Any) -> None:
    data = cls(50, seed=2)
    inputs, targets = data[10:20]
    torch.testing.assert_close(inputs, data.inputs[10:20])
    torch.testing.assert_close(View(data, [3, 1])[:][1], data.targets[[3, 1]])
    assert data[-1][1] == data.targets[49]
    assert targets.shape == (10,)
    parts = split(data, (0.5, 0.5))
    assert sorted(i for part in parts for i in part.indices.tolist()) == list(range(50))


@pytest.mark.parametrize(
    ("cls", "arguments", "message"),
    [
        (Spirals, {"samples": 0}, "Spirals: samples must be a whole number of at least 1, got 0"),
        (Spirals, {"classes": 1}, "Spirals: classes must be a whole number of at least 2, got 1"),
        (Spirals, {"classes": 1001}, "Spirals: classes must be a whole number of at most 1,000, got 1001"),
        (Spirals, {"turns": -1.0}, "Spirals: turns must be finite and at least 0, got -1.0"),
        (Spirals, {"turns": math.inf}, "Spirals: turns must be finite and at least 0, got inf"),
        (Spirals, {"noise": math.nan}, "Spirals: noise must be finite and at least 0, got nan"),
        (Moons, {"noise": -0.1}, "Moons: noise must be finite and at least 0, got -0.1"),
        (Moons, {"noise": "much"}, "Moons: noise must be a number, got 'much'"),
        (
            Moons,
            {"samples": 10**18},
            "Moons: samples must fit into the memory of this machine, .*; take fewer samples",
        ),
        (Circles, {"factor": 1.5}, "Circles: factor must be between 0 and 1, got 1.5"),
        (XOR, {"seed": -1}, r"XOR: seed must be a whole number from 0 to 2\*\*63 - 1, got -1"),
        (XOR, {"noise": True}, "XOR: noise must be a number, got True"),
        (Gaussians, {"cluster_std": -1}, "Gaussians: cluster_std must be finite and at least 0, got -1"),
        (Gaussians, {"dtype": "int64"}, "Gaussians: dtype must be one of float32, .* got 'int64'"),
    ],
)
def test_arguments_outside_their_range_raise(cls: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        cls(**arguments)


@pytest.mark.parametrize("module", [disk, planar])
def test_the_examples_hold(module: Any) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 2
    assert not result.failed
