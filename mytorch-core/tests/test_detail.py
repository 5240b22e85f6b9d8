"""What a layer shows of a call."""

import pytest
import torch

from mytorch.core import ArgumentError, Detail


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"values": torch.ones(2, 3), "axes": ("step",)},
            r"axes must name each axis of values of \(2, 3\), got \('step'",
        ),
        ({"axes": ("step",)}, r"axes must name each axis of values of \(\)"),
        ({"values": torch.ones(())}, "values must be floating-point numbers with one to three axes"),
        ({"values": torch.ones(2, dtype=torch.int64), "axes": ("a",)}, r"values must .* got \(2,\) of torch.int64"),
        ({"values": torch.ones(2, 0), "axes": ("a", "b")}, r"values must be .*, none empty, got \(2, 0\)"),
        ({"values": torch.ones(2), "axes": ("a",), "labels": {"a": "xyz"}}, r"labels must .* got 3 for 'a'"),
        ({"values": torch.ones(2), "axes": ("a",), "labels": {"b": "xy"}}, r"labels must .* got 2 for 'b'"),
    ],
)
def test_axes_and_labels_must_fit_the_values(arguments, text):
    with pytest.raises(ArgumentError, match=f"^Detail: {text}"):
        Detail("a title", **arguments)
