"""Calls of torch's kernel of an LSTM, one direction of one layer each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_lstm: Any = torch.mkldnn_rnn_layer  # whose stub lacks arguments
_lstm_backward = torch.ops.aten.mkldnn_rnn_layer_backward.default
MODE = 2  # that of an LSTM


def run_forward(x: Tensor, *given: Any) -> tuple[Tensor, ...]:
    """y, h_n, c_n and the workspace, from x, the four parameters, h, c, reverse and has_bias."""
    *values, reverse, has_bias = given
    with torch.enable_grad():  # which records nothing here, but without it the kernel returns no workspace
        found: tuple[Tensor, ...] = _lstm(
            x, *values, reverse, [], MODE, values[-1].shape[-1], 1, has_bias, False, False, True
        )
    return found


def run_backward(x: Tensor, *given: Any) -> tuple[Tensor, ...]:
    """The gradients of x, weight_ih, weight_hh, a bias, h and c."""
    *values, workspace, reverse, has_bias = given
    size = values[4].shape[-1]
    d_x, d_weight_ih, d_weight_hh, d_bias, _, d_h, d_c = _lstm_backward(
        x, *values, reverse, MODE, size, 1, has_bias, True, False, [], False, workspace
    )
    return d_x, d_weight_ih, d_weight_hh, d_bias, d_h, d_c
