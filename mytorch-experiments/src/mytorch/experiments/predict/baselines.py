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
from mytorch.data.rounding import is_padded, padding_of
from mytorch.data.series.windows import KEY as WINDOWS
from mytorch.nn import Flatten, Linear, MeanStep, Padded, Permute, Sequential
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
    For padded sequences, the linear model sees the mean of the steps of each; where each step has a target, the step.
    Empty where inputs are none of these, or the network's outputs no columns.
    """
    training = training.plain
    inputs, targets = fetch(training, _spaced(len(training), rows_within(training, ROWS, MOST_BYTES)))
    if _are_tokens(inputs, targets) and getattr(loss, "outputs", None) in ("softmax", "log-softmax"):
        count = len(training.classes or ())
        return {"bigram model": Bigram.of(training, count)} if 0 < count**2 <= PAIRS else {}
    if is_padded(inputs) and isinstance(targets, Tensor):
        return _of_sequences(net, loss, inputs, targets, constant)
    if not isinstance(inputs, Tensor) or not inputs.is_floating_point() or not isinstance(targets, Tensor):
        return {}
    outputs = _outputs(net, inputs[:2])
    if not isinstance(outputs, Tensor) or outputs.dim() != 2:
        return {}
    found: dict[str, Module] = {}
    if (series := (training.preparation or {}).get(WINDOWS)) is not None:
        found["last value"] = LastValue.of(training.preparation or {}, series)
    fitted = _linear("linear model", constant, inputs.flatten(1), targets, loss, outputs.shape[1])
    return found | {name: Sequential(Flatten(), linear).eval() for name, linear in fitted.items()}


def _of_sequences(
    net: Module, loss: Module, inputs: Mapping[str, Tensor], targets: Tensor, constant: str
) -> dict[str, Module]:
    """Those of padded sequences, {"x": (batch, steps, columns), "lengths": (batch,)}."""
    x, lengths = inputs["x"], inputs["lengths"]
    outputs = _outputs(net, {name: value[:2] for name, value in inputs.items()})
    if not isinstance(outputs, Tensor) or x.dim() != 3 or not x.is_floating_point():
        return {}
    if outputs.dim() == 2:
        means, _ = MeanStep().forward(x, lengths=lengths)
        fitted = _linear("linear model of the mean step", constant, means, targets, loss, outputs.shape[1])
        return {name: Padded(MeanStep(), linear).eval() for name, linear in fitted.items()}
    if outputs.dim() != 3 or targets.shape != x.shape[:2]:
        return {}
    there = ~padding_of(inputs)
    fitted = _linear("linear model of each step", constant, x[there], targets[there], loss, outputs.shape[1])
    return {name: Padded(linear, Permute([0, 2, 1])).eval() for name, linear in fitted.items()}


def _outputs(net: Module, inputs: Any) -> Any:
    with judging(net):
        return predict(net, move(inputs, device_of(net)))


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


def _linear(name: str, constant: str, x: Tensor, targets: Tensor, loss: Module, columns: int) -> dict[str, Linear]:
    """A linear model, unless it has too many weights, and a constant, of inputs (rows, features) as they are."""
    mean, std = x.mean(0), x.std(0, correction=0)
    x, std = (x - mean) / std.where(std > 0, 1), std.where(std > 0, 1)
    found = {}
    if x.shape[1] * columns <= WEIGHTS:
        found[name] = _in_units(_fitted(x, targets, loss, columns), mean, std)
    found[constant] = _in_units(_fitted(torch.zeros_like(x), targets, loss, columns), mean, std)
    return found


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


def _in_units(linear: Linear, mean: Tensor, std: Tensor) -> Linear:
    """The same map of inputs that are not standardised."""
    weight = linear.weight.value / std
    linear.weight.value.copy_(weight)
    assert linear.bias is not None  # as it was built
    linear.bias.value.sub_(weight @ mean)
    return linear
