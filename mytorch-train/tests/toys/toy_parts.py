"""A stranger's parts, small enough to be checked by eye: mytorch-train is tested with these and core alone."""

import math
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from mytorch.core import (
    Buffer,
    DataSet,
    Loss,
    Module,
    Optimizer,
    Parameter,
    Schedule,
    persistent,
    require_d_value,
    require_last_axis,
    require_range,
    require_same_shape,
)

experiment = Path(__file__).with_name("points.toml")
no_path = "points.toml"


class Dense(Module):
    """y = x weight^T + bias"""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        require_range(self, "out_features", out_features, 1)
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(torch.randn(out_features, in_features) / math.sqrt(in_features))
        self.bias = Parameter(torch.zeros(out_features)) if bias else None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        require_last_axis(self, x, self.in_features)
        y = x @ self.weight.value.T
        return (y if self.bias is None else y + self.bias.value), x

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        self.weight.accumulate(d_y.T @ x)
        if self.bias is not None:
            self.bias.accumulate(d_y.sum(0))
        return d_y @ self.weight.value if self.input_grad else None

    def torch_twin(self) -> torch.nn.Module:
        return torch.nn.Linear(self.in_features, self.out_features, bias=self.bias is not None)


class Twinless(Dense):
    """Dense, but PyTorch has nothing like it."""

    torch_twin = None


class WrongDense(Dense):
    """Dense with an error in the gradient of the weight."""

    def backward(self, d_y: Tensor, x: Tensor) -> Tensor | None:
        return super().backward(d_y * 1.01, x)


class Rectify(Module):
    """y = max(x, 0)"""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = x.clamp(min=0)
        return y, y

    def backward(self, d_y: Tensor, y: Tensor) -> Tensor:
        return d_y * (y > 0)

    def torch_twin(self) -> torch.nn.Module:
        return torch.nn.ReLU()


class Noise(Module):
    """y = x + a draw of torch's generator in training, y = x in evaluation; counts its batches."""

    def __init__(self) -> None:
        self.seen = Buffer(torch.tensor(0))

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        if not self.training:
            return x, None
        self.seen.value += 1
        return x + 0.01 * torch.randn_like(x), None

    def backward(self, d_y: Tensor, saved: None) -> Tensor:
        return d_y


class Shift(Module):
    """y = x + shift, a tensor among the arguments."""

    def __init__(self, shift: Tensor) -> None:
        self.shift = shift

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return x + self.shift, None

    def backward(self, d_y: Tensor, saved: None) -> Tensor:
        return d_y


class Chain(Module):
    """Its layers, one after the other."""

    def __init__(self, *layers: Module) -> None:
        self.layers = list(layers)

    def named_children(self):
        return ((str(index), layer) for index, layer in enumerate(self.layers))

    def first_child(self) -> Module | None:
        return self.layers[0] if self.layers else None

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self):
        return iter(self.layers)

    def cut(self, counts):
        ends = [sum(counts[:at]) for at in range(len(counts) + 1)]
        return [Chain(*self.layers[begin:end]) for begin, end in pairwise(ends)]

    def forward(self, x: Tensor) -> tuple[Tensor, list]:
        saved = []
        for layer in self.layers:
            x, kept = layer.forward(x)
            saved.append(kept)
        return x, saved

    def backward(self, d_y: Tensor, saved: list) -> Tensor | None:
        for layer in reversed(self.layers):
            d_y = layer.backward(d_y, saved.pop())
        return d_y

    def torch_twin(self) -> torch.nn.Module:
        return torch.nn.Sequential(*(layer.torch_twin() for layer in self.layers))


class Sequential(Chain):
    """Stands for a container of mytorch.nn, through which parity walks by itself."""

    __module__ = "mytorch.nn.container.sequential"
    torch_twin = None


class Both(Module):
    """y = left(a) + right(b): two inputs."""

    def __init__(self, left: Module, right: Module) -> None:
        self.left, self.right = left, right

    def forward(self, a: Tensor, b: Tensor):
        (y, saved_left), (z, saved_right) = self.left.forward(a), self.right.forward(b)
        return y + z, (saved_left, saved_right)

    def backward(self, d_y: Tensor, saved):
        return self.left.backward(d_y, saved[0]), self.right.backward(d_y, saved[1])


