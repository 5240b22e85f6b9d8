"""Showing the gradients of a step to those who compute something of them, while the backward runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    GradientSeen,
    LayerSeen,
    Module,
    Parameter,
    Quantity,
    SampleGradients,
    add_path,
    added,
    require_kind,
)
from mytorch.train.batches import count_rows
from mytorch.train.completion import LateGradientError
from mytorch.train.fixed import fixed
from mytorch.train.gradients import forward, gradients, loss_forward
from mytorch.train.mean_loss import Weight, sums, weight_of
from mytorch.train.observe import Method, intercept
from mytorch.train.quantities.axes import Axes
from mytorch.train.quantities.axes_of_calls import axes_of
from mytorch.train.quantities.columns import Columns
from mytorch.train.quantities.fallback import one_by_one
from mytorch.train.quantities.holders import Holders
from mytorch.train.quantities.stated import stated_by
from mytorch.train.quantities.structure import is_nested, leaves, mapped, with_entries
from mytorch.train.quantities.warning import warn_of_one_by_one


def watch_gradients(
    net: Module, loss: Module, inputs: Any, targets: Any, quantities: Sequence[Quantity]
) -> tuple[Tensor, Weight]:
    """Forward and backward, which show each quantity what it asks for; as `gradients`, it adds to the gradients.

    Quantities are shown the gradients of this batch, without those that were there before.
    Returns the loss and its weight, as `gradients` does. Raises ArgumentError if a quantity needs the gradients of
    single samples, and a layer or the loss mixes the batch.
    """
    for quantity in quantities:
        require_kind("quantities", "each", quantity, Quantity)
    try:
        axes = axes_of(net, loss, inputs, targets) if any(each.per_sample for each in quantities) else None
        rows = count_rows(inputs if targets is None else targets)
        with _earlier_aside(net), watching(net, loss, quantities, axes, rows):
            return gradients(net, loss, inputs, targets)
    except Exception as error:
        add_path(error, net)
        raise


@contextmanager
def watching(
    net: Module, loss: Module, quantities: Sequence[Quantity], axes: Axes | None, rows: int
) -> Iterator[None]:
    """Within this context, one forward and backward of the net show the quantities what they ask for.

    axes: where samples lie; needed by quantities of single samples.
    rows: the number of samples.
    """
    for quantity in quantities:
        quantity.begin(net)
    watch = _Watch(net, quantities, axes, rows, _losses_in(loss, rows))
    with intercept(watch.watched, watch.around):
        yield
    for quantity in quantities:
        quantity.end(net, rows)


def watch_samples(
    net: Module,
    loss: Module,
    inputs: Any,
    targets: Any,
    axes: Axes,
    show: Callable[[str, SampleGradients], None],
) -> tuple[Tensor, Weight]:
    """Forward and backward that add to no gradient, and show the gradients of single samples.

    show: is given the name of a parameter and the gradients of samples, when they are complete.
    Returns the loss and its weight, as `gradients` does.
    """
    rows = count_rows(inputs if targets is None else targets)
    watch = _Watch(net, [], axes, rows, 1.0, show)
    with intercept(watch.watched, watch.around):
        prediction, saved = forward(net, inputs)
        value, saved_by_loss = loss_forward(loss, prediction, targets)
        weight = weight_of(loss, prediction, targets)
        del prediction  # and d_prediction is handed over, as in `gradients`
        d_prediction = [loss.backward(_losses_in(loss, rows), saved_by_loss)]
        with fixed(axes.holders.names):
            net.backward(d_prediction.pop(), saved)
    return value, weight


@contextmanager
def showing_samples(
    net: Module, axes: Axes, show: Callable[[str, SampleGradients], None], samples: int | None = None
) -> Iterator[Backward]:
    """Within this context, backwards of the net show the gradients of samples, and add to no gradient.

    A forward in this context may have several backwards, which this context's value runs: of d_output, of what the
    forward saved, which must be `reusable` for that, and of the number of samples in them.
    show: is given the name of a parameter and the gradients of samples, unscaled, when they are complete.
    samples: those of the first forward, if `show` may be given what belongs to several backwards in one call, where a
        layer can state it so; the last of that comes at the end of the context.
    """
    columns = None if samples is None else Columns(samples, show)
    watch = _Watch(net, [], axes, 0, 1.0, show, columns)

    def backward(d_output: Tensor, saved: Any, rows: int) -> None:
        watch.again(rows)
        with fixed(axes.holders.names):
            net.backward(d_output, _copied(saved))

    with intercept(watch.watched, watch.around):
        yield backward
        if columns is not None:
            columns.end()


def reusable(saved: Any) -> bool:
    """Whether a backward may be given this a second time, since it holds tensors without a graph and plain values."""
    return all(
        not leaf.requires_grad if isinstance(leaf, Tensor) else isinstance(leaf, PLAIN) for leaf in leaves(saved)
    )


@contextmanager
def _earlier_aside(net: Module) -> Iterator[None]:
    """Within this context, no parameter has a gradient at first; after it, what came is added to those before."""
    earlier = [(parameter, parameter.grad) for parameter in net.param() if parameter.grad is not None]
    for parameter, _ in earlier:
        parameter.grad = None
    try:
        yield
    finally:
        added_to = [(parameter, grad, parameter.grad) for parameter, grad in earlier]
        for parameter, grad, _ in added_to:
            parameter.grad = grad
        for parameter, _, new in added_to:
            if new is not None:
                parameter.accumulate(new)


Backward = Callable[[Tensor, Any, int], None]
PLAIN = (type(None), bool, int, float, str, torch.Size, torch.dtype, torch.device)


class _Call(NamedTuple):
    """What a forward saved, with what else is known of the call: it takes the place of the saved value on its way."""

    saved: Any
    number: int
    inputs: tuple[Any, ...]
    options: dict[str, Any]
    output: Any


class _Watch:
    """Which gradients are still to come, and the gradients of single samples of those."""

    def __init__(
        self,
        net: Module,
        quantities: Sequence[Quantity],
        axes: Axes | None,
        rows: int,
        scale: float,
        show: Callable[[str, SampleGradients], None] | None = None,
        columns: Columns | None = None,
    ) -> None:
        self.net, self.axes, self.rows, self.scale = net, axes, rows, scale
        self.per_sample = axes is not None
        self.of_layers = [each for each in quantities if each.layers]
        self.quantities = quantities
        self.holders = Holders(net) if axes is None else axes.holders
        self.show, self.columns = show, columns
        self.forwards: defaultdict[Parameter, int] = defaultdict(int)
        self.in_flight: defaultdict[Parameter, int] = defaultdict(int)
        self.calls: defaultdict[int, int] = defaultdict(int)
        self.parts: dict[Parameter, list[SampleGradients]] = {}
        self.told: set[Parameter] = set()
        self.paused = False

    def again(self, rows: int) -> None:
        """Be ready for a backward, of so many samples, of the last forward of the net, be it its first or not."""
        self.in_flight = self.forwards.copy()
        self.told, self.rows = set(), rows

    @property
    def watched(self) -> Iterator[tuple[str, Module]]:
        """All modules if somebody looks at layers; else those that hold parameters, and the net."""
        for path, module in self.holders.modules:
            if self.of_layers or self.holders.own[id(module)] or module is self.net:
                yield path, module

    def around(self, path: str, module: Module, name: str, method: Method) -> Method:
        """What stands for the forward and the backward of a module."""
        own = self.holders.own[id(module)]

        def forward(*inputs: Any, **options: Any) -> Any:
            if module is self.net and self.show is not None:
                self.forwards.clear()
                self.calls.clear()
            pair = method(*inputs, **options)
            if self.paused or type(pair) is not tuple or len(pair) != 2:
                return pair
            if self.columns is not None:
                self.columns.saved(module, pair[1])
            for parameter in own.values():
                self.in_flight[parameter] += 1
                self.forwards[parameter] += 1
            number = self.calls[id(module)]
            self.calls[id(module)] += 1
            seen = (inputs, options, pair[0]) if self.of_layers else ((), {}, None)
            return pair[0], _Call(pair[1], number, *seen)

        def backward(d_output: Any, call: Any) -> Any:
            if self.paused or not isinstance(call, _Call):
                return method(d_output, call.saved if isinstance(call, _Call) else call)
            if own and self.per_sample:
                self._keep_samples(path, module, method, d_output, call, own)
            if not self.of_layers:
                d_input = method(d_output, call.saved)
            else:
                kept = _unwrapped(call.saved)
                d_input = method(d_output, call.saved)
                seen = LayerSeen(path, module, call.inputs, call.options, call.output, kept, d_output, d_input)
                for quantity in self.of_layers:
                    quantity.layer(seen)
            for parameter in own.values():
                self.in_flight[parameter] -= 1
                if self.in_flight[parameter] == 0:
                    self._complete(parameter)
            if module is self.net:  # of what some forwards were not answered, such as those of a Checkpoint
                for parameter in self.holders.names:
                    if parameter not in self.told:
                        self._complete(parameter)
            return d_input

        return forward if name == "forward" else backward

    def _keep_samples(
        self, path: str, module: Module, method: Method, d_output: Any, call: _Call, own: dict[str, Parameter]
    ) -> None:
        """Keep what this backward adds to the gradient of every sample."""
        assert self.axes is not None
        axes = self.axes.of(module, call.number)
        if type(axes) is not int or d_output.shape[axes] != self.rows:
            self._require_rows(path, module, d_output, axes)
        axis = axes if type(axes) is int else next(axis for axis in leaves(axes) if axis is not None)
        tied = id(module) in self.holders.tied
        if self.columns is not None and module.states_columns and not tied and self._is_used_once(own):
            names = {name: self.holders.names[parameter] for name, parameter in own.items()}
            self.columns.add(path, module, names, axis, d_output)
            return
        stated = {} if tied else stated_by(path, module, d_output, call.saved, axis, self.rows)
        if missing := {name: parameter for name, parameter in own.items() if name not in stated}:
            if self.axes.is_new(module):
                warn_of_one_by_one(path, module, tied)
            self.paused = True
            try:
                stated |= one_by_one(
                    module, lambda d: method(d, _copied(call.saved)), d_output, axes, self.rows, missing
                )
            finally:
                self.paused = False
        for name, parameter in own.items():
            self.parts.setdefault(parameter, []).append(stated[name])

    def _is_used_once(self, own: dict[str, Parameter]) -> bool:
        return all(self.forwards[parameter] == 1 for parameter in own.values())

    def _require_rows(self, path: str, module: Module, d_output: Any, axes: Any) -> None:
        def require(d: Any, axis: Any) -> None:
            if isinstance(d, Tensor) and type(axis) is int and d.shape[axis] != self.rows:
                raise ArgumentError(
                    f"quantities: layer {path!r} ({type(module).__name__}) must return one entry for each of "
                    f"{self.rows} samples along axis {axis}, got {tuple(d.shape)}"
                )

        mapped(require, d_output, axes)

    def _complete(self, parameter: Parameter) -> None:
        """Show the gradient of a parameter, if it has one, which must be the first time."""
        if parameter not in self.parts if self.show is not None else parameter.grad is None:
            return
        name = self.holders.names[parameter]
        if parameter in self.told:
            raise LateGradientError(
                f"quantities: the gradient of {name} must be complete when the backward of every module that holds it "
                "has ended, got more after that; leave the quantities out"
            )
        self.told.add(parameter)
        parts = self.parts.pop(parameter, None)
        samples = None if parts is None else added(parts)
        if samples is not None and self.scale != 1:
            samples = samples.scaled(self.scale)
        if self.show is not None:
            assert samples is not None
            self.show(name, samples)
            return
        assert parameter.grad is not None
        mean = parameter.grad if self.scale != 1 else parameter.grad / self.rows
        seen = GradientSeen(name, parameter, parameter.grad, mean, samples)
        for quantity in self.quantities:
            quantity.gradient(seen)


def _losses_in(loss: Module, rows: int) -> float:
    """The number of samples by which the loss of a batch divides the sum of their own losses."""
    return 1.0 if sums(loss) else float(rows)


def _copied(saved: Any) -> Any:
    """A saved value that a backward may empty, while the first is kept; tensors are shared."""
    if isinstance(saved, _Call):
        return saved._replace(saved=_copied(saved.saved))
    return _with_each(_copied, saved)


def _unwrapped(saved: Any) -> Any:
    """The same of a container, with what its layers saved in place of what is known of their calls."""
    return _unwrapped(saved.saved) if isinstance(saved, _Call) else _with_each(_unwrapped, saved)


def _with_each(change: Callable[[Any], Any], saved: Any) -> Any:
    """A structure like this one with `change` of each entry; itself if it is none."""
    if isinstance(saved, Tensor) or not is_nested(saved):
        return saved
    entries = list(saved.values() if isinstance(saved, Mapping) else saved)
    return with_entries(saved, [change(entry) for entry in entries])
