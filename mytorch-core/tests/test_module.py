"""The contract of Module: values passed, mode, place, and the gradient of the input."""

from typing import Any

import pytest
import torch
from torch import Tensor

from mytorch.core import ArgumentError, Buffer, ContractError, Module, Parameter


class Scale(Module):
    def __init__(self, size: int = 3) -> None:
        self.gain = Parameter(torch.randn(size, dtype=torch.float64))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.gain.value * x, x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        self.gain.accumulate((d_y * x).sum(0))
        return self.gain.value * d_y if self.input_grad else None


class Chain(Module):
    def __init__(self, *layers: Module) -> None:
        self.layers = list(layers)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Any]]:
        saved = []
        for layer in self.layers:
            x, kept = layer.forward(x)
            saved.append(kept)
        return x, saved

    def backward(self, d_y: Tensor, saved: list[Any]) -> Any:
        for layer in reversed(self.layers):
            d_y = layer.backward(d_y, saved.pop())
        return d_y

    def first_child(self) -> Module | None:
        return self.layers[0] if self.layers else None


def rows(count: int = 4) -> Tensor:
    return torch.randn(count, 3, dtype=torch.float64)


def test_what_backward_needs_is_returned_and_not_kept() -> None:
    layer = Scale()
    before = dict(vars(layer))
    x = rows()
    output, saved = layer.forward(x)
    assert saved is x
    assert vars(layer) == before
    torch.testing.assert_close(output, layer.gain.value * x)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_any_number_of_forwards_in_flight_answered_in_any_order(order: tuple[int, ...]) -> None:
    net = Chain(Scale(), Scale())
    inputs, upstream = [rows(2 + i) for i in range(3)], [rows(2 + i) for i in range(3)]
    flights = [net.forward(x)[1] for x in inputs]
    found = {i: net.backward(upstream[i], flights[i]) for i in order}
    together = [p.grad for p in net.param()]
    net.zero_grad()
    for i, (x, d_y) in enumerate(zip(inputs, upstream, strict=True)):
        torch.testing.assert_close(net.backward(d_y, net.forward(x)[1]), found[i])
    for parameter, grad in zip(net.param(), together, strict=True):
        torch.testing.assert_close(parameter.grad, grad)


def test_a_container_empties_its_saved_values() -> None:
    net = Chain(Scale(), Scale())
    output, saved = net.forward(rows())
    net.backward(torch.randn_like(output), saved)
    assert saved == []


def test_call_gives_the_output_alone() -> None:
    net, x = Chain(Scale()), rows()
    torch.testing.assert_close(net(x), net.forward(x)[0])


def test_what_a_subclass_must_write() -> None:
    class Empty(Module):
        pass

    with pytest.raises(NotImplementedError, match="Empty: forward must be defined"):
        Empty().forward(1)
    with pytest.raises(NotImplementedError, match="Empty: backward must be defined"):
        Empty().backward(1, None)


def test_train_and_eval_reach_the_whole_tree() -> None:
    net = Chain(Scale(), Chain(Scale()))
    assert all(module.training for module in net.modules())
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    net.train()
    assert all(module.training for module in net.modules())
    assert Scale().training  # nobody else's mode is touched


def test_zero_grad_sets_none() -> None:
    net = Chain(Scale())
    output, saved = net.forward(rows())
    net.backward(output, saved)
    assert net.param()[0].grad is not None
    net.zero_grad()
    assert net.param()[0].grad is None


class Counting(Scale):
    def __init__(self) -> None:
        super().__init__()
        self.seen = Buffer(torch.tensor(3))
        self.mean = Buffer(torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize("arguments", [(torch.float32,), (None, torch.float32), ("cpu", torch.float32)])
def test_to_converts_floats_with_their_gradients_and_leaves_integers(arguments: tuple[Any, ...]) -> None:
    net = Chain(Counting())
    net.param()[0].accumulate(torch.ones(3, dtype=torch.float64))
    assert net.to(*arguments) is net
    (gain,), buffers = net.param(), dict(net.named_buffer())
    assert gain.value.dtype is gain.grad.dtype is torch.float32
    assert buffers["layers.0.mean"].value.dtype is torch.float32
    assert buffers["layers.0.seen"].value.dtype is torch.int64


def test_to_another_device() -> None:
    net = Chain(Counting()).to("meta")
    assert {held.value.device.type for _, held in net.named_state()} == {"meta"}


def test_to_keeps_what_was_tied_and_works_under_inference_mode() -> None:
    first, second = Scale(), Scale()
    second.gain = first.gain
    net = Chain(first, second)
    with torch.inference_mode():
        net.to(torch.float32)
    assert first.gain is second.gain
    assert not first.gain.value.is_inference()


def test_to_refuses_what_is_no_device() -> None:
    with pytest.raises(ArgumentError, match=r"^Net: device must be one that torch knows, .* got 'nowhere'"):
        type("Net", (Module,), {})().to("nowhere")


def test_to_refuses_integers() -> None:
    with pytest.raises(ArgumentError, match=r"Scale: dtype must be floating point, got torch\.int64"):
        Scale().to(torch.int64)


def test_input_grad_goes_to_the_first_child_and_its_first_child() -> None:
    inner, outer, last = Scale(), Chain(), Scale()
    outer.layers = [inner]
    net = Chain(outer, last)
    assert net.input_grad
    net.input_grad = False
    assert (net.input_grad, outer.input_grad, inner.input_grad, last.input_grad) == (False, False, False, True)
    output, saved = net.forward(rows())
    assert net.backward(torch.randn_like(output), saved) is None
    assert all(parameter.grad is not None for parameter in net.param())
    net.input_grad = True
    assert inner.input_grad


def test_input_grad_stops_at_a_child_that_is_used_twice() -> None:
    shared = Scale()
    net = Chain(shared, shared)
    net.input_grad = False
    assert not net.input_grad
    assert shared.input_grad
    x, d_y = rows(), rows()
    found = net.backward(d_y, net.forward(x)[1])
    torch.testing.assert_close(found, shared.gain.value**2 * d_y)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("float", torch.float32),
        ("double", torch.float64),
        ("half", torch.float16),
        ("bfloat16", torch.bfloat16),
    ],
)
def test_torchs_names_for_dtypes_and_places(name: str, dtype: torch.dtype) -> None:
    net = Chain(Counting())
    assert getattr(net, name)() is net
    assert net.param()[0].value.dtype is dtype
    assert net.to("meta").param()[0].value.is_meta


def test_cpu_and_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    net, places = Scale(), []
    monkeypatch.setattr(Scale, "to", lambda self, place: places.append(torch.device(place)) or self)
    for moved in (net.cpu(), net.cuda(), net.cuda(1), net.cuda(torch.device("cuda", 2))):
        assert moved is net
    assert [str(place) for place in places] == ["cpu", "cuda", "cuda:1", "cuda:2"]


def test_requires_grad_says_whether_parameters_are_trained() -> None:
    net = Chain(Scale(), Chain(Scale()))
    assert net.requires_grad_(False) is net
    output, saved = net.forward(rows())
    net.backward(output, saved)
    assert all(parameter.grad is None and not parameter.trainable for parameter in net.param())
    net.requires_grad_()
    assert all(parameter.trainable for parameter in net.param())


def test_a_call_refuses_a_forward_that_returns_no_pair() -> None:
    class Rows(Scale):
        def forward(self, x: Tensor) -> Any:
            return x[:2]

    with pytest.raises(ContractError, match=r"Rows: forward must return a pair \(output, saved\), got a Tensor"):
        Rows()(rows())
