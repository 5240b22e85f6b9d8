"""Judging a model on a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    DataSet,
    Loss,
    Metric,
    Module,
    add_path,
    fetch,
    fetch_exact,
    kind_of,
    metric_name,
    random_state,
    require_kind,
)
from mytorch.core.batch import rows_within
from mytorch.train.batches import Batches, call, count_rows, misfit
from mytorch.train.device import CPU, move, place_of
from mytorch.train.mean_loss import MeanLoss, weight_of

Gather = Callable[[Any], list[Any]]
"""Gives what each of several processes passes to it, in the order of the processes."""

_set = object.__setattr__
"""Sets the mode without `Module.__setattr__`, which looks for another name and takes most of the time."""

EVALUATION_BATCH = 8192
"""Rows a call in evaluation at most, where nothing is saved for a backward; fewer of large rows, such as images."""


def require_two(loss: Module, prediction: Any, targets: Any, error: TypeError) -> None:
    """Raise ArgumentError if a loss's forward, which failed, does not take a prediction and a target."""
    if problem := misfit(loss.forward, prediction, targets):
        raise ArgumentError(
            f"{type(loss).__name__}: forward must take a prediction and a target, got one with other arguments: "
            f"{problem}; in Python, fit takes a step of your own"
        ) from error


def require_number(loss: Module, value: Tensor, purpose: str) -> None:
    """Raise ArgumentError unless a loss's value is a 0-dim tensor."""
    if not isinstance(value, Tensor):
        raise ArgumentError(
            f"{type(loss).__name__}: the value to {purpose} must be a tensor without axes, got {kind_of(value)}"
        )
    if value.dim():
        raise ArgumentError(
            f"{type(loss).__name__}: the value to {purpose} must be one number, got a tensor of {tuple(value.shape)}; "
            'use reduction="mean" or "sum"'
        )


def predict(net: Module, inputs: Any) -> Any:
    """The model's output for a batch, in the mode in which the model is. An error names the path to the layer."""
    try:
        return call(net, inputs)
    except Exception as error:
        add_path(error, net)
        raise


@contextmanager
def judging(net: Module) -> Iterator[None]:
    """Within this context the net is in evaluation mode and under inference mode; the modes are put back after."""
    trained = [module for module in net.modules() if module.training]  # if none, threads may judge one net at once
    try:
        if type(net).eval is Module.eval and type(net).train is Module.train:
            for module in trained:  # as it would, without another walk through the net
                _set(module, "training", False)
        elif trained:
            net.eval()
        with torch.inference_mode():
            yield
    finally:
        for module in trained:
            _set(module, "training", True)


def tell_outputs(metrics: Iterable[Metric], loss: Module) -> None:
    """Tell metrics how the predictions that they will see are read: one of a stranger's make is left alone."""
    for metric in metrics:
        if isinstance(metric, Metric) and isinstance(loss, Loss):
            metric.outputs = loss.outputs


def evaluate(
    net: Module, loss: Module | None, data: Any, metrics: Sequence[Metric] = (), batch_size: int | None = None
) -> dict[str, float]:
    """The mean loss and every metric over a data set, in evaluation mode; the mode is restored afterwards.

    The mean is taken over the whole set, whatever the batches are; see MeanLoss. Metrics may be any objects with
    `reset`, `update` and `compute`. If the targets are scaled for the loss, the data set has `in_units`: metrics are
    given predictions and targets in units, and the targets before they were rounded to the model's dtype. Rows that
    are changed at random in training are evaluated unchanged.
    batch_size: rows per call; by default 8192, or fewer if rows are large.
    Returns {"loss": ..., "error_rate": ...}, metrics by their names.
    Raises ArgumentError for anything that is not a model or a metric, and for two metrics of the same name.
    """
    return Evaluation(net, loss, data, metrics, batch_size)()


