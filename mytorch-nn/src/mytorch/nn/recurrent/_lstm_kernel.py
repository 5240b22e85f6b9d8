"""The kernel that stands for the loop of an LSTM in float32 on the CPU."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.compiler import is_compiling

from mytorch.nn.recurrent._unroll import State
from mytorch.nn.recurrent._weights import Weights

aten = torch.ops.aten
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


def _values(weights: Weights) -> list[Tensor]:
    """The four parameters as the kernel wants them."""
    weight_ih, weight_hh = weights.weight_ih.value.contiguous(), weights.weight_hh.value.contiguous()
    if weights.bias_ih is None or weights.bias_hh is None:
        bias = weight_ih.new_zeros(weight_ih.shape[0])
        return [weight_ih, weight_hh, bias, bias]
    return [weight_ih, weight_hh, weights.bias_ih.value.contiguous(), weights.bias_hh.value.contiguous()]


def forward(
    x: Tensor, sizes: list[int], state: State, weights: Weights, reverse: bool
) -> tuple[Tensor, State, KernelFlight]:
    """y, the last state, and what is kept, of one direction of one layer, as `unroll` gives them."""
    x = x.contiguous().view(len(sizes), sizes[0], -1)  # the kernel ignores strides
    h, c = (each.contiguous() for each in state)
    hidden_size, has_bias = h.shape[-1], weights.bias_ih is not None
    with torch.enable_grad():  # which records nothing here, but without it the kernel returns no workspace
        y, h_n, c_n, workspace = aten.mkldnn_rnn_layer(
            x, *_values(weights), h, c, reverse, [], MODE, hidden_size, 1, has_bias, False, False, True
        )
    return y.flatten(0, 1), (h_n, c_n), KernelFlight(x, (h, c), y, (h_n, c_n), workspace)


def backward(
    d_y: Tensor | None, d_state: State, flight: KernelFlight, weights: Weights, reverse: bool
) -> tuple[Tensor, State]:
    """d_x and the gradient of the first state, as `unroll_backward` gives them."""
    x, (h, c), y, (h_n, c_n), workspace = flight
    hidden_size, has_bias = h.shape[-1], weights.bias_ih is not None
    d_y = torch.zeros_like(y) if d_y is None else d_y.reshape(y.shape).contiguous()
    d_h, d_c = (each.contiguous() for each in d_state)
    d_x, d_weight_ih, d_weight_hh, d_bias, _, d_h, d_c = aten.mkldnn_rnn_layer_backward(
        x, *_values(weights), h, c, y, h_n, c_n, d_y, d_h, d_c,
        reverse, MODE, hidden_size, 1, has_bias, True, False, [], False, workspace,
    )  # fmt: skip
    weights.weight_ih.accumulate(d_weight_ih)
    weights.weight_hh.accumulate(d_weight_hh)
    if weights.bias_ih is not None and weights.bias_hh is not None:
        weights.bias_ih.accumulate(d_bias)
        weights.bias_hh.accumulate(d_bias.clone())
    return d_x.flatten(0, 1), (d_h, d_c)
