"""How what recurrent layers compute changes, and how their backpropagation through time does.

The tangent of a state follows from the one before, as the state does, from the first step to the last; and as the
gradient of a state follows from the one after, so does the change of that gradient, from the last step to the first:

    t_a_t = t_x_t @ weight_ih.T + x_t @ t_weight_ih.T + t_bias
    t_b_t = t_h_(t-1) @ weight_hh.T + h_(t-1) @ t_weight_hh.T
    t_state_t = what the step makes of t_a_t, t_b_t and t_state_(t-1)
    t_d_state_(t-1) = t_d_gates_t @ weight_hh + d_gates_t @ t_weight_hh + (what the step gives to it besides)

The derivatives of each kind of step stand beside the step itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear

from mytorch.core import Directions, Parameter
from mytorch.nn.recurrent._unroll import (
    Flight,
    Moment,
    Pulled,
    State,
    Step,
    first_rows,
    h_before,
    in_order,
    with_the_others,
)
from mytorch.nn.recurrent._weights import Weights


class Both(NamedTuple):
    """A state, or gradients of it, and how they change."""

    value: State
    change: State


def moved_weights(weights: Weights, along: Directions) -> Weights:
    """The directions along which the weights move, as weights."""
    moved: Any = [None if each is None else Parameter(along[each]) for each in weights]
    return Weights(*moved)


def moments(flights: list[Flight], reverse: bool) -> list[Moment]:
    """What a forward keeps of each step, in the order of the rows."""
    found = []
    for sizes, x, h, first, kept in flights[:: -1 if reverse else 1]:
        before = h_before(h, first, sizes, reverse).split(sizes)
        parts = list(zip(*kept, strict=True)) or [()] * len(sizes)
        found += list(map(Moment, x.split(sizes), before, h.split(sizes), parts))
    return found


def inputs_tangent(step: Step, moved: Step, x: Tensor, t_x: Tensor | None) -> Tensor:
    """t_a, for any number of rows."""
    t_a = moved.inputs(x)
    return t_a if t_x is None else t_a + linear(t_x, step.weight_ih)


def step_tangent(
    step: Step, moved: Step, now: Moment, t_x: Tensor | None, t_a: Tensor, t_before: State
) -> tuple[State, Moment]:
    """How the state after a step changes, and what the step keeps."""
    t_b = linear(t_before[0], step.weight_hh) + linear(now.h_before, moved.weight_hh)
    t_after, t_kept = step.tangent(t_a, t_b, t_before, now, moved)
    return t_after, Moment(t_x, t_before[0], t_after[0], t_kept)


def step_backward_tangent(
    step: Step, moved: Step, d_state: Both, now: Moment, t_now: Moment
) -> tuple[tuple[Pulled, Pulled], Both]:
    """The gradients of a step and their changes, and both of the state before."""
    pulled, t_pulled = step.backward_tangent(*d_state, now, t_now, moved)
    d_h = pulled.d_gates @ step.weight_hh + pulled.d_rest[0]
    t_d_h = t_pulled.d_gates @ step.weight_hh + pulled.d_gates @ moved.weight_hh + t_pulled.d_rest[0]
    return (pulled, t_pulled), Both((d_h, *pulled.d_rest[1:]), (t_d_h, *t_pulled.d_rest[1:]))


def finish_backward_tangent(
    step: Step, moved: Step, steps: list[tuple[Pulled, Pulled]], now: list[Moment], t_now: list[Moment], wanted: bool
) -> tuple[Tensor | None, Tensor | None]:
    """d_x and its change, None unless wanted; adds the changes of the gradients of all steps, by one product each."""
    pulled, t_pulled = zip(*steps, strict=True)
    d_gates, t_d_gates = (torch.cat([each.d_gates for each in some]) for some in (pulled, t_pulled))
    d_a, t_d_a = (torch.cat([each.d_a for each in some]) for some in (pulled, t_pulled))
    weights = step.weights
    step.add(weights.weight_hh, weights.bias_hh, t_d_gates, torch.cat([each.h_before for each in now]))
    step.add(weights.weight_hh, None, d_gates, torch.cat([each.h_before for each in t_now]))
    step.add(weights.weight_ih, weights.bias_ih, t_d_a, torch.cat([each.x for each in now]))
    if t_now[0].x is not None:
        step.add(weights.weight_ih, None, d_a, torch.cat([each.x for each in t_now]))
    if not wanted:
        return None, None
    return d_a @ step.weight_ih, t_d_a @ step.weight_ih + d_a @ moved.weight_ih


def unroll_tangent(
    step: Step, moved: Step, steps: list[Moment], t_x: Tensor | None, t_state: State, reverse: bool
) -> tuple[Tensor, State, list[Moment]]:
    """The tangents of y and of the last state, and of what is kept of each step."""
    sizes = [len(now.h) for now in steps]
    t_a = inputs_tangent(step, moved, torch.cat([now.x for now in steps]), t_x).split(sizes)
    t_x_of = [None] * len(steps) if t_x is None else t_x.split(sizes)
    t_steps = list(steps)
    for t in in_order(len(steps), reverse):
        t_before = first_rows(t_state, sizes[t])
        t_after, t_steps[t] = step_tangent(step, moved, steps[t], t_x_of[t], t_a[t], t_before)
        t_state = with_the_others(t_after, t_state)
    return torch.cat([now.h for now in t_steps]), t_state, t_steps


def unroll_backward_tangent(
    step: Step,
    moved: Step,
    d_y: tuple[Tensor | None, Tensor | None],
    d_state: Both,
    steps: list[Moment],
    t_steps: list[Moment],
    reverse: bool,
    wanted: bool,
) -> tuple[tuple[Tensor | None, Tensor | None], Both]:
    """d_x and its change, None unless wanted, and the gradient of the state before the first step.

    d_y: with its change; both are None where y was not used
    """
    sizes = [len(now.h) for now in steps]
    d_y_of: list[Any] = [None] * len(sizes)
    if d_y[0] is not None and d_y[1] is not None:
        d_y_of = list(zip(d_y[0].split(sizes), d_y[1].split(sizes), strict=True))
    pulled: list[Any] = [None] * len(sizes)
    for t in reversed(in_order(len(sizes), reverse)):
        here = Both(*(first_rows(each, sizes[t]) for each in d_state))
        if d_y_of[t] is not None:
            here = Both(*((state[0] + d, *state[1:]) for state, d in zip(here, d_y_of[t], strict=True)))
        pulled[t], before = step_backward_tangent(step, moved, here, steps[t], t_steps[t])
        d_state = Both(*map(with_the_others, before, d_state))
    return finish_backward_tangent(step, moved, pulled, steps, t_steps, wanted), d_state
