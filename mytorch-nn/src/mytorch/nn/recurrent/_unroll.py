"""One step of a recurrent layer, the same step at every time, and backpropagation through time.

All that a layer does between its input and its output is

    a = inputs(x)                            what x gives to the gates, for all steps by one product
    state_t = step(a_t, state_(t-1))         from the first step to the last, or from the last to the first

The state influences the loss in two ways: by y_t, which is part of it, and by the next step. Backward adds both,

    d_h_t = d_y_t + (d_h_t of the next step)
    d_gates_t, d_state_(t-1) = derivative of the step at d_state_t

and goes from the last step that was taken to the first. A weight is used at every step, so its gradient is a sum over
them; since d_gates is known for all steps by then, the sum is one product.

Sequences of one batch may differ in length. The longest stand first, so that those that take part in a step are its
first rows. The others keep their state: forwards in time they have ended, backwards in time they have not begun. The
same rule holds for the gradient of the state.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mytorch.core import Parameter
from mytorch.core.compiling import is_compiling
from mytorch.nn.recurrent._weights import Weights

State = tuple[Tensor, ...]
"""(h,), or (h, c) of an LSTM: (rows, size) each."""

STRETCH, STEPS = 2**16, 8
"""How many numbers the gates of all steps that are read as one stretch have, and how many steps these are at least."""


class Pulled(NamedTuple):
    """Gradients of one step: of what h and of what the input give to the gates, and of the state before it beside the
    way through weight_hh.
    """

    d_gates: Tensor
    d_a: Tensor
    d_rest: tuple[Any, ...]


class Moment(NamedTuple):
    """What there is of one step, or how it changes: x, h before and after it, and what the step keeps."""

    x: Any
    """(rows, features); of a change None where x does not move."""
    h_before: Tensor
    h: Tensor
    kept: State


class Step:
    """How the state follows from the one before, and the derivative of that, for one set of weights.

    Forward keeps values of each step. `slopes` makes factors of them, of which the derivative consists: they do not
    depend on the upstream gradient, so that those of all steps are computed at once, before the loop. Some of them
    become gradients in the loop, in place, so that those of all steps lie in one tensor after it: the first is
    d_gates, the gradient of what weight_hh gives to the gates, (rows, gates * hidden_size).
    """

    gates: ClassVar[int] = 1
    """How many blocks of hidden_size rows weight_ih and weight_hh have."""

    states: ClassVar[tuple[str, ...]] = ("h",)

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self.weight_ih, self.weight_hh = weights.weight_ih.value, weights.weight_hh.value
        self.bias_ih, self.bias_hh, self.weight_hr = (
            None if parameter is None else parameter.value
            for parameter in (weights.bias_ih, weights.bias_hh, weights.weight_hr)
        )

    def inputs(self, x: Tensor) -> Tensor:
        """a: what the input gives to the gates, with both biases. (rows, gates * hidden_size)"""
        both = None if self.bias_ih is None or self.bias_hh is None else self.bias_ih + self.bias_hh
        return F.linear(x, self.weight_ih, both)

    def forward(self, a: Tensor, before: State) -> tuple[State, State]:
        """The next state, and what is kept beside it."""
        raise NotImplementedError

    def slopes(self, h: Tensor, kept: State) -> tuple[State, State]:
        """What becomes gradients in the loop, d_gates first, and other factors; for any number of rows."""
        raise NotImplementedError

    def backward(self, d_state: State, gradients: State, factors: State) -> State:
        """Make the gradients of a step, in place; returns d_state with what h gives to its rest."""
        raise NotImplementedError

    def before(self, d_state: State, gradients: State, factors: State) -> State:
        """The gradient of the state before."""
        raise NotImplementedError

    def finish(self, gradients: State) -> Tensor:
        """d_a, the gradient of what weight_ih gives to the gates, once the gradients of all steps are known."""
        return gradients[0]

    def tangent(self, t_a: Tensor, t_b: Tensor, t_before: State, now: Moment, moved: Step) -> tuple[State, State]:
        """How the next state changes, and what is kept beside it.

        t_a, t_b: how what the input and what h give to the gates change;  moved: how the weights do
        """
        raise NotImplementedError

    def backward_tangent(
        self, d_state: State, t_d_state: State, now: Moment, t_now: Moment, moved: Step
    ) -> tuple[Pulled, Pulled]:
        """The gradients of a step, from that of its state, and how they change."""
        raise NotImplementedError

    def gates_of(self, kept: State) -> dict[str, Tensor]:
        """The gates by their names, and what memory there is beside h, of what forward kept of a step."""
        raise NotImplementedError

    def add(self, weight: Parameter, bias: Parameter | None, d_rows: Tensor, rows: Tensor) -> None:
        """Add what some rows give to the gradients of a matrix and its bias."""
        if weight.trainable:
            weight.accumulate(d_rows.t().mm(rows))
        if bias is not None and bias.trainable:
            bias.accumulate(d_rows.sum(0))

    def accumulate_hidden(self, h_before: Tensor, d_gates: Tensor) -> None:
        """Add what the rows of all steps give to the gradients of weight_hh and bias_hh, by one product."""
        self.add(self.weights.weight_hh, self.weights.bias_hh, d_gates, h_before)

    def accumulate_inputs(self, x: Tensor, d_a: Tensor) -> None:
        """The same of weight_ih and bias_ih."""
        self.add(self.weights.weight_ih, self.weights.bias_ih, d_a, x)


class Flight(NamedTuple):
    """What one forward keeps of some steps: x, h after each step and the h before the first one, as rows; and of each
    value that the step keeps, those of all steps.
    """

    sizes: list[int]
    x: Tensor
    h: Tensor
    first: Tensor
    kept: list[list[Tensor]]


def unroll(step: Step, x: Tensor, sizes: list[int], state: State, reverse: bool) -> tuple[Tensor, State, list[Flight]]:
    """y = all h_t, the last state, and what is kept.

    x: (rows, features), the rows of the first step, then those of the second, and so on; y: (rows, size)
    sizes: how many rows each step has

    A long sequence is read in stretches, one after the other, so that what is computed for all steps at once is so
    for those of a stretch only, and is out of memory after it.
    """
    stretches = _stretches(sizes, step.weight_hh.shape[0])
    rows = [sum(stretch) for stretch in stretches]
    x_of, order = x.split(rows), in_order(len(stretches), reverse)
    h_of, kept = list(x_of), []
    for number in order:
        first, *_ = state
        h_of[number], state, kept_of_these = _read(step, x_of[number], stretches[number], state, reverse)
        kept.append((first, kept_of_these))
    y = _joined(h_of)
    h_of = list(y.split(rows))  # h is in memory once
    flights = [Flight(stretches[n], x_of[n], h_of[n], *each) for n, each in zip(order, kept, strict=True)]
    return y, state, flights


def unroll_backward(
    step: Step,
    d_y: Tensor | None,
    d_state: State,
    flights: list[Flight],
    reverse: bool,
    input_grad: bool,
    state_grad: bool,
) -> tuple[Tensor | None, State]:
    """d_x, None without input_grad, and the gradient of the state before the first step that was taken, () without
    state_grad.

    d_state: the gradient of the state after the last;  flights: emptied on the way, so that memory falls
    """
    rows = [flight.x.shape[0] for flight in flights]
    d_y_of = [None] * len(rows) if d_y is None else d_y.split(rows[::-1] if reverse else rows)
    d_x = [d_state[0]] * len(rows)
    for number in reversed(in_order(len(rows), reverse)):
        flight = flights.pop()
        wanted = input_grad, state_grad or bool(flights)
        d_x_of_these, d_state = _read_backward(step, d_y_of[number], d_state, flight, reverse, *wanted)
        if d_x_of_these is not None:
            d_x[number] = d_x_of_these
    return _joined(d_x) if input_grad else None, d_state


def _read(
    step: Step, x: Tensor, sizes: list[int], state: State, reverse: bool
) -> tuple[Tensor, State, list[list[Tensor]]]:
    """One stretch, from the state before it to the state after it: h after each step, the state, and what is kept."""
    a = step.inputs(x).split(sizes)
    h, kept = list(a), [state] * len(a)
    for t in in_order(len(sizes), reverse):
        after, kept[t] = step.forward(a[t], first_rows(state, sizes[t]))
        h[t] = after[0]
        state = with_the_others(after, state)
    return _joined(h), state, [list(each) for each in zip(*kept, strict=True)]


def _read_backward(
    step: Step, d_y: Tensor | None, d_state: State, flight: Flight, reverse: bool, input_grad: bool, state_grad: bool
) -> tuple[Tensor | None, State]:
    """The derivative of `_read`: gradients of its x and of the state before it, from that of the state after it."""
    sizes, x, h, first, kept = flight
    gradients, factors = step.slopes(h, tuple(map(_taken, kept)))
    gradients_of, factors_of = _steps(gradients, sizes), _steps(factors, sizes)
    d_y_of = None if d_y is None else d_y.split(sizes)
    order = in_order(len(sizes), reverse)
    for t in reversed(order):
        d_h, *d_others = first_rows(d_state, sizes[t])
        if d_y_of is not None:
            d_h = d_h + d_y_of[t]
        d_after = step.backward((d_h, *d_others), gradients_of[t], factors_of[t])
        if t != order[0] or state_grad:
            d_state = with_the_others(step.before(d_after, gradients_of[t], factors_of[t]), d_state)
        else:
            d_state = ()
    del d_h, d_after, factors, factors_of  # here and below, what is not needed any more is let go
    step.accumulate_hidden(h_before(h, first, sizes, reverse), gradients[0])
    d_a = step.finish(gradients)
    del gradients, gradients_of
    step.accumulate_inputs(x, d_a)
    return d_a.mm(step.weight_ih) if input_grad else None, d_state


def _taken(parts: list[Tensor]) -> Tensor:
    """The parts as one, of which nothing is kept any more."""
    whole = _joined(parts)
    parts.clear()
    return whole


def _steps(rows_of_all: State, sizes: list[int]) -> list[State]:
    """The rows of each step of several tensors."""
    return list(zip(*(rows.split(sizes) for rows in rows_of_all), strict=True)) or [()] * len(sizes)


def h_before(h: Tensor, first: Tensor, sizes: list[int], reverse: bool) -> Tensor:
    """h before each step, as rows: that of its neighbour, or the first one for the sequences that begin here."""
    h_of = list(h.split(sizes))
    state: State = (first,)
    for t in in_order(len(sizes), reverse):
        after, (h_of[t],) = (h_of[t],), first_rows(state, sizes[t])
        state = with_the_others(after, state)
    return _joined(h_of)


def _stretches(sizes: list[int], width: int) -> list[list[int]]:
    """The sizes of the steps of each stretch, where a row of a step has `width` numbers in all gates."""
    if is_compiling():  # a compiler plans memory by itself, and may leave the number of rows open
        return [sizes]
    steps = max(STEPS, STRETCH // max(1, sizes[0] * width))
    return [sizes[start : start + steps] for start in range(0, len(sizes), steps)]


def in_order(steps: int, reverse: bool) -> range:
    return range(steps - 1, -1, -1) if reverse else range(steps)


def first_rows(state: State, count: int) -> State:
    """The rows of the sequences that take part in a step."""
    return state if state[0].shape[0] == count else tuple(each[:count] for each in state)


def with_the_others(after: State, before: State) -> State:
    """The rows of the sequences that take part in a step, and those of the others as they were."""
    count = after[0].shape[0]
    if before[0].shape[0] == count:
        return after
    return tuple(torch.cat([new, old[count:]]) for new, old in zip(after, before, strict=True))


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)
