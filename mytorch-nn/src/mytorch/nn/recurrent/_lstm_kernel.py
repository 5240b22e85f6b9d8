"""The kernel that stands for the loop of an LSTM in float32 on the CPU."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.compiler import is_compiling

from mytorch.core import ShapeError
from mytorch.nn.recurrent._unroll import State
from mytorch.nn.recurrent._weights import Weights

_lstm = torch.ops.aten.mkldnn_rnn_layer.default
_lstm_backward = torch.ops.aten.mkldnn_rnn_layer_backward.default
MODE = 2  # that of an LSTM


class KernelFlight(NamedTuple):
    """What the kernel keeps of one direction of one layer: (steps, batch, features) each but the workspace."""

    x: Tensor
    before: State
    y: Tensor
    last: State
    workspace: Tensor


def fits(x: Tensor, sizes: list[int], proj_size: int) -> bool:
    """Whether the kernel may stand for the loop. AOTInductor cannot take it; the loop is for autograd, too."""
    return (
        not is_compiling()
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
    x = x.contiguous().view(len(sizes), sizes[0], -1)  # the kernel ignores strides
    h, c = (each.contiguous() for each in state)
    hidden_size, has_bias = h.shape[-1], weights.bias_ih is not None
    with torch.enable_grad():  # which records nothing here, but without it the kernel returns no workspace
        y, h_n, c_n, workspace = _lstm(
            x,
            *_values(weights, x.shape[2], hidden_size),
            h,
            c,
            reverse,
            [],
            MODE,
            hidden_size,
            1,
            has_bias,
            False,
            False,
            True,
        )
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
    d_x, d_weight_ih, d_weight_hh, d_bias, _, d_h, d_c = _lstm_backward(
        x, *values, h, c, y, h_n, c_n, d_y, d_h, d_c,
        reverse, MODE, hidden_size, 1, has_bias, True, False, [], False, workspace,
    )  # fmt: skip
    weights.weight_ih.accumulate(d_weight_ih)
    weights.weight_hh.accumulate(d_weight_hh)
    if weights.bias_ih is not None and weights.bias_hh is not None:
        weights.bias_ih.accumulate(d_bias)
        weights.bias_hh.accumulate(d_bias.clone())
    return d_x.view(-1, x.shape[2]), (d_h, d_c)
