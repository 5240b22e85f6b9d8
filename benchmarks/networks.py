"""The networks that the benchmarks train: ours, PyTorch's, and the tensor operations alone, from the same weights."""

from itertools import pairwise
from typing import Any

import torch
from side_by_side import Contestant
from torch import Tensor
from torch.nn import functional as F

from mytorch import nn, optim
from mytorch.train import step, step_in_backward

REFERENCE, BATCH = (2, 25, 25, 25, 2), 100
LR, MOMENTUM = 0.01, 0.9
STEPS = 10
"""Steps a turn of the contestants that may take several in one call."""
TORCH_SGD = {
    "plain": {"foreach": False, "fused": False},
    "foreach": {"foreach": True, "fused": False},
    "fused": {"fused": True},
}
BARE_SGD: dict[str, Any] = {"lr": LR, "momentum": MOMENTUM, "dampening": 0.0, "weight_decay": 0.0}
BARE_SGD |= {"nesterov": False, "maximize": False, "is_first_step": False}

Weights = list[tuple[Tensor, Tensor]]
Batch = tuple[Tensor, Tensor]


def draw(sizes: tuple[int, ...], batch: int) -> tuple[Weights, Batch]:
    """Weights, and a batch with one-hot targets."""
    torch.manual_seed(0)
    weights = [
        (torch.randn(above, below) * (2 / below) ** 0.5, torch.zeros(above)) for below, above in pairwise(sizes)
    ]
    return weights, (torch.rand(batch, sizes[0]), F.one_hot(torch.randint(sizes[-1], (batch,)), sizes[-1]).float())


def make(weights: Weights) -> tuple[nn.Sequential, nn.MSELoss, optim.SGD]:
    """Our network, loss and optimizer, ready to train."""
    layers: list[nn.Linear | nn.ReLU] = []
    for weight, _ in weights:
        layers += [nn.Linear(weight.shape[1], weight.shape[0]), nn.ReLU()]
    net = nn.Sequential(*layers[:-1])
    net.load_state_dict(_named(weights))
    return net.train(), nn.MSELoss(), optim.SGD(net.param(), lr=LR, momentum=MOMENTUM)


def ours(weights: Weights, batch: Batch) -> Contestant:
    """mytorch.train.step as mytorch.train runs it."""
    net, loss, optimizer = make(weights)
    net.input_grad = False
    inputs, targets = batch
    return Contestant(lambda: step(net, loss, optimizer, inputs, targets)[0], inference=True)


def ours_in_backward(weights: Weights, batch: Batch) -> Contestant:
    """The same with each parameter updated during the backward pass."""
    net, loss, optimizer = make(weights)
    net.input_grad = False
    inputs, targets = batch
    return Contestant(lambda: step_in_backward(net, loss, optimizer, inputs, targets)[0], inference=True)


def pytorch(weights: Weights, batch: Batch, sgd: str, sequential: bool = True) -> Contestant:
    """PyTorch eager: a Sequential, or a Module written plainly, with one variant of its SGD."""
    net = in_sequence(weights) if sequential else Plain(weights)
    loss = torch.nn.MSELoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=LR, momentum=MOMENTUM, **TORCH_SGD[sgd])
    inputs, targets = batch

    def train() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        value: Tensor = loss(net(inputs), targets)
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return value.detach()

    return Contestant(train)


def pytorch_in_backward(weights: Weights, batch: Batch) -> Contestant:
    """PyTorch eager with each parameter updated as soon as its gradient is there, by a fused SGD of its own."""
    net, loss = Plain(weights), torch.nn.MSELoss()
    inputs, targets = batch
    own = {p: torch.optim.SGD([p], lr=LR, momentum=MOMENTUM, fused=True) for p in net.parameters()}

    def update(parameter: Tensor) -> None:
        own[parameter].step()
        own[parameter].zero_grad()

    for parameter in net.parameters():
        parameter.register_post_accumulate_grad_hook(update)

    def train() -> Tensor:
        value: Tensor = loss(net(inputs), targets)
        value.backward()  # type: ignore[no-untyped-call]
        return value.detach()

    return Contestant(train)


def turn(contestant: Contestant) -> Contestant:
    """Ten steps of a contestant that takes one a call."""

    def call() -> Any:
        for _ in range(STEPS):
            loss = contestant.call()
        return loss

    return Contestant(call, contestant.inference)


def at_start(weights: Weights) -> tuple[list[Tensor], list[Tensor]]:
    """A copy of all weights and biases in one list, and a velocity of 0 for each."""
    values = [tensor.clone() for pair in weights for tensor in pair]
    return values, [torch.zeros_like(value) for value in values]


def bare(weights: Weights, batch: Batch) -> Contestant:
    """The tensor operations of our step one after the other: no modules, no checks, no parameters."""
    values, velocities = at_start(weights)
    layers = list(zip(values[::2], values[1::2], strict=True))
    inputs, targets = batch
    linear, relu_backward, fused_sgd = F.linear, torch.ops.aten.threshold_backward.default, torch._fused_sgd_
    scale, last, settings = torch.tensor(2 / targets.numel()), len(layers) - 1, BARE_SGD

    def train() -> Tensor:
        x, seen = inputs, []
        for number, (weight, bias) in enumerate(layers):
            seen.append(x)
            x = linear(x, weight, bias)
            if number != last:
                x = x.relu()
        difference = x - targets
        value = difference.square().mean()
        d_y = difference * scale
        grads = []
        for number in range(last, 0, -1):
            x = seen[number]
            grads += [d_y.sum(0), d_y.T.mm(x)]
            d_y = relu_backward(d_y.mm(layers[number][0]), x, 0)
        grads += [d_y.sum(0), d_y.T.mm(inputs)]
        grads.reverse()
        fused_sgd(values, grads, velocities, **settings)
        return value

    return Contestant(train, inference=True)


class Plain(torch.nn.Module):
    """A network as most people write it."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(w.shape[1], w.shape[0]) for w, _ in weights)
        self.last = len(weights) - 1
        self.load_state_dict({f"layers.{name}": t for name, t in _named(weights, spacing=1).items()})

    def forward(self, x: Tensor) -> Tensor:
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number != self.last:
                x = F.relu(x)
        return x


def in_sequence(weights: Weights) -> torch.nn.Module:
    """The network as a torch.nn.Sequential."""
    layers: list[torch.nn.Module] = []
    for weight, _ in weights:
        layers += [torch.nn.Linear(weight.shape[1], weight.shape[0]), torch.nn.ReLU()]
    net = torch.nn.Sequential(*layers[:-1])
    net.load_state_dict(_named(weights))
    return net


def _named(weights: Weights, spacing: int = 2) -> dict[str, Tensor]:
    return {
        f"{spacing * number}.{kind}": tensor
        for number, pair in enumerate(weights)
        for kind, tensor in zip(("weight", "bias"), pair, strict=True)
    }
