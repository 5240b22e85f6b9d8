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


def step_tangent(step: Step, moved: Step, now: Moment, t_x: Tensor | None, t_before: State) -> tuple[State, Moment]:
    """How the state after a step changes, and what the step keeps."""
    t_a = moved.inputs(now.x)
    if t_x is not None:
        t_a = t_a + linear(t_x, step.weight_ih)
    t_b = linear(t_before[0], step.weight_hh) + linear(now.h_before, moved.weight_hh)
    t_after, t_kept = step.tangent(t_a, t_b, t_before, now, moved)
    return t_after, Moment(t_x, t_before[0], t_after[0], t_kept)


def step_backward_tangent(step: Step, moved: Step, d_state: Both, now: Moment, t_now: Moment) -> tuple[Both, Both]:
    """d_a and the gradient of the state before, each with its change; adds the change of the weights' gradients."""
    (d_gates, d_a, rest), (t_d_gates, t_d_a, t_rest) = step.backward_tangent(*d_state, now, t_now, moved)
    weights = step.weights
    step.add(weights.weight_hh, weights.bias_hh, t_d_gates, now.h_before)
    step.add(weights.weight_hh, None, d_gates, t_now.h_before)
    step.add(weights.weight_ih, weights.bias_ih, t_d_a, now.x)
    if t_now.x is not None:
        step.add(weights.weight_ih, None, d_a, t_now.x)
    d_h, t_d_h = d_gates @ step.weight_hh, t_d_gates @ step.weight_hh + d_gates @ moved.weight_hh
    before = Both((d_h + rest[0], *rest[1:]), (t_d_h + t_rest[0], *t_rest[1:]))
    return Both((d_a,), (t_d_a,)), before


def input_gradient(step: Step, moved: Step, d_a: Both) -> tuple[Tensor, Tensor]:
    """d_x and its change."""
    (d,), (t_d,) = d_a
    return d @ step.weight_ih, t_d @ step.weight_ih + d @ moved.weight_ih


def unroll_tangent(
    step: Step, moved: Step, steps: list[Moment], t_x: Tensor | None, t_state: State, reverse: bool
) -> tuple[Tensor, State, list[Moment]]:
    """The tangents of y and of the last state, and of what is kept of each step."""
    t_x_of = [None] * len(steps) if t_x is None else t_x.split([len(now.h) for now in steps])
    t_steps = list(steps)
    for t in in_order(len(steps), reverse):
        t_before = first_rows(t_state, len(steps[t].h))
        t_after, t_steps[t] = step_tangent(step, moved, steps[t], t_x_of[t], t_before)
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
) -> tuple[tuple[Tensor, Tensor], Both]:
    """d_x and its change, and the gradient of the state before the first step.

    d_y: with its change; both are None where y was not used
    """
    sizes = [len(now.h) for now in steps]
    d_y_of: list[Any] = [None] * len(sizes)
    if d_y[0] is not None and d_y[1] is not None:
        d_y_of = list(zip(d_y[0].split(sizes), d_y[1].split(sizes), strict=True))
    d_x = list[tuple[Tensor, Tensor]]()
    for t in reversed(in_order(len(sizes), reverse)):
        here = Both(*(first_rows(each, sizes[t]) for each in d_state))
        if d_y_of[t] is not None:
            here = Both(*((state[0] + d, *state[1:]) for state, d in zip(here, d_y_of[t], strict=True)))
        d_a, before = step_backward_tangent(step, moved, here, steps[t], t_steps[t])
        d_x.append(input_gradient(step, moved, d_a))
        d_state = Both(*map(with_the_others, before, d_state))
    d_x = d_x if reverse else d_x[::-1]
    return (torch.cat([d for d, _ in d_x]), torch.cat([t_d for _, t_d in d_x])), d_state