class SquaredError(Loss):
    """The mean (or sum, or each) of (prediction - target)^2."""

    outputs = "numbers"

    def __init__(self, reduction: str = "mean") -> None:
        self.reduction = reduction

    def forward(self, prediction: Tensor, target: Tensor):
        require_same_shape(self, prediction, target)
        squares = (difference := prediction - target).square()
        value = {"mean": squares.mean, "sum": squares.sum}.get(self.reduction, squares.clone)()
        return value, difference

    def backward(self, d_loss, difference: Tensor) -> Tensor:
        require_d_value(self, d_loss, difference.shape if self.reduction == "none" else ())
        return 2 * d_loss * difference / (difference.numel() if self.reduction == "mean" else 1)

    def weight_of(self, prediction: Tensor, target: Tensor) -> int:
        return prediction.numel()

    def torch_twin(self) -> torch.nn.Module:
        return torch.nn.MSELoss(reduction=self.reduction)


class SGD(Optimizer):
    """p = p - lr v;  v = momentum v + g"""

    elementwise: ClassVar = True
    state_entries: ClassVar = {"momentum_buffer": "value"}

    def __init__(self, params, lr: float = 0.1, momentum: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    def check_settings(self, group) -> None:
        require_range(self, "lr", group["lr"], 0)

    def update(self, values, grads, states, group) -> None:
        for p, g, state in zip(values, grads, states, strict=True):
            direction = g
            if group["momentum"]:
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = persistent(torch.zeros_like(p))
                direction = state["momentum_buffer"].mul_(group["momentum"]).add_(g)
            p.sub_(direction * group["lr"])


class StepLR(Schedule):
    """lr = initial * gamma^(step // step_size)"""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.5) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def settings(self, step, initial):
        return {"lr": initial["lr"] * self.gamma ** (step // self.step_size)}


class Ramp(Schedule):
    """lr falls in a straight line from batch to batch."""

    interval = "batch"
    length_argument = "total_steps"

    def __init__(self, optimizer: Optimizer, total_steps: int) -> None:
        self.total_steps = total_steps
        super().__init__(optimizer)

    def settings(self, step, initial):
        return {"lr": initial["lr"] * (1 - step / (self.total_steps + 1))}


class Points(DataSet):
    """Points of the plane; the target is 1 where the coordinates add up to something positive."""

    classes = ("below", "above")
    columns = ("x", "y")

    def __init__(self, samples: int, seed: int = 0, dtype: str = "float32") -> None:
        generator = torch.Generator().manual_seed(seed)
        self.inputs = torch.randn(samples, 2, generator=generator, dtype=torch.float64).to(getattr(torch, dtype))
        self.targets = (self.inputs.sum(1) > 0).long()

    def __len__(self) -> int:
        return len(self.inputs)

    def batch_at(self, indices):
        return self.inputs[indices], self.targets[indices]


def constant(tensor: Tensor, value: float = 0.5) -> None:
    """Fill a tensor."""
    require_range("constant", "value", value, -1, 1)
    tensor.fill_(value)


def encoded(points):
    """Points whose classes are columns of 0 and 1, as SquaredError takes them."""
    return Table(points.inputs, torch.nn.functional.one_hot(points.targets, 2).to(points.inputs.dtype))


class Line(DataSet):
    """One input column and its double as the target, in order: easy to recognise."""

    def __init__(self, rows: int = 10) -> None:
        self.inputs = torch.arange(rows, dtype=torch.float32).reshape(-1, 1) / max(rows, 1)

    def __len__(self) -> int:
        return len(self.inputs)

    def batch_at(self, indices):
        return self.inputs[indices], 2 * self.inputs[indices]


def listed(rows: int = 4) -> list[tuple[float, int]]:
    """Rows in a list, which is no data set."""
    return [(float(row), row % 2) for row in range(rows)]


class Rows:
    """What torch's DataLoader takes: a row at a time, and no `batch_at`."""

    def __init__(self, data: DataSet) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int):
        return self.data[index]


def network(*, wide: int = 4) -> Chain:
    """A small net for the points of the plane."""
    return Chain(Dense(2, wide), Rectify(), Dense(wide, 2))


class Table(DataSet):
    """Tensors as given; `inputs` may be a tuple of tensors."""

    def __init__(self, inputs, targets: Tensor) -> None:
        self.inputs, self.targets = inputs, targets

    def __len__(self) -> int:
        return len(self.targets)

    def batch_at(self, indices):
        taken = tuple(x[indices] for x in self.inputs) if isinstance(self.inputs, tuple) else self.inputs[indices]
        return taken, self.targets[indices]
