"""What has no room is refused before it is made."""

import pytest
import torch

from mytorch.core import ArgumentError, empty, require_room
from mytorch.core.room import FITS
from mytorch.plugins import memory

X = torch.ones(1)


def test_what_fits_is_let_through():
    require_room("Layer", "y", (1024, 1024), X, "lower size")
    require_room("Layer", "y", (FITS + 1,), X, "lower size")
    require_room("Layer", "y", (0, 2**30, 2**30), X, "lower size")
    assert empty("Layer", "weight", (), dtype=torch.float64).shape == ()
    assert empty("Layer", "weight", (2, 0), "meta", torch.float64).dtype is torch.float64


@pytest.mark.skipif(memory() is None, reason="the system does not tell how much memory there is")
def test_an_output_larger_than_memory_is_refused_by_name():
    most = memory() // 4
    text = (
        f"Layer: y must have at most {most:,} numbers of torch.float32, as many as the memory of this machine holds, "
        f"got sizes (2, {most}); lower size"
    )
    with pytest.raises(ArgumentError) as told:
        require_room("Layer", "y", (2, most), X, "lower size")
    assert str(told.value) == text
    require_room("Layer", "y", (2, most), X.to("meta"), "lower size")
    with pytest.raises(
        ArgumentError, match=rf"^Layer: y must have at most {memory() // 8:,} numbers of torch.float64, "
    ):
        require_room("Layer", "y", (most,), X, "lower size", dtype=torch.float64)
    with pytest.raises(ArgumentError, match=r"^Layer: weight must have at most .*; make its sizes smaller$"):
        empty("Layer", "weight", (2**60,))


@pytest.mark.parametrize("shape", [(2**40, 2**40), (2**70,), (0, 2**40, 2**40)])
def test_what_torch_cannot_count_is_refused_where_nothing_is_held_too(shape):
    with pytest.raises(ArgumentError, match=r"numbers of torch\.float32, as many as torch can count"):
        require_room("Layer", "y", shape, X.to("meta"), "lower size")
