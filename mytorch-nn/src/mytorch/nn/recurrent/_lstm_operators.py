"""The kernel of an LSTM as two operators, which importing this makes known to torch.

A compiler takes them as they are. torch's own two do not get through AOTInductor, which turns gradients off, so that
the forward keeps nothing for the backward, and has no way to call the backward.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mytorch.nn.recurrent._lstm_runs import run_backward, run_forward

LIBRARY = torch.library.Library("mytorch_nn", "DEF")
WEIGHTS = "Tensor x, Tensor weight_ih, Tensor weight_hh, Tensor bias_ih, Tensor bias_hh, Tensor h, Tensor c"
GRADIENTS = "Tensor y, Tensor h_n, Tensor c_n, Tensor d_y, Tensor d_h, Tensor d_c, Tensor workspace"
FLAGS = "bool reverse, bool has_bias"


def forward(x: Tensor, *given: Any) -> tuple[Tensor, ...]:
    """As `run_forward`, also without rows: a compiled forward pass takes any number, and the kernel at least one."""
    return run_forward(x, *given) if x.shape[1] else shapes(x, *given)


def shapes(x: Tensor, *given: Any) -> tuple[Tensor, ...]:
    h, c = given[4:6]
    y = x.new_empty(*x.shape[:2], h.shape[1])
    return y, h.new_empty(h.shape), c.new_empty(c.shape), x.new_empty(0, dtype=torch.uint8)


def backward_shapes(x: Tensor, *given: Any) -> tuple[Tensor, ...]:
    weight_ih, weight_hh, bias_ih, _, h, c = given[:6]
    return tuple(like.new_empty(like.shape) for like in (x, weight_ih, weight_hh, bias_ih, h, c))


for _name, _given, _count, _run, _fake in (
    ("lstm", WEIGHTS, 4, forward, shapes),
    ("lstm_backward", f"{WEIGHTS}, {GRADIENTS}", 6, run_backward, backward_shapes),
):
    LIBRARY.define(f"{_name}({_given}, {FLAGS}) -> ({', '.join(['Tensor'] * _count)})")
    LIBRARY.impl(_name, _run, "CPU")
    torch.library.register_fake(f"mytorch_nn::{_name}", _fake, lib=LIBRARY)
