"""What a network must be better than: a constant and a linear model, or a bigram model of a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mytorch.core import DataSet, Module, fetch
from mytorch.core.batch import rows_within
from mytorch.data.batches import batches
from mytorch.data.preparation.moments import INPUTS, TARGETS, Moments
from mytorch.data.series.windows import KEY as WINDOWS
from mytorch.nn import Flatten, Linear, Sequential
from mytorch.optim import LBFGS
from mytorch.train.device import device_of, move
from mytorch.train.evaluation import judging, predict

ROWS, WEIGHTS = 20_000, 200_000
"""A linear model learns from at most so many rows, evenly spaced, and is left out with more weights."""
MOST_BYTES = 2**28
"""Bytes of the rows that it learns from: of large ones, such as images, they are fewer."""
PAIRS = 4_000_000
"""Pairs of tokens that a bigram model counts, at most."""
STEPS = 100
"""Steps of L-BFGS, at most: the problem is convex, and few are needed."""


def baselines(net: Module, loss: Module, training: DataSet, constant: str) -> dict[str, Module]:
    """A linear model and a constant, trained by the loss that the network was trained by, on its training rows.

    constant: what to call the constant: for classes it takes the commonest, for numbers the mean, as the loss has it.
    The linear model is logistic regression or least squares where the loss says so, with weights held small as by
    scikit-learn's defaults: 1/2 |w|^2 beside the sum of the losses, of inputs with mean 0 and deviation 1.
    For windows of a time series, the naive forecast comes first: each target stays at its last value.
    For tokens, of which each has the next as its target, a bigram model alone.
    Empty where inputs are neither, or the network's outputs no columns.
    """
    training = training.plain
    inputs, targets = fetch(training, _spaced(len(training), rows_within(training, ROWS, MOST_BYTES)))
    if _are_tokens(inputs, targets) and getattr(loss, "outputs", None) in ("softmax", "log-softmax"):
        count = len(training.classes or ())
        return {"bigram model": Bigram.of(training, count)} if 0 < count**2 <= PAIRS else {}
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point() or not isinstance(targets, Tensor):
        return {}
    with judging(net):
        outputs = predict(net, move(inputs[:2], device_of(net)))
    if not isinstance(outputs, Tensor) or outputs.dim() != 2:
        return {}
    found: dict[str, Module] = {}
    if (series := (training.preparation or {}).get(WINDOWS)) is not None:
        found["last value"] = LastValue.of(training.preparation or {}, series)
    x = inputs.flatten(1)
    mean, std = x.mean(0), x.std(0, correction=0)
    x, std = (x - mean) / std.where(std > 0, 1), std.where(std > 0, 1)
    if x.shape[1] * outputs.shape[1] <= WEIGHTS:
        found["linear model"] = _in_units(_fitted(x, targets, loss, outputs.shape[1]), mean, std)
    found[constant] = _in_units(_fitted(torch.zeros_like(x), targets, loss, outputs.shape[1]), mean, std)
    return found


class LastValue(Module):
    """The naive forecast of a time series: every target stays as it was at the last step.

    Forward:   y_{j, c} = x_{last step, column c}, in the units of the inputs and then scaled as the targets are, for
               each step j of the horizon and each target c
    Shapes:    x: (batch, history, columns);  y: (batch, horizon * targets)
    """

    def __init__(self, places: list[int], horizon: int, inputs: Moments | None, targets: Moments | None) -> None:
        self.places, self.horizon, self.scales = places, horizon, (inputs, targets)

    @classmethod
    def of(cls, preparation: Mapping[str, Any], series: Mapping[str, Any]) -> LastValue:
        """That of data which a preparation describes."""
        places = [series["columns"].index(name) for name in series["targets"]]
        moments = [Moments.of(preparation, name) for name in (INPUTS, TARGETS)]
        return cls(places, series["horizon"], *moments)

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        inputs, targets = self.scales
        last = x[:, -1] if inputs is None else inputs.in_units(x[:, -1])
        y = last[:, self.places].repeat(1, self.horizon)
        return (y if targets is None else targets.scale(y)).to(x.dtype), None


class Bigram(Module):
    """A language model that knows only the last token: how often each token came behind it.

    Forward:   y_{b, j, t} = log((count(x_{b, t}, j) + p_j) / (count(x_{b, t}) + 1)), where p_j is the share of token j
               among all, counted with one more of each
    Shapes:    x: (batch, positions), int64;  y: (batch, tokens, positions)
    """

    def __init__(self, counts: Tensor) -> None:
        shares = (counts.sum(0) + 1) / (counts.sum() + len(counts))
        self.logs = ((counts + shares) / (counts.sum(1, keepdim=True) + 1)).log()

    @classmethod
    def of(cls, training: DataSet, tokens: int) -> Bigram:
        """That of the blocks of a text. Targets that are no token, which the loss ignores, are left out."""
        counts = torch.zeros(tokens * tokens, dtype=torch.float64)
        for inputs, targets in batches(training):
            there = (targets >= 0) & (targets < tokens)
            counts += torch.bincount(inputs[there] * tokens + targets[there], minlength=len(counts))
        return cls(counts.reshape(tokens, tokens))

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return self.logs[x].movedim(-1, 1), None


def _are_tokens(inputs: Any, targets: Any) -> bool:
    """Whether each whole number of a block has one as its target."""
    tensors = isinstance(inputs, Tensor) and isinstance(targets, Tensor)
    return (
        tensors and inputs.dtype == targets.dtype == torch.int64 and inputs.dim() > 1 and inputs.shape == targets.shape
    )


def _spaced(rows: int, most: int) -> Tensor:
    return torch.arange(min(rows, most)) * rows // min(rows, most)


def _fitted(x: Tensor, targets: Tensor, loss: Module, columns: int) -> Linear:
    """The linear map that makes the loss of all rows, and its weights, least."""
    linear = Linear(x.shape[1], columns, dtype=x.dtype)
    for parameter in linear.param():
        parameter.value.zero_()
    weight = linear.weight
    optimizer = LBFGS(linear.param(), max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Any:
        optimizer.zero_grad()
        y, saved = linear.forward(x)
        value, saved_by_loss = loss.forward(y, targets)
        linear.backward(loss.backward(1.0, saved_by_loss), saved)
        weight.accumulate(weight.value / len(x))
        return value + weight.value.square().sum() / (2 * len(x))

    with torch.inference_mode():
        optimizer.step(closure)
    return linear


def _in_units(linear: Linear, mean: Tensor, std: Tensor) -> Module:
    """The same map of inputs that are not standardised."""
    weight = linear.weight.value / std
    linear.weight.value.copy_(weight)
    assert linear.bias is not None  # as it was built
    linear.bias.value.sub_(weight @ mean)
    return Sequential(Flatten(), linear).eval()
