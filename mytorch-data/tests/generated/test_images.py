"""Small pictures: each is drawn again pixel by pixel from what the picture shows."""

import doctest
from typing import Any

import pytest
import torch

from mytorch.core import ArgumentError, ShapeError
from mytorch.data import Shapes, write_csv
from mytorch.data.generated import images


def widths(mask: torch.Tensor) -> list[int]:
    """How many pixels are set in each row that has any."""
    return [int(count) for count in mask.sum(1) if count]


@pytest.mark.parametrize("seed", [0, 1, 2**40])
@pytest.mark.parametrize("size", [8, 16, 33])
def test_every_shape_is_whole_and_has_the_outline_of_its_kind(size: int, seed: int) -> None:
    data = Shapes(200, size=size, task="segmentation", noise=0.0, seed=seed, dtype="float64")
    kinds = Shapes(200, size=size, noise=0.0, seed=seed).targets
    assert kinds.bincount().tolist() == [67, 67, 66]
    for picture, pixels, kind in zip(data.inputs[:, 0], data.targets, kinds.tolist(), strict=True):
        mask = pixels > 0
        assert set(pixels.unique().tolist()) == {0, kind + 1}
        (brightness,) = picture[mask].unique()
        assert 0.5 <= brightness < 1
        assert not picture[~mask].any()
        rows, most = widths(mask), 2 * size / 3 + 1
        assert len(rows) <= most
        if kind == 0:
            assert len(set(rows)) == 1
            assert abs(rows[0] - len(rows)) <= 1
        elif kind == 1:
            assert min(rows[0], rows[-1]) <= max(rows)
            torch.testing.assert_close(
                torch.tensor(widths(mask.T)).double().mean(), torch.tensor(rows).double().mean(), atol=2.1, rtol=0
            )
        else:
            assert rows == sorted(rows)
            assert rows[0] <= 2


def test_pixels_follow_the_inequalities_of_the_docstring() -> None:
    size, found = 20, Shapes(60, size=20, task="segmentation", noise=0.0, seed=4)
    generator = torch.Generator().manual_seed(4)
    kinds = torch.randperm(60, generator=generator) % 3
    h = size / 6 + size / 6 * torch.rand(60, generator=generator, dtype=torch.float64)
    place = torch.rand(60, 2, generator=generator, dtype=torch.float64)
    for row in range(60):
        half = h[row].item()
        x, y = (half + (size - 1 - 2 * half) * place[row]).tolist()
        for i in range(size):
            for j in range(size):
                dx, dy = j - x, i - y
                square = max(abs(dx), abs(dy)) <= half
                disc = dx**2 + dy**2 <= half**2
                triangle = abs(dx) <= (dy + half) / 2 and abs(dy) <= half
                inside = (square, disc, triangle)[kinds[row]]
                assert found.targets[row, i, j] == (kinds[row] + 1 if inside else 0)


def test_both_tasks_have_the_same_pictures_and_noise_is_normal() -> None:
    plain, noisy = Shapes(100, noise=0.0, seed=3), Shapes(100, noise=0.2, seed=3, task="segmentation")
    difference = noisy.inputs - plain.inputs
    assert abs(difference.std().item() - 0.2) < 0.005
    torch.testing.assert_close(Shapes(100, noise=0.2, seed=3).inputs, noisy.inputs, rtol=0, atol=0)
    assert noisy.targets.amax((1, 2)).sub(1).equal(plain.targets)
    assert plain.classes == ("square", "disc", "triangle")
    assert noisy.inputs.dtype is torch.float32


def test_pictures_are_the_targets_of_an_autoencoder() -> None:
    data = Shapes(20, size=8, task="reconstruction", seed=3)
    inputs, targets = data[[3, 1]]
    torch.testing.assert_close(inputs, targets, rtol=0, atol=0)
    torch.testing.assert_close(data.inputs, Shapes(20, size=8, seed=3).inputs, rtol=0, atol=0)
    assert data.classes is None


def test_a_picture_is_no_row_of_a_table(tmp_path: Any) -> None:
    with pytest.raises(ShapeError, match=r"write_csv: every row must be flat, .* got \(1, 16, 16\) and \(\)"):
        write_csv(Shapes(3), tmp_path / "shapes.csv")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": 0}, "Shapes: samples must be a whole number of at least 1, got 0"),
        ({"samples": 10**9, "size": 1024}, "Shapes: samples must fit into the memory of this machine"),
        ({"size": 7}, "Shapes: size must be a whole number of at least 8, got 7"),
        ({"size": 2000}, "Shapes: size must be a whole number of at most 1,024, got 2000"),
        (
            {"task": "detection"},
            "Shapes: task must be one of classification, segmentation, reconstruction, got 'detection'",
        ),
        ({"noise": -1.0}, "Shapes: noise must be finite and at least 0, got -1.0"),
        ({"seed": 0.5}, "Shapes: seed must be a whole number"),
        ({"dtype": "int8"}, "Shapes: dtype must be one of float32, .* got 'int8'"),
    ],
)
def test_arguments_outside_their_range_raise(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        Shapes(**arguments)


def test_the_example_holds() -> None:
    assert doctest.testmod(images) == (0, 3)
