"""One number of a convolution with all that it is made of."""

import re

import pytest
import torch

from mytorch.nn import Conv1d, Conv2d, Conv3d

pytestmark = pytest.mark.numbers


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Conv2d(1, 3, 3, padding=1), (2, 1, 8, 8)),
        (Conv2d(8, 4, 5, stride=2, groups=2, dilation=2, padding=2, padding_mode="reflect"), (2, 8, 12, 12)),
        (Conv2d(6, 6, 3, groups=6, bias=False), (6, 5, 7)),
        (Conv1d(3, 4, 4, padding="same"), (2, 3, 9)),
        (Conv3d(2, 4, (1, 2, 3), stride=(1, 2, 1), padding=1), (2, 2, 5, 5, 5)),
        (Conv2d(9, 3, 1), (2, 9, 4, 4)),
        (Conv2d(1, 2, 9), (1, 1, 9, 9)),
    ],
    ids=["plain", "spread", "depthwise", "1d", "3d", "1x1", "9x9"],
)
def test_it_ends_in_the_number_that_is_largest(layer, shape):
    x = torch.randn(shape)
    y, saved = layer.forward(x)
    (detail,) = layer.forward_details({"x": x}, y, saved)
    first = y[0] if y.dim() == layer.dimensions + 2 else y
    row = "0, " if y.dim() == layer.dimensions + 2 else ""
    end = re.fullmatch(rf"  y\[{row}([\d, ]+)\] = .*?(\S+)", detail.text[-1])
    assert detail.text[0].startswith(f"y[{row}{end[1]}] = ")
    place = tuple(map(int, end[1].split(", ")))
    assert first.abs().max() == first[place].abs()
    assert float(end[2]) == pytest.approx(first[place].item(), rel=1e-3, abs=1e-4)
    assert max(map(len, detail.text)) <= 76


def test_the_window_and_the_filter_stand_side_by_side():
    layer = Conv2d(2, 1, 2, bias=False)
    layer.weight.value.copy_(torch.tensor([[[[1.0, 0], [0, 0]], [[0.5, 2], [0, -1]]]]))
    x = torch.zeros(1, 2, 3, 3)
    x[0, 0, 0, 1], x[0, 1, 0, 1:] = 4, torch.tensor([2.0, 3])
    y, saved = layer.forward(x)
    (detail,) = layer.forward_details({"x": x}, y, saved)
    assert detail.text == (
        "y[0, 0, 0, 1] = sum of window * weight[0]",
        "  input channel 1, which adds most of 2:",
        "  window   weight      window * weight",
        "  [2 3]  * [0.5   2] = [1 6]",
        "  [0 0]  * [  0  -1] = [0 0]",
        "  by channel: 4, 7",
        "  y[0, 0, 0, 1] = 11",
    )


def test_an_empty_batch_has_none():
    layer, x = Conv2d(1, 1, 2), torch.zeros(0, 1, 3, 3)
    assert list(layer.forward_details({"x": x}, *layer.forward(x))) == []