class Evaluation:
    """What `evaluate` does, as often as it is called: its arguments are checked once, and so is how large a row is.

    Several processes may do it together: each computes the predictions of its rows, and all take the same numbers.
    share: the number of this process and how many there are.
    gather: gives what each process passes to it, in their order; None in one process.
    """

    def __init__(
        self,
        net: Module,
        loss: Module | None,
        data: Any,
        metrics: Sequence[Metric] = (),
        batch_size: int | None = None,
        share: tuple[int, int] = (0, 1),
        gather: Gather | None = None,
    ) -> None:
        if isinstance(net, type) or not callable(getattr(net, "modules", None)):  # parity judges PyTorch's nets
            require_kind("evaluate", "net", net, Module)
        require_metrics("evaluate", metrics)
        self._net, self._loss, self._metrics, self._gather = net, loss, metrics, gather
        self._first_parameter = next(iter(net.parameters()), None)  # which stays the same where the net is moved
        self._data = data = getattr(data, "plain", data)
        if batch_size is None:
            with random_state():  # a run that is resumed looks at the row once more
                batch_size = rows_within(data, EVALUATION_BATCH)
        self._exactly = bool(metrics) and _knows_more(data)
        self._batches = Batches(_BesideExact(data) if self._exactly else data, batch_size * share[1])
        self._batches.share = share

    def __call__(self) -> dict[str, float]:
        """Judge the model as it is now."""
        with judging(self._net):
            return self.results()

    def results(self) -> dict[str, float]:
        """The same within `judging`, which several data sets may share: it walks through the net."""
        metrics, gather = self._metrics, self._gather
        if self._loss is not None:
            tell_outputs(metrics, self._loss)
        for metric in metrics:
            metric.reset()
        losses: list[tuple[Tensor, int | float | Tensor]] = []
        place = place_of(self._first_parameter)
        for inputs, targets in self._batches:
            pair = self._judge(inputs, targets, place, losses) if gather is None or count_rows(inputs) else None
            seen = [pair] if gather is None or not metrics else gather(pair)
            for prediction, exact in filter(None, seen):
                for metric in metrics:
                    metric.update(prediction, exact)
        if gather is not None:
            losses = [each for of_process in gather(_numbers_of(losses)) for each in of_process]
        results = {} if self._loss is None else {"loss": _mean(self._loss, losses)}
        return results | {metric_name(metric): _number(metric) for metric in metrics}

    def _judge(
        self, inputs: Any, targets: Any, place: torch.device, losses: list[tuple[Tensor, int | float | Tensor]]
    ) -> tuple[Any, Any] | None:
        """Add a batch's loss to `losses`. Returns prediction and targets as metrics see them, if there are any."""
        targets, exact = targets if self._exactly else (targets, targets)
        prediction = predict(self._net, move(inputs, place))
        if self._loss is not None:
            losses.append(_judged(self._loss, prediction, move(targets, place)))
        if not self._metrics:
            return None
        # on the processor, where numbers can be as wide as the targets were
        return _in_units(self._data, move(prediction, CPU), move(exact, CPU))


class _BesideExact:
    """A data set whose targets come twice: as the loss takes them, and before they were rounded."""

    def __init__(self, data: Any) -> None:
        self.data, self.ragged = data, getattr(data, "ragged", False)

    def __len__(self) -> int:
        return len(self.data)

    def batch_at(self, indices: Tensor) -> tuple[Any, Any]:
        inputs, targets = fetch(self.data, indices)
        rounded = isinstance(targets, Tensor) and targets.is_floating_point()
        return inputs, (targets, fetch_exact(self.data, indices)[1] if rounded else targets)


def _knows_more(data: Any) -> bool:
    """Whether a data set may know its numbers more exactly than its batches have them."""
    exact_at = getattr(data, "exact_at", None)
    return exact_at is not None and getattr(exact_at, "__func__", None) is not DataSet.exact_at


def _numbers_of(losses: list[tuple[Tensor, int | float | Tensor]]) -> list[tuple[float, float]]:
    """Losses and their weights, which are looked at here: on a GPU, that waits for them."""
    return [(value.item(), float(weight)) for value, weight in losses]


def _judged(loss: Module, prediction: Any, targets: Any) -> tuple[Tensor, int | float | Tensor]:
    """The loss of a batch and its weight in the mean."""
    try:
        value = loss(prediction, targets)
    except TypeError as error:
        require_two(loss, prediction, targets, error)
        raise
    require_number(loss, value, "judge by")
    return value, weight_of(loss, prediction, targets)


def _in_units(data: Any, prediction: Any, exact: Any) -> tuple[Any, Any]:
    """Prediction and targets as metrics see them: in units, and the prediction as wide as exact targets."""
    if (in_units := getattr(data, "in_units", None)) is not None:
        prediction, exact = in_units(prediction), in_units(exact)
    tensors = isinstance(prediction, Tensor) and isinstance(exact, Tensor)
    if tensors and exact.dtype is torch.float64 and prediction.is_floating_point():
        prediction = prediction.to(torch.float64)
    return prediction, exact


def require_metrics(owner: str, metrics: Sequence[Metric]) -> None:
    """Raise ArgumentError unless metrics are a list of such, each of a name of its own: results go by names."""
    if not isinstance(metrics, Sequence):
        raise ArgumentError(f"{owner}: metrics must be a list, got {kind_of(metrics)}; write [...]")
    for metric in metrics:
        lacking = [name for name in ("reset", "update", "compute") if not callable(getattr(metric, name, None))]
        if isinstance(metric, type) or lacking:
            got = f"the class {metric.__name__}" if isinstance(metric, type) else kind_of(metric)
            raise ArgumentError(f"{owner}: a metric must be an object with reset, update and compute, got {got}")
    names = Counter(["loss", *map(metric_name, metrics)])
    if twice := [name for name, count in names.items() if count > 1]:
        raise ArgumentError(
            f"{owner}: metrics must have different names, got {twice[0]} twice; give one of them another `name`"
        )


def _mean(loss: Module, losses: Sequence[tuple[Tensor | float, int | float | Tensor]]) -> float:
    mean = MeanLoss(loss)
    for value, weight in losses:  # after the last batch, since a GPU waits for each number
        mean.add(value, weight)
    return mean.compute()


def _number(metric: Metric) -> float:
    """What a metric computes. Raises ArgumentError unless it is one number."""
    value = metric.compute()
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        got = f"a tensor of {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise ArgumentError(f"{type(metric).__name__}: compute must return one number, got {got}") from error
