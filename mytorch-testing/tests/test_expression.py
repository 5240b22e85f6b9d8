"""Values written as Python: what is built from the text is like what was written."""

import pytest
import torch

from mytorch.core import Module, Parameter
from mytorch.testing import CheckError, check_layer
from mytorch.testing.expression import expression


class Scale(Module):
    def __init__(self, size: int, sign: float = 1.0) -> None:
        self.sign, self.gain = sign, Parameter(torch.ones(size))

    def forward(self, x):
        return self.gain.value * x, x

    def backward(self, d_y, x):
        self.gain.accumulate((d_y * x).reshape(-1, x.shape[-1]).sum(0))
        return self.sign * self.gain.value * d_y


class Chain(Module):
    def __init__(self, *layers: Module) -> None:
        self.layers = list(layers)

    def arguments(self):
        return {"layers": self.layers}

    def forward(self, x):
        saved = []
        for layer in self.layers:
            x, kept = layer.forward(x)
            saved.append(kept)
        return x, saved

    def backward(self, d_y, saved):
        for layer, kept in zip(reversed(self.layers), reversed(saved), strict=True):
            d_y = layer.backward(d_y, kept)
        return d_y


class Holder(Module):
    def __init__(self, inner: Module, branches: dict[str, Module] | None = None, rate: float = 0.5) -> None:
        self.inner, self.branches, self.rate = inner, branches or {}, rate


NAMES = {"torch": torch, "Scale": Scale, "Chain": Chain, "Holder": Holder, "Parameter": Parameter}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Scale(3), "Scale(size=3)"),
        (Chain(Scale(3), Scale(3, -1.0)), "Chain(Scale(size=3), Scale(size=3, sign=-1.0))"),
        (Chain(Chain(Scale(2)), Chain()), "Chain(Chain(Scale(size=2)), Chain())"),
        (Holder(Scale(2)), "Holder(Scale(size=2))"),
        (Holder(Scale(2), {"a": Scale(1)}, 0.25), "Holder(Scale(size=2), branches={'a': Scale(size=1)}, rate=0.25)"),
    ],
)
def test_a_module_is_written_as_the_call_that_builds_it(value, text):
    assert expression(value) == text
    assert repr(eval(text, NAMES)) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        torch.randn(4, 3),
        torch.rand(2, 5),
        torch.tensor(0.25, dtype=torch.float64),
        torch.tensor([0, 4, 1]),
        torch.randint(3, 9, (40,)),
        torch.tensor([True, False]),
        torch.rand(30) < 0.5,
        torch.zeros(0, 3),
        (torch.tensor([1, 2]), [torch.ones(2, 2), None], {"a": 1.5}),
        (torch.randn(2),),
        float("inf"),
        torch.float32,
        torch.device("cpu"),
        "text",
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_value_is_written_so_that_python_reads_one_like_it(value):
    again = eval(expression(value), NAMES)
    assert type(again) is type(value)
    if isinstance(value, torch.Tensor):
        assert again.shape == value.shape
        assert again.is_floating_point() == value.is_floating_point()
        if value.numel() and not value.is_floating_point():
            assert again.min() >= value.min()
            assert again.max() <= value.max()


def test_a_reproduction_of_nested_modules_shows_the_failure_again():
    with pytest.raises(CheckError) as caught:
        check_layer(lambda: Chain(Scale(3), Chain(Scale(3, -1.0))), (4, 3), tags=("mixes_batch",), seed=4)
    said, _, again = str(caught.value).partition("\n  reproduce: ")
    assert said.startswith("Chain(Scale(size=3), Chain(Scale(size=3, sign=-1.0))): finite_differences: gradient of x")
    with pytest.raises(CheckError) as second:
        eval(again, {**NAMES, "check_layer": check_layer})
    assert str(second.value) == str(caught.value)
