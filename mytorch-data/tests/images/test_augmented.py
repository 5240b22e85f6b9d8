"""Augmented: that images are those of the data set, flipped and shifted, and as often as promised."""

import pytest
import torch
from torch.nn import functional as F

from mytorch.core import ArgumentError, ShapeError
from mytorch.data import Augmented, Disk, Shapes, TensorDataSet
from mytorch.data.transforms import Parts, augment


def images(rows: int, height: int = 5, width: int = 7, channels: int = 2) -> torch.Tensor:
    return torch.rand(rows, channels, height, width, generator=torch.Generator().manual_seed(rows))


def variants(image: torch.Tensor, flip: bool, shift: int) -> list[torch.Tensor]:
    """An image, flipped and shifted in every way, by padding and cutting."""
    height, width = image.shape[-2:]
    padded = F.pad(image[None], (shift,) * 4, mode="replicate")[0] if shift else image
    places = [(top, left) for top in range(2 * shift + 1) for left in range(2 * shift + 1)]
    cut = [padded[..., top : top + height, left : left + width] for top, left in places]
    return [*cut, *(one.flip(-1) for one in cut)] if flip else cut


@pytest.mark.parametrize(("flip", "shift"), [(True, 0), (False, 1), (True, 2)])
def test_each_image_is_one_of_its_variants_and_each_variant_comes(flip: bool, shift: int) -> None:
    torch.manual_seed(0)
    x = images(3)
    data = Augmented(TensorDataSet(x, torch.arange(3)), flip=flip, random_crop=shift)
    wanted, count = [variants(image, flip, shift) for image in x], torch.zeros(3, (2 * shift + 1) ** 2 * (1 + flip))
    for _ in range(40 * count.shape[1]):
        inputs, targets = data[[2, 0, 1]]
        assert targets.tolist() == [2, 0, 1]
        for found, row in zip(inputs, targets.tolist(), strict=True):
            (which,) = [number for number, one in enumerate(wanted[row]) if torch.equal(one, found)]
            count[row, which] += 1
    assert (count - 40).abs().max() < 6 * 40**0.5


def test_targets_that_are_images_are_changed_alike() -> None:
    torch.manual_seed(0)
    x = images(20, channels=1)
    for targets in (x, (x[:, 0] * 10).long()):
        inputs, found = Augmented(TensorDataSet(x, targets), flip=True, random_crop=2)[:]
        assert not torch.equal(inputs, x)
        assert torch.equal(found, inputs if targets is x else (inputs[:, 0] * 10).long())


def test_only_the_training_part_changes_and_its_plain_rows_are_the_same() -> None:
    rows = TensorDataSet(images(4), torch.arange(4))
    parts = augment((rows, rows, None), flip=True, random_crop=1)
    assert isinstance(parts, Parts)
    assert isinstance(parts.training, Augmented)
    assert (parts.training.plain, parts.validation, parts.test) == (rows, rows, None)
    assert rows.plain is rows
    assert parts.training.targets is rows.targets


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"Augmented: inputs must be images, \(rows, .* width\), got \(3, 2\)"):
        Augmented(Disk(5), flip=True)[:3]
    with pytest.raises(ArgumentError, match="flip or random_crop must be given, got neither; leave augment out"):
        Augmented(Shapes(3))
    with pytest.raises(ArgumentError, match="flip must be True or False, got 1"):
        Augmented(Shapes(3), flip=1)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="random_crop must be a whole number of at least 0, got -1"):
        Augmented(Shapes(3), random_crop=-1)
