"""The kernel that stands for the loop of an LSTM in float32 on the CPU."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling

from mytorch.core import ShapeError
from mytorch.core.compiling import is_compiling, is_exporting
from mytorch.nn.recurrent._lstm_runs import run_backward, run_forward
from mytorch.nn.recurrent._unroll import State
from mytorch.nn.recurrent._weights import Weights


class KernelFlight(NamedTuple):
    """What the kernel keeps of one direction of one layer: (steps, batch, features) each but the workspace."""

    x: Tensor
    before: State
    y: Tensor
    last: State
    workspace: Tensor


def fits(x: Tensor, sizes: list[int], proj_size: int) -> bool:
    """Whether the kernel may stand for the loop: autograd, torch.compile and programs without Python have the loop."""
    return (
        not is_dynamo_compiling()
        and not is_exporting()
        and x.dtype is torch.float32
        and x.device.type == "cpu"
        and not proj_size
        and x.numel() > 0
        and sizes[0] == sizes[-1]
        and not x.requires_grad
        and torch.backends.mkldnn.is_available()
    )


def _values(weights: Weights, columns: int, size: int) -> list[Tensor]:
    """The four parameters as the kernel wants them. Raises ShapeError: it would read beyond what is too short."""
    rows, values = 4 * size, []
    shapes = (rows, columns), (rows, size), (rows,), (rows,)
    for name, parameter, shape in zip(Weights._fields, weights, shapes, strict=False):
        value = weights.weight_ih.value.new_zeros(shape) if parameter is None else parameter.value
        if value.shape != shape:
            raise ShapeError(f"LSTM: {name} must have the shape {shape}, got {tuple(value.shape)}")
        values.append(value.contiguous())
    return values


def forward(
    x: Tensor, sizes: list[int], state: State, weights: Weights, reverse: bool
) -> tuple[Tensor, State, KernelFlight]:
    """y, the last state, and what is kept, of one direction of one layer, as `unroll` gives them."""
    x = x.contiguous().view(len(sizes), sizes[0], x.shape[-1])  # the kernel ignores strides
    h, c = (each.contiguous() for each in state)
    hidden_size, has_bias = h.shape[-1], weights.bias_ih is not None
    run = _operator("lstm") if is_compiling() else run_forward
    y, h_n, c_n, workspace = run(x, *_values(weights, x.shape[2], hidden_size), h, c, reverse, has_bias)
    return y.view(-1, hidden_size), (h_n, c_n), KernelFlight(x, (h, c), y, (h_n, c_n), workspace)


def backward(
    d_y: Tensor | None, d_state: State, flight: KernelFlight, weights: Weights, reverse: bool
) -> tuple[Tensor, State]:
    """d_x and the gradient of the first state, as `unroll_backward` gives them."""
    x, (h, c), y, (h_n, c_n), workspace = flight
    hidden_size, has_bias = h.shape[-1], weights.bias_ih is not None
    d_y = torch.zeros_like(y) if d_y is None else d_y.reshape(y.shape).contiguous()
    d_h, d_c = (each.contiguous() for each in d_state)
    values = _values(weights, x.shape[2], hidden_size)
    run = _operator("lstm_backward") if is_compiling() else run_backward
    d_x, d_weight_ih, d_weight_hh, d_bias, d_h, d_c = run(
        x, *values, h, c, y, h_n, c_n, d_y, d_h, d_c, workspace, reverse, has_bias
    )
    weights.weight_ih.accumulate(d_weight_ih)
    weights.weight_hh.accumulate(d_weight_hh)
    if weights.bias_ih is not None and weights.bias_hh is not None:
        weights.bias_ih.accumulate(d_bias)
        weights.bias_hh.accumulate(d_bias.clone())
    return d_x.view(-1, x.shape[2]), (d_h, d_c)


def _operator(name: str) -> Any:
    """The same as an operator that a compiler takes as it is."""
    import_module("mytorch.nn.recurrent._lstm_operators")
    return getattr(torch.ops.mytorch_nn, name)
