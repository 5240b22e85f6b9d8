"""A whole training step: under inference mode, compiled, and inference from several threads."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from mytorch.core import Buffer, Module, Optimizer, Parameter, persistent, require_last_axis, require_same_shape


class Dense(Module):
    def __init__(self, in_features: int, out_features: int) -> None:
        self.in_features = in_features
        self.weight = Parameter(torch.randn(out_features, in_features, dtype=torch.float64) / 3)
        self.bias = Parameter(torch.zeros(out_features, dtype=torch.float64))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_last_axis(self, x, self.in_features)
        return x @ self.weight.value.T + self.bias.value, x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        self.weight.accumulate(d_y.T @ x)
        self.bias.accumulate(d_y.sum(0))
        return d_y @ self.weight.value if self.input_grad else None


class Tanh(Module):
    def __init__(self) -> None:
        self.batches = Buffer(torch.tensor(0))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.training:
            self.batches.value.add_(1)
        y = x.tanh()
        return y, y

    def backward(self, d_y: Tensor, y: Tensor) -> Tensor:
        return d_y * (1 - y * y)


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

    def first_child(self) -> Module:
        return self.layers[0]


class SquaredError(Module):
    def forward(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        require_same_shape(self, prediction, target)
        difference = prediction - target
        return difference.square().mean(), difference

    def backward(self, d_value: float, difference: Tensor) -> Tensor:
        return d_value * 2 / difference.numel() * difference


class Momentum(Optimizer):
    state_entries: ClassVar = {"velocity": "value"}

    def __init__(self, params: Any, lr: Any) -> None:
        super().__init__(params, {"lr": lr})

    def update(self, values: list[Tensor], grads: list[Tensor], states: Any, group: dict[str, Any]) -> None:
        for value, grad, state in zip(values, grads, states, strict=True):
            if "velocity" in state:
                state["velocity"].mul_(0.9).add_(grad)
            else:
                state["velocity"] = persistent(grad)
            value.sub_(group["lr"] * state["velocity"])


def reference(net: Chain, x: Tensor, target: Tensor, lrs: list[float]) -> list[Tensor]:
    """The same training by autograd and torch.optim; the parameters after it."""
    values = [value.value.clone().requires_grad_() for value in net.param()]
    optimizer = torch.optim.SGD(values, lr=1.0, momentum=0.9)
    for lr in lrs:
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        w1, b1, w2, b2 = values
        prediction = (x @ w1.T + b1).tanh() @ w2.T + b2
        torch.nn.functional.mse_loss(prediction, target).backward()
        optimizer.step()
    return [value.detach() for value in values]


@pytest.mark.parametrize("compiled", [False, True])
def test_a_training_step_equals_autograd(compiled: bool) -> None:
    torch.manual_seed(0)
    net, loss = Chain(Dense(3, 5), Tanh(), Dense(5, 2)), SquaredError()
    net.input_grad = False
    x, target = torch.randn(7, 3, dtype=torch.float64), torch.randn(7, 2, dtype=torch.float64)
    lrs = [0.1, 0.1, 0.05, 0.02]
    expected = reference(net, x, target, lrs)
    lr = torch.tensor(0.0, dtype=torch.float64)
    optimizer = Momentum(net.param(), lr)

    def step(x: Tensor, target: Tensor) -> Tensor:
        optimizer.zero_grad()
        prediction, saved = net.forward(x)
        value, kept = loss.forward(prediction, target)
        net.backward(loss.backward(1.0, kept), saved)
        optimizer.step()
        return value

    if compiled:
        torch._dynamo.reset()
        step = torch.compile(step, fullgraph=True, backend="eager")
    with torch.inference_mode():
        for value in lrs:
            lr.fill_(value)
            step(x, target)
    for parameter, twin in zip(net.param(), expected, strict=True):
        torch.testing.assert_close(parameter.value, twin, rtol=1e-12, atol=1e-12)
        assert not parameter.value.is_inference()
    assert net.layers[1].batches.value.item() == len(lrs)
    net.param()[0].value.add_(1)  # everything can be used after inference mode


def test_a_learning_rate_in_a_tensor_compiles_once() -> None:
    (parameter,) = [Parameter(torch.ones(3, dtype=torch.float64))]
    lr, calls = torch.tensor(0.1, dtype=torch.float64), []

    def backend(graph: Any, inputs: Any) -> Any:
        calls.append(graph)
        return graph.forward

    optimizer = Momentum([parameter], lr)
    torch._dynamo.reset()
    step = torch.compile(optimizer.step, fullgraph=True, backend=backend)
    for index in range(6):
        parameter.grad = torch.ones(3, dtype=torch.float64)
        lr.fill_(0.1 / (index + 1))
        step()
        if index == 1:
            compiled = len(calls)  # the first step makes state, the second finds it
    assert len(calls) == compiled <= 2


def test_inference_in_evaluation_mode_is_thread_safe() -> None:
    net = Chain(Dense(3, 5), Tanh(), Dense(5, 2)).eval()
    batches = [torch.randn(4, 3, dtype=torch.float64) for _ in range(40)]
    expected = [net(x) for x in batches]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(net, batches))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert net.layers[1].batches.value.item() == 0


def test_micro_batches_add_up_to_the_batch() -> None:
    net = Chain(Dense(3, 5), Tanh(), Dense(5, 2))
    x, d_y = torch.randn(9, 3, dtype=torch.float64), torch.randn(9, 2, dtype=torch.float64)
    net.backward(d_y, net.forward(x)[1])
    whole = [parameter.grad for parameter in net.param()]
    net.zero_grad()
    for part, d_part in zip(x.split([2, 1, 6]), d_y.split([2, 1, 6]), strict=True):
        net.backward(d_part, net.forward(part)[1])
    for parameter, grad in zip(net.param(), whole, strict=True):
        torch.testing.assert_close(parameter.grad, grad, rtol=1e-12, atol=1e-12)
