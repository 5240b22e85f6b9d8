"""What the recurrent layers share: layers one on another, two directions, dropout between, and layouts of input."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from mytorch.core import (
    Detail,
    Directions,
    Module,
    Parameter,
    SampleGradients,
    ShapeError,
    StateError,
    kind_of,
    require_device,
    require_flags,
    require_floating_dtype,
    require_last_axis,
    require_like,
    require_range,
    require_room,
    require_saved,
    require_whole,
)
from mytorch.nn._depth import MOST_LAYERS
from mytorch.nn.dropout.dropout import drop, drop_backward
from mytorch.nn.recurrent._samples import Rows
from mytorch.nn.recurrent._sequences import Layout, Sequence
from mytorch.nn.recurrent._state import initial_state, require_own, tangent_state, told, upstream_state
from mytorch.nn.recurrent._tangents import (
    Both,
    moments,
    moved_weights,
    unroll_backward_tangent,
    unroll_tangent,
)
from mytorch.nn.recurrent._told import gates_detail, gradient_detail
from mytorch.nn.recurrent._unroll import Flight, Moment, State, Step, unroll, unroll_backward
from mytorch.nn.recurrent._weights import Weights, draw


class Saved(NamedTuple):
    """What a forward keeps: of each direction of each layer what it keeps, and what dropout kept before each layer."""

    own: str
    layout: Layout
    flights: list[Any]
    keeps: list[Tensor | None]
    was_passed: bool


Moving = tuple[list[Moment], list[Moment]]
"""What there is of each step of one direction of one layer, and how it changes."""


class Recurrent(Module):
    """Layers of which each reads the output of the one before, in one direction of time or in both."""

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"input_size": 3, "hidden_size": 4, "num_layers": 2, "bidirectional": True},
        "inputs": [(5, 2, 3), (4, 2, 4)],
        "tags": ("sequence_first", "fixed_dimensions"),
    }
    kind: ClassVar[type[Step]]
    shared_zeros: ClassVar[bool] = True
    proj_size: int = 0
    weight_ih_l0: Parameter
    input_size: int
    hidden_size: int

    def _set(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
    ) -> None:
        """Keep the settings. Raises ArgumentError."""
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            require_whole(self, name, size, 1)
        require_whole(self, "num_layers", num_layers, 1, MOST_LAYERS)
        require_flags(self, bias=bias, batch_first=batch_first, bidirectional=bidirectional)
        require_range(self, "dropout", dropout, 0, 1)
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                f"{type(self).__name__}: dropout must be 0 for a single layer, since it stands between layers, "
                f"got {dropout}",
                stacklevel=3,
            )
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.bidirectional = bias, batch_first, bidirectional
        self.dropout = float(dropout)

    def _build(self, device: torch.device | str | None, dtype: torch.dtype | None) -> None:
        """Make the parameters, in torch's order."""
        require_device(self, device)
        require_floating_dtype(self, dtype)
        self._own = told(self)
        projected_from = self.hidden_size if self.proj_size else 0
        rows, places = self.kind.gates * self.hidden_size, self.num_layers * self._directions
        like = torch.empty(0, device=device, dtype=dtype)
        require_room(self, "weight_hh of all layers", (places, rows, self._size), like, "make its sizes smaller")
        for place in range(places):
            columns = self.input_size if place < self._directions else self._directions * self._size
            weights = Weights.empty(self, rows, columns, self._size, self.bias, projected_from, device, dtype)
            for name, parameter in zip(self._names(place), weights, strict=True):
                setattr(self, name, parameter)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights from torch's generator, or from the one given."""
        draw(self, self.hidden_size, generator)

    def forward(self, input: Sequence, hx: Any = None) -> tuple[Any, Saved]:  # noqa: A002 - torch's name
        layout = Layout.of(self, input, self.batch_first)
        x = layout.rows(input)
        require_last_axis(self, input if isinstance(input, Tensor) else x, self.input_size, "input")
        require_like(self, x, self.weight_ih_l0.value, "input")
        first = initial_state(self, hx, self._state_shapes(layout), x, shared=self.shared_zeros)
        state = _of_places(layout.sorted(first))
        flights: list[Any] = [None] * len(state)
        keeps: list[Tensor | None] = []
        for layer in range(self.num_layers):
            x, keep = self._drop(x) if layer else (x, None)
            keeps.append(keep)
            y = []
            for place in self._places(layer):
                y_of_one, state[place], flights[place] = self._unroll(x, layout.sizes, state[place], place)
                y.append(y_of_one)
            x = y[0] if len(y) == 1 else torch.cat(y, 1)
        last = layout.unsorted(_stacked(state))
        output = layout.sequences(x), last if len(last) > 1 else last[0]
        return output, Saved(self._own, layout, flights, keeps, hx is not None)

    def backward(self, d_output: Any, saved: Saved) -> Any:
        require_saved(self, saved, str, Layout, list, list, bool)
        require_own(self, self._own, saved.own)
        self._require_unused(saved.flights)
        return self._backward(d_output, saved, self._unroll_backward)

    def tangent(self, t_input: Any, saved: Saved, along: Directions) -> tuple[Any, list[Moving]]:
        layout, t_saved, like = saved.layout, list[Moving](), self.weight_ih_l0.value
        t_input, t_hx = t_input if saved.was_passed and t_input is not None else (t_input, None)
        t_x = None if t_input is None else layout.rows(t_input)
        t_state = _of_places(layout.sorted(tangent_state(t_hx, self._state_shapes(layout), like)))
        for layer, keep in enumerate(saved.keeps):
            if t_x is not None and keep is not None:
                t_x = drop_backward(t_x, keep, self.dropout)
            t_y = []
            for place in self._places(layer):
                step, moved, reverse = *self._steps(place, along), self._is_reverse(place)
                steps = moments(self._unfolded(saved.flights[place], layout.sizes, place), reverse)
                t_y_of_one, t_state[place], t_steps = unroll_tangent(step, moved, steps, t_x, t_state[place], reverse)
                t_y.append(t_y_of_one)
                t_saved.append((steps, t_steps))
            t_x = t_y[0] if len(t_y) == 1 else torch.cat(t_y, 1)
        t_last = layout.unsorted(_stacked(t_state))
        return (None if t_x is None else layout.sequences(t_x), t_last if len(t_last) > 1 else t_last[0]), t_saved

    def backward_tangent(
        self, d_output: Any, t_d_output: Any, saved: Saved, t_saved: list[Moving], along: Directions
    ) -> tuple[Any, Any]:
        layout = saved.layout
        (d_y, d_last), (t_d_y, t_d_last) = self._upstream(d_output, layout), self._upstream(t_d_output, layout)
        d_state = list(map(Both, *(_of_places(layout.sorted(each)) for each in (d_last, t_d_last))))
        for layer, keep in reversed([*enumerate(saved.keeps)]):
            d_x = []
            for place in self._places(layer):
                step, moved, reverse = *self._steps(place, along), self._is_reverse(place)
                d_part, wanted = (self._columns(d_y, place), self._columns(t_d_y, place)), layer > 0 or self.input_grad
                d_x_of_one, d_state[place] = unroll_backward_tangent(
                    step, moved, d_part, d_state[place], *t_saved[place], reverse, wanted
                )
                d_x.append(d_x_of_one)
            d_y, t_d_y = (None if each[0] is None else sum(each[1:], each[0]) for each in zip(*d_x, strict=True))
            if keep is not None and d_y is not None and t_d_y is not None:
                d_y, t_d_y = (drop_backward(each, keep, self.dropout) for each in (d_y, t_d_y))
        found: list[Any] = []
        for d_rows, states in zip((d_y, t_d_y), zip(*d_state, strict=True), strict=True):
            d_input = None if d_rows is None else layout.sequences(d_rows)
            d_hx = layout.unsorted(_stacked(list(states)))
            found.append((d_input, d_hx if len(d_hx) > 1 else d_hx[0]) if saved.was_passed else d_input)
        return found[0], found[1]

    def _steps(self, place: int, along: Directions) -> tuple[Step, Step]:
        """The step of one direction of one layer with its weights, and with how they move."""
        weights = self._weights(place)
        return self._step(weights), self._step(moved_weights(weights, along))

    def sample_gradients(self, d_output: Any, saved: Saved, axis: int) -> dict[str, SampleGradients]:  # noqa: ARG002
        layout, stated = saved.layout, dict[str, SampleGradients]()

        def keeping(d_y: Tensor | None, d_state: State, flight: Any, place: int, *wanted: bool) -> Any:
            stretches: list[Flight] = self._unfolded(flight, layout.sizes, place)
            stretches = [each._replace(kept=[[*parts] for parts in each.kept]) for each in stretches]  # emptied below
            order = None if layout.packed is None else layout.packed.unsorted_indices
            rows = Rows(layout.batch, [each.sizes for each in reversed(stretches)], order)
            weights = self._weights(place)
            step = self._step(weights)
            step.add = rows.add  # type: ignore[method-assign]
            gradients = unroll_backward(step, d_y, d_state, stretches, self._is_reverse(place), *wanted)
            stated.update(rows.stated(dict(zip(self._names(place), weights, strict=True))))
            return gradients

        self._backward(d_output, saved._replace(flights=[*saved.flights]), keeping)
        return stated

    def _backward(self, d_output: Any, saved: Saved, through: Callable[..., Any]) -> Any:
        """The gradients of the inputs; `through` goes back through one direction of one layer."""
        _, layout, flights, keeps, was_passed = saved
        d_y, d_last = self._upstream(d_output, layout)
        d_state = _of_places(layout.sorted(d_last))
        for layer in reversed(range(self.num_layers)):
            d_x: Tensor | None = None
            for place in reversed(self._places(layer)):
                wanted = layer > 0 or self.input_grad, was_passed
                d_part, d_state[place] = through(
                    self._columns(d_y, place), d_state[place], flights.pop(), place, *wanted
                )
                d_x = d_part if d_x is None or d_part is None else d_x + d_part
            keep = keeps[layer]
            d_y = d_x if d_x is None or keep is None else drop_backward(d_x, keep, self.dropout)
        d_input = None if d_y is None else layout.sequences(d_y)
        if not was_passed:
            return d_input
        d_hx = layout.unsorted(_stacked(d_state))
        return d_input, d_hx if len(d_hx) > 1 else d_hx[0]

    def forward_details(self, inputs: Mapping[str, Any], output: Any, saved: Saved) -> Iterable[Detail]:  # noqa: ARG002
        first = saved.layout.first
        for place in self._places(self.num_layers - 1) if saved.layout.batch else ():
            step, flights = self._step(self._weights(place)), self._flights(saved, place)
            yield gates_detail(step, flights, first, self._where(place))

    def backward_details(self, d_output: Any, saved: Saved) -> Iterable[Detail]:
        d_y, d_last = self._upstream(d_output, saved.layout)
        d_y = None if d_y is None else d_y.reshape(-1, self._directions * self._size)
        d_state = _of_places(saved.layout.sorted(d_last))
        for place in self._places(self.num_layers - 1):
            step, d_part = self._step(self._weights(place)), self._columns(d_y, place)
            flights, where = self._flights(saved, place), self._where(place)
            yield gradient_detail(step, d_part, d_state[place], flights, self._is_reverse(place), where)

    def _flights(self, saved: Saved, place: int) -> list[Flight]:
        """What one direction of one layer keeps of each step, in the order of the steps."""
        flights: list[Flight] = self._unfolded(saved.flights[place], saved.layout.sizes, place)
        return flights[::-1] if self._is_reverse(place) else flights

    def _unfolded(self, flight: Any, sizes: list[int], place: int) -> Any:  # noqa: ARG002 - for what a kernel keeps
        return flight

    def _where(self, place: int) -> str:
        layer = f", layer {self.num_layers - 1}" if self.num_layers > 1 else ""
        return f"{layer}{', read backwards' * self._is_reverse(place)}"

    def _unroll(self, x: Tensor, sizes: list[int], state: State, place: int) -> tuple[Tensor, State, Any]:
        """One direction of one layer: y, the last state, and what is kept."""
        return unroll(self._step(self._weights(place)), x, sizes, state, self._is_reverse(place))

    def _unroll_backward(
        self, d_y: Tensor | None, d_state: State, flight: Any, place: int, *wanted: bool
    ) -> tuple[Tensor | None, State]:
        """Gradients of the input and of the first state of one direction of one layer, each if it is wanted."""
        step, reverse = self._step(self._weights(place)), self._is_reverse(place)
        return unroll_backward(step, d_y, d_state, flight, reverse, *wanted)

    def _step(self, weights: Weights) -> Step:
        return self.kind(weights)

    def _drop(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """In training, numbers between two layers set to zero, and which were kept."""
        return drop(x, self.dropout) if self.training and self.dropout and x.numel() else (x, None)

    def _require_unused(self, flights: list[Any]) -> None:
        """Raise StateError for a saved value that a backward has emptied, so that memory fell on its way."""
        places = self.num_layers * self._directions
        if len(flights) != places:
            raise StateError(
                f"{type(self).__name__}: saved must hold one value for each direction of each layer, {places}, got "
                f"{len(flights)}; a saved value is good for one backward: call forward again"
            )

    def _upstream(self, d_output: Any, layout: Layout) -> tuple[Tensor | None, State]:
        """The gradients of y as rows and of the last state. Raises ShapeError, DtypeError."""
        names = tuple(f"d_{name}_n" for name in self.kind.states)
        if not isinstance(d_output, tuple | list) or isinstance(d_output, PackedSequence) or len(d_output) != 2:
            rule = "(d_y, d_h_n)" if len(names) == 1 else "(d_y, (d_h_n, d_c_n))"
            raise ShapeError(
                f"{type(self).__name__}: d_output must be a tuple of two, {rule}, with None for what was not used, "
                f"got {kind_of(d_output)}"
            )
        d_y, d_last = d_output
        like = self.weight_ih_l0.value
        if d_y is not None:
            d_y = layout.upstream(self, d_y, self._directions * self._size)
            require_like(self, d_y, like, "d_y")
        return d_y, upstream_state(self, d_last, names, self._state_shapes(layout), like, shared=self.shared_zeros)

    # Places: each direction of each layer, in the order in which states and parameters stand

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def _size(self) -> int:
        """How many numbers h has."""
        return self.proj_size or self.hidden_size

    def _places(self, layer: int) -> range:
        return range(layer * self._directions, (layer + 1) * self._directions)

    def _is_reverse(self, place: int) -> bool:
        return place % self._directions == 1

    def _columns(self, d_y: Tensor | None, place: int) -> Tensor | None:
        """What of the gradient of a layer's output is that of one direction."""
        if d_y is None or not self.bidirectional:
            return d_y
        return d_y.narrow(1, place % 2 * self._size, self._size)

    def _names(self, place: int) -> tuple[str, ...]:
        layer, direction = divmod(place, self._directions)
        return tuple(f"{name}_l{layer}{'_reverse' * direction}" for name in Weights._fields)

    def _weights(self, place: int) -> Weights:
        return Weights(*(getattr(self, name) for name in self._names(place)))

    def _state_shapes(self, layout: Layout) -> list[tuple[int, ...]]:
        sizes = (self._size, self.hidden_size)[: len(self.kind.states)]
        return [layout.state_shape(self.num_layers * self._directions, size) for size in sizes]


def _of_places(states: State) -> list[State]:
    """The state of each place, from tensors of all places."""
    return list(zip(*(each.unbind(0) for each in states), strict=True))


def _stacked(states: list[State]) -> State:
    """The inverse of `_of_places`."""
    if len(states) == 1:
        return tuple(each.unsqueeze(0) for each in states[0])
    return tuple(torch.stack(each) for each in zip(*states, strict=True))
