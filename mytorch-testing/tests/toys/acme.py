"""Parts of a distribution "acme", as somebody would publish them."""

from typing import ClassVar

import torch

from mytorch.core import (
    ArgumentError,
    DataSet,
    Loss,
    Module,
    Optimizer,
    Parameter,
    Rule,
    Schedule,
    require_d_value,
    require_input,
    require_last_axis,
    require_range,
    require_same_shape,
    require_upstream,
)
from mytorch.plugins import Callback, MissingRequirementError


class Scale(Module):
    def __init__(self, size: int, sign: float = 1.0) -> None:
        self.size, self.sign = size, sign
        self.gain = Parameter(torch.ones(size))

    def forward(self, x):
        require_last_axis(self, x, self.size)
        return self.gain.value * x, x

    def backward(self, d_y, x):
        require_upstream(self, d_y, x.shape)
        self.gain.accumulate((d_y * x).reshape(-1, self.size).sum(0))
        return self.sign * self.gain.value * d_y


class Centre(Module):
    """Mixes the rows of a batch, and says so itself."""

    conformance = {"tags": ("mixes_batch",)}  # noqa: RUF012

    def forward(self, x):
        require_input(self, x)
        return x - x.mean(0), x.shape

    def backward(self, d_y, shape):
        require_upstream(self, d_y, shape)
        return d_y - d_y.mean(0)


class Lookup(Module):
    """Cannot be fed by guessing: its input are whole numbers below 4."""

    conformance = {"arguments": {"words": 4}, "inputs": (torch.tensor([[0, 3], [1, 1]]),)}  # noqa: RUF012

    def __init__(self, words: int) -> None:
        self.words = words
        self.table = Parameter(torch.ones(words, 3))

    def forward(self, index):
        require_input(self, index, "index")
        return self.table.value[index], index

    def backward(self, d_y, index):
        require_upstream(self, d_y, (*index.shape, 3))
        d_table = torch.zeros(self.words, 3, dtype=d_y.dtype, device=d_y.device)
        self.table.accumulate(d_table.index_put((index,), d_y, accumulate=True))


class Padded(Lookup):
    """Row 0 stands for padding."""

    def backward(self, d_y, index):
        require_upstream(self, d_y, (*index.shape, 3))
        super().backward(d_y.where(index[..., None] != 0, 0), index)


class Masked(Module):
    """y = x * mask, where mask has a number for each row; without one, all rows count."""

    def forward(self, x, *, mask=None):
        require_input(self, x)
        return x if mask is None else x * mask[..., None], (x.shape, mask)

    def backward(self, d_y, saved):
        shape, mask = saved
        require_upstream(self, d_y, shape)
        return d_y if mask is None else d_y * mask[..., None]


class ForgetsTheMask(Masked):
    def backward(self, d_y, saved):
        require_upstream(self, d_y, saved[0])
        return d_y


class Nested(Module):
    def __init__(self, inner: Module) -> None:
        self.inner = inner

    def forward(self, x):
        return self.inner.forward(x)

    def backward(self, d_y, saved):
        return self.inner.backward(d_y, saved)


class Stating(Nested):
    """States its tangents by those of a layer that states none."""

    def __init__(self) -> None:
        self.inner = Scale(3)

    forward, backward = Nested.forward, Nested.backward

    def tangent(self, t_x, saved, along):
        return self.inner.tangent(t_x, saved, along)

    def backward_tangent(self, d_y, t_d_y, saved, t_saved, along):
        return self.inner.backward_tangent(d_y, t_d_y, saved, t_saved, along)


class Holder(Module):
    """Has no forward of its own."""


class NeedsText(Module):
    def __init__(self, mode: str) -> None:
        if mode not in ("a", "b"):
            raise ValueError(f"mode must be a or b, got {mode}")

    def forward(self, x):
        require_input(self, x)
        return x, x.shape

    def backward(self, d_y, shape):
        require_upstream(self, d_y, shape)
        return d_y


class Crashes(Scale):
    def backward(self, d_y, x):
        raise ZeroDivisionError("of no use")


class Hinge(Loss):
    """Takes the targets -1 and 1, or any number."""

    def forward(self, prediction, target):
        require_same_shape(self, prediction, target)
        margin = 1 - prediction * target
        return margin.clamp_min(0).mean(), (margin > 0, target)

    def backward(self, d_value, saved):
        require_d_value(self, d_value, ())
        active, target = saved
        return -d_value / target.numel() * (active * target)


class Descent(Optimizer):
    def __init__(self, params, lr: float) -> None:
        super().__init__(params, {"lr": lr})

    def check_settings(self, group):
        require_range("Descent", "lr", group["lr"], 0.0)

    def update(self, values, grads, states, group):
        for value, grad in zip(values, grads, strict=True):
            value.sub_(group["lr"] * grad)


class Matrices(Descent):
    """Takes matrices alone, and says so to the kit."""

    conformance: ClassVar = {"shapes": ((3, 4), (4, 2), (1, 3), (2, 2))}

    def add_param_group(self, group):
        for value in group["params"]:
            assert value.value.dim() == 2
        super().add_param_group(group)


class Searches(Descent):
    """Halves the step until the loss falls."""

    needs_closure = True
    mixes_parameters = True

    def step(self, closure=None):
        if closure is None:
            raise ArgumentError("Searches: step must be given a closure, got none")
        loss = closure()
        for group in self.param_groups:
            moved = [
                (p, p.value.clone(), p.grad.clone()) for p in group["params"] if p.trainable and p.grad is not None
            ]
            share = 1.0
            while share > 1e-9:
                for parameter, start, grad in moved:
                    parameter.value.copy_(start - group["lr"] * share * grad)
                if closure() <= loss:
                    break
                share /= 2
        return loss


class Line(Schedule):
    length_argument = "steps"

    def __init__(self, optimizer, steps: int) -> None:
        self.steps = steps
        super().__init__(optimizer)

    def settings(self, step, initial):
        return {"lr": initial["lr"] * (1 - step / self.steps)}


class Ramp(DataSet):
    def __len__(self):
        return 9

    def batch_at(self, indices):
        x = torch.arange(9.0)[indices][:, None]
        return x, 2 * x


class Halve(Callback):
    """Halves the learning rate after every so many epochs."""

    def __init__(self, every: int) -> None:
        self.every = every

    def epoch_ended(self, run, epoch):
        if epoch % self.every == 0:
            run.optimizer.param_groups[0]["lr"] *= 0.5


class Forgets(Callback):
    """Halves it after ten steps, of which it says nothing to a checkpoint."""

    seen = 0

    def batch_ended(self, run):
        self.seen += 1
        if self.seen == 10:
            run.optimizer.param_groups[0]["lr"] *= 0.5


class Foreign(Callback):
    """Writes with a library that is not there."""

    def __init__(self) -> None:
        raise MissingRequirementError("Foreign: weather is not installed. Install: python -m pip install weather")

    def epoch_ended(self):
        pass


class Backpropagates(Rule):
    transposes = True
    conformance: ClassVar = {"lr": 0.1, "steps": 30}

    def gradients(self, net, loss, inputs, targets):
        y, saved = net.forward(inputs)
        value, saved_by_loss = loss.forward(y, targets)
        net.backward(loss.backward(1.0, saved_by_loss), saved)
        return value, loss.weight_of(y, targets)


class Transports(Backpropagates):
    transposes = False
