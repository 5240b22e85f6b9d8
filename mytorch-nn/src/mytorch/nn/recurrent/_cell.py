"""What the recurrent cells share: one step, taken once."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import (
    Directions,
    Module,
    SampleGradients,
    ShapeError,
    kind_of,
    require_device,
    require_dimensions,
    require_flag,
    require_floating_dtype,
    require_last_axis,
    require_like,
    require_saved,
    require_upstream,
    require_whole,
)
from mytorch.nn.recurrent._samples import Rows
from mytorch.nn.recurrent._state import initial_state, require_own, tangent_state, told, upstream_state
from mytorch.nn.recurrent._tangents import (
    Both,
    finish_backward_tangent,
    inputs_tangent,
    moved_weights,
    step_backward_tangent,
    step_tangent,
)
from mytorch.nn.recurrent._unroll import Moment, State, Step
from mytorch.nn.recurrent._weights import Weights, draw

Saved = tuple[str, Tensor, Tensor, Tensor, State, bool, bool]


class Cell(Module):
    """A step with its parameters. States of several rows or of one alone, without the axis of the batch."""

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"input_size": 3, "hidden_size": 4},
        "inputs": [(5, 3), (5, 4)],
        "tags": ("fixed_dimensions",),
    }
    kind: ClassVar[type[Step]]

    def _build(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        require_whole(self, "input_size", input_size, 1)
        require_whole(self, "hidden_size", hidden_size, 1)
        require_flag(self, "bias", bias)
        require_device(self, device)
        require_floating_dtype(self, dtype)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        weights = Weights.empty(self, self.kind.gates * hidden_size, input_size, hidden_size, bias, 0, device, dtype)
        self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh, _ = weights
        self._own = told(self)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights from torch's generator, or from the one given."""
        draw(self, self.hidden_size, generator)

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Any, Saved]:  # noqa: A002 - torch's name
        require_dimensions(self, input, 1, 2, name="input")
        require_last_axis(self, input, self.input_size, "input")
        require_like(self, input, self.weight_ih.value, "input")
        before = initial_state(self, hx, self._shapes(input), input)
        alone = input.dim() == 1
        x = input.unsqueeze(0) if alone else input
        if alone:
            before = tuple(each.unsqueeze(0) for each in before)
        step = self._step(self._weights())
        after, kept = step.forward(step.inputs(x), before)
        state = tuple(each.squeeze(0) for each in after) if alone else after
        return state if len(state) > 1 else state[0], (self._own, x, before[0], after[0], kept, alone, hx is not None)

    def backward(self, d_output: Any, saved: Saved, step: Step | None = None) -> Any:
        require_saved(self, saved, str, Tensor, Tensor, Tensor, tuple, bool, bool)
        own, x, h_before, h, kept, alone, was_passed = saved
        require_own(self, self._own, own)
        require_like(self, x, self.weight_ih.value, "the saved input")
        step = self._step(self._weights()) if step is None else step
        d_state = self._upstream(d_output, x[0] if alone else x)
        if alone:
            d_state = tuple(each.unsqueeze(0) for each in d_state)
        gradients, factors = step.slopes(h, kept)
        del saved, kept  # here and below, what is not needed any more is let go
        d_after = step.backward(d_state, gradients, factors)
        d_before = step.before(d_after, gradients, factors) if was_passed else ()
        del d_after, factors
        step.accumulate_hidden(h_before, gradients[0])
        d_a = step.finish(gradients)
        del gradients
        step.accumulate_inputs(x, d_a)
        d_input = d_a.mm(step.weight_ih) if self.input_grad else None
        if alone:
            d_input = None if d_input is None else d_input.squeeze(0)
            d_before = tuple(each.squeeze(0) for each in d_before)
        if not was_passed:
            return d_input
        return d_input, d_before if len(d_before) > 1 else d_before[0]

    def tangent(self, t_input: Any, saved: Saved, along: Directions) -> tuple[Any, Moment]:
        _, x, h_before, h, kept, alone, was_passed = saved
        t_x, t_hx = t_input if was_passed and t_input is not None else (t_input, None)
        t_before = tangent_state(t_hx, self._shapes(x[0] if alone else x), x)
        if alone:
            t_x = None if t_x is None else t_x.unsqueeze(0)
            t_before = tuple(each.unsqueeze(0) for each in t_before)
        step, moved = self._steps(along)
        t_a = inputs_tangent(step, moved, x, t_x)
        t_after, t_now = step_tangent(step, moved, Moment(x, h_before, h, kept), t_x, t_a, t_before)
        t_state = tuple(each.squeeze(0) for each in t_after) if alone else t_after
        return t_state if len(t_state) > 1 else t_state[0], t_now

    def backward_tangent(
        self, d_output: Any, t_d_output: Any, saved: Saved, t_now: Moment, along: Directions
    ) -> tuple[Any, Any]:
        _, x, h_before, h, kept, alone, was_passed = saved
        (step, moved), row = self._steps(along), x[0] if alone else x
        d_state = Both(self._upstream(d_output, row), self._upstream(t_d_output, row))
        if alone:
            d_state = Both(*(tuple(each.unsqueeze(0) for each in state) for state in d_state))
        now = Moment(x, h_before, h, kept)
        pulled, before = step_backward_tangent(step, moved, d_state, now, t_now)
        of_x = finish_backward_tangent(step, moved, [pulled], [now], [t_now], self.input_grad)
        found: list[Any] = []
        for d_x, state in zip(of_x, before, strict=True):
            d_input = d_x.squeeze(0) if alone and d_x is not None else d_x
            d_before = tuple(each.squeeze(0) for each in state) if alone else state
            d_hx = d_before if len(d_before) > 1 else d_before[0]
            found.append((d_input, d_hx) if was_passed else d_input)
        return found[0], found[1]

    def sample_gradients(self, d_output: Any, saved: Saved, axis: int) -> dict[str, SampleGradients]:  # noqa: ARG002
        weights, batch = self._weights(), len(saved[1])
        step, rows = self._step(weights), Rows(batch, [[batch]])
        step.add = rows.add  # type: ignore[method-assign]
        Cell.backward(self, d_output, saved, step)  # and not what watches the backward of this one
        return dict(rows.stated(weights._asdict()))

    def _upstream(self, d_output: Any, x: Tensor) -> State:
        shapes = self._shapes(x)
        if len(shapes) == 1:
            require_upstream(self, d_output, shapes[0], "d_h")
        elif not isinstance(d_output, tuple | list):
            raise ShapeError(
                f"{type(self).__name__}: d_output must be a tuple of two, (d_h, d_c), with None for what was not "
                f"used, got {kind_of(d_output)}"
            )
        return upstream_state(self, d_output, ("d_h", "d_c")[: len(shapes)], shapes, x)

    def _shapes(self, x: Tensor) -> list[tuple[int, ...]]:
        return [(*x.shape[:-1], self.hidden_size)] * len(self.kind.states)

    def _weights(self) -> Weights:
        return Weights(self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)

    def _step(self, weights: Weights) -> Step:
        return self.kind(weights)

    def _steps(self, along: Directions) -> tuple[Step, Step]:
        """The step with the weights, and with how they move."""
        weights = self._weights()
        return self._step(weights), self._step(moved_weights(weights, along))
