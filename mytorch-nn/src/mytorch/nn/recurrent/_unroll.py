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

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.compiler import is_compiling
from torch.nn import functional as F

from mytorch.core import Parameter
from mytorch.nn.recurrent._weights import Weights

State = tuple[Tensor, ...]
"""(h,), or (h, c) of an LSTM: (rows, size) each."""

STRETCH, STEPS = 2**16, 8
"""How many numbers the gates of all steps that are read as one stretch have, and how many steps these are at least."""


class Step:
    """How the state follows from the one before, and the derivative of that, for one set of weights.

    Forward keeps values of each step. `slopes` makes factors of them, of which the derivative consists: they do not
    depend on the upstream gradient, so that those of all steps are computed at once, before the loop.
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
        """The next state, and what is kept."""
        raise NotImplementedError

    def slopes(self, kept: State) -> State:
        """The factors of the derivative, for any number of rows."""
        raise NotImplementedError

    def backward(self, d_state: State, slopes: State) -> tuple[Tensor, State]:
        """d_gates, the gradient of what weight_hh gives to the gates, and d_state with what h gives to its rest."""
        raise NotImplementedError

    def before(self, d_state: State, d_gates: Tensor, slopes: State) -> State:
        """The gradient of the state before."""
        raise NotImplementedError

    def finish(self, d_h: Sequence[Tensor], d_gates: Tensor, slopes: State) -> Tensor:  # noqa: ARG002 - for subclasses
        """d_a, the gradient of what weight_ih gives, once d_h and d_gates of all steps are known; may take d_gates."""
        return d_gates

    def accumulate(self, x: Tensor, h_before: Tensor, d_h: Sequence[Tensor], d_gates: Tensor, slopes: State) -> Tensor:
        """Add what the rows of all steps give to the gradients of the parameters, by one product each; returns d_a."""
        _accumulate(self.weights.weight_hh, self.weights.bias_hh, d_gates, h_before)
        d_a = self.finish(d_h, d_gates, slopes)
        _accumulate(self.weights.weight_ih, self.weights.bias_ih, d_a, x)
        return d_a


def _accumulate(weight: Parameter, bias: Parameter | None, d_rows: Tensor, rows: Tensor) -> None:
    weight.accumulate(d_rows.t().mm(rows))
    if bias is not None:
        bias.accumulate(d_rows.sum(0))


class Flight(NamedTuple):
    """What one forward keeps of some steps; lists have an entry for each of them."""

    x: Tensor
    h_before: list[Tensor]
    kept: list[State]


def unroll(step: Step, x: Tensor, sizes: list[int], state: State, reverse: bool) -> tuple[Tensor, State, list[Flight]]:
    """y = all h_t, the last state, and what is kept.

    x: (rows, features), the rows of the first step, then those of the second, and so on; y: (rows, size)
    sizes: how many rows each step has

    A long sequence is read in stretches, one after the other, so that what is computed for all steps at once is so
    for those of a stretch only, and is out of memory after it.
    """
    stretches = _stretches(sizes, step.weight_hh.shape[0])
    y, flights = list(x.split([sum(stretch) for stretch in stretches])), []
    for number in _order(len(stretches), reverse):
        y[number], state, flight = _read(step, y[number], stretches[number], state, reverse)
        flights.append(flight)
    return _joined(y), state, flights


def unroll_backward(
    step: Step, d_y: Tensor | None, d_state: State, flights: list[Flight], reverse: bool, input_grad: bool
) -> tuple[Tensor | None, State]:
    """d_x, None without input_grad, and the gradient of the state before the first step that was taken.

    d_state: the gradient of the state after the last;  flights: emptied on the way, so that memory falls
    """
    rows = [flight.x.shape[0] for flight in flights]
    d_y_of = [None] * len(rows) if d_y is None else d_y.split(rows[::-1] if reverse else rows)
    d_x = [d_state[0]] * len(rows)
    for number in reversed(_order(len(rows), reverse)):
        d_x_of_these, d_state = _read_backward(step, d_y_of[number], d_state, flights.pop(), reverse, input_grad)
        if d_x_of_these is not None:
            d_x[number] = d_x_of_these
    return _joined(d_x) if input_grad else None, d_state


def _read(step: Step, x: Tensor, sizes: list[int], state: State, reverse: bool) -> tuple[Tensor, State, Flight]:
    """One stretch, from the state before it to the state after it."""
    a = step.inputs(x).split(sizes)
    h, h_before, kept = list(a), list(a), [state] * len(a)
    for t in _order(len(sizes), reverse):
        before = _first(state, sizes[t])
        after, kept[t] = step.forward(a[t], before)
        h_before[t], h[t] = before[0], after[0]
        state = _with_the_others(after, state)
    return torch.cat(h), state, Flight(x, h_before, kept)


def _read_backward(
    step: Step, d_y: Tensor | None, d_state: State, flight: Flight, reverse: bool, input_grad: bool
) -> tuple[Tensor | None, State]:
    """The derivative of `_read`: gradients of its x and of the state before it, from that of the state after it."""
    sizes = [rows.shape[0] for rows in flight.h_before]
    slopes = step.slopes(tuple(map(torch.cat, zip(*flight.kept, strict=True))))
    flight.kept.clear()  # here and below, what is not needed any more is let go
    slopes_of = list(zip(*(slope.split(sizes) for slope in slopes), strict=True))
    d_y_of = None if d_y is None else d_y.split(sizes)
    d_h, d_gates_of = list(flight.h_before), list(flight.h_before)
    for t in reversed(_order(len(sizes), reverse)):
        d_h[t], *d_others = _first(d_state, sizes[t])
        if d_y_of is not None:
            d_h[t] = d_h[t] + d_y_of[t]
        d_gates_of[t], d_after = step.backward((d_h[t], *d_others), slopes_of[t])
        d_state = _with_the_others(step.before(d_after, d_gates_of[t], slopes_of[t]), d_state)
    h_before, d_gates = torch.cat(flight.h_before), torch.cat(d_gates_of)
    for held in (flight.h_before, d_gates_of, slopes_of):
        held.clear()
    d_a = step.accumulate(flight.x, h_before, d_h, d_gates, slopes)
    return d_a.mm(step.weight_ih) if input_grad else None, d_state


def _stretches(sizes: list[int], width: int) -> list[list[int]]:
    """The sizes of the steps of each stretch, where a row of a step has `width` numbers in all gates."""
    if is_compiling():  # a compiler plans memory by itself, and may leave the number of rows open
        return [sizes]
    steps = max(STEPS, STRETCH // max(1, sizes[0] * width))
    return [sizes[start : start + steps] for start in range(0, len(sizes), steps)]


def _order(steps: int, reverse: bool) -> range:
    return range(steps - 1, -1, -1) if reverse else range(steps)


def _first(state: State, count: int) -> State:
    """The rows of the sequences that take part in a step."""
    return state if state[0].shape[0] == count else tuple(each[:count] for each in state)


def _with_the_others(after: State, before: State) -> State:
    """The rows of the sequences that take part in a step, and those of the others as they were."""
    count = after[0].shape[0]
    if before[0].shape[0] == count:
        return after
    return tuple(torch.cat([new, old[count:]]) for new, old in zip(after, before, strict=True))


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)
