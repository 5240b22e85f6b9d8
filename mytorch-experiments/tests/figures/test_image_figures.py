"""Grids of images and of filters."""

import pytest
import torch
from matplotlib.colors import to_hex

from mytorch.data.palette import VERMILION
from mytorch.experiments.figures.image_figures import draw_filters, draw_samples
from mytorch.experiments.figures.judgement_figures import draw_judgement
from mytorch.experiments.predict.image_samples import ImageSamples
from mytorch.experiments.predict.judge import Judgement


def samples(wrong, right, channels=1):
    count = wrong + right
    predicted = tuple(f"class {number}" for number in range(count))
    true = tuple("another" if number < wrong else name for number, name in enumerate(predicted))
    images = torch.rand(count, channels, 6, 5, dtype=torch.float64)
    return ImageSamples(images, predicted, true, (wrong, right), (wrong * 3, right + 1))


def pixels_of(axes):
    (image,) = axes.images
    return torch.as_tensor(image.get_array().filled())


@pytest.mark.parametrize("channels", [1, 3])
def test_wrong_ones_are_framed_and_named_with_their_class(channels):
    found = samples(2, 9, channels)
    figure = draw_samples(found, "digits, 40 rows")
    assert figure.get_suptitle() == "digits, 40 rows\n2 of 6 wrong predictions, framed, and 9 of 10 right predictions"
    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == 11
    assert [axes.get_title() for axes in shown[:3]] == ["class 0\nnot another", "class 1\nnot another", "class 2"]
    assert [axes.spines["top"].get_visible() for axes in shown] == [True] * 2 + [False] * 9
    assert to_hex(shown[0].spines["left"].get_edgecolor()) == VERMILION.lower()
    for axes, image in zip(shown, found.images, strict=True):
        torch.testing.assert_close(pixels_of(axes), image[0] if channels == 1 else image.movedim(0, -1))


def test_numbers_beyond_0_and_1_are_stretched_alike():
    found = samples(0, 4)
    found.images.mul_(10).sub_(3)
    low, high = found.images.min(), found.images.max()
    figure = draw_samples(found, "run")
    assert figure.get_suptitle() == "run\n4 of 5 right predictions"
    for axes, image in zip(figure.axes, found.images, strict=True):
        torch.testing.assert_close(pixels_of(axes), (image[0] - low) / (high - low))


def test_grey_filters_share_a_scale_and_those_in_colour_have_their_own():
    filters = torch.randn(70, 1, 3, 3, dtype=torch.float64)
    figure = draw_filters(filters, "run")
    assert figure.get_suptitle() == (
        "run\nThe filters of the first convolution, 64 of 70; red is positive, blue negative"
    )
    largest = float(filters[:64].abs().max())
    assert {axes.images[0].get_clim() for axes in figure.axes} == {(-largest, largest)}
    torch.testing.assert_close(pixels_of(figure.axes[63]), filters[63, 0])
    filters = torch.randn(5, 3, 4, 4, dtype=torch.float64)
    figure = draw_filters(filters, "run")
    assert figure.get_suptitle().endswith("first convolution; each stretched to its own range")
    for axes, filter_ in zip(figure.axes, filters, strict=True):
        low, high = filter_.min(), filter_.max()
        torch.testing.assert_close(pixels_of(axes), ((filter_ - low) / (high - low)).movedim(0, -1))


def test_a_judgement_draws_them_if_it_has_them(tmp_path):
    judgement = Judgement({}, 9, "test data", None, None, 0, images=samples(1, 2), filters=torch.zeros(2, 1, 3, 3))
    assert [path.name for path in draw_judgement(judgement, tmp_path, None, None)] == [
        "predictions.png",
        "filters.png",
    ]
