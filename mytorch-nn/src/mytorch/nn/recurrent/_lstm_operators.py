"""The kernel of an LSTM as two operators, which importing this makes known to torch.

A compiler takes them as they are. torch's own two do not get through AOTInductor, which turns gradients off, so that
the forward keeps nothing for the backward, and has no way to call the backward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ShapeError
from mytorch.nn.recurrent._lstm_runs import run_backward, run_forward

LIBRARY = torch.library.Library("mytorch_nn", "DEF")
WEIGHTS = "Tensor x, Tensor weight_ih, Tensor weight_hh, Tensor bias_ih, Tensor bias_hh, Tensor h, Tensor c"
GRADIENTS = "Tensor y, Tensor h_n, Tensor c_n, Tensor d_y, Tensor d_h, Tensor d_c, Tensor workspace"
FLAGS = "bool reverse, bool has_bias"


def forward(x: Tensor, *given: Any) -> tuple[Tensor, ...]:
    """As `run_forward`, also without rows: a compiled forward pass takes any number, and the kernel at least one."""
    _require_fitting(x, *given[:6])
    return run_forward(x, *given) if x.shape[1] else shapes(x, *given)


def backward(x: Tensor, *given: Any) -> tuple[Tensor, ...]:
    """As `run_backward`."""
    h = given[4]
    _require_fitting(x, *given[:6])
    states = ((*x.shape[:2], h.shape[1]), h.shape, h.shape)
    _require("the backward of an LSTM", [one.shape for one in given[6:12]], [*states, *states])
    return run_backward(x, *given)


def _require_fitting(x: Tensor, *given: Tensor) -> None:
    """Raise ShapeError unless parameters and states fit x: the kernel reads and writes beyond what is too short."""
    h = given[4]
    if x.dim() != 3 or not x.shape[0] or h.dim() != 2:
        raise ShapeError(f"LSTM: x must be (steps, rows, columns) of a step or more, got {tuple(x.shape)}")
    (_, rows, columns), size = x.shape, h.shape[1]
    wanted = [(4 * size, columns), (4 * size, size), (4 * size,), (4 * size,), (rows, size), (rows, size)]
    _require("an LSTM", [one.shape for one in given], wanted)


def _require(what: str, found: Sequence[Sequence[int]], wanted: Sequence[Sequence[int]]) -> None:
    if list(map(tuple, found)) != list(map(tuple, wanted)):
        raise ShapeError(f"LSTM: tensors of {what} must have the shapes {wanted}, got {list(map(tuple, found))}")


def shapes(x: Tensor, *given: Any) -> tuple[Tensor, ...]:
    h, c = given[4:6]
    y = x.new_empty(*x.shape[:2], h.shape[1])
    return y, h.new_empty(h.shape), c.new_empty(c.shape), x.new_empty(0, dtype=torch.uint8)


def backward_shapes(x: Tensor, *given: Any) -> tuple[Tensor, ...]:
    weight_ih, weight_hh, bias_ih, _, h, c = given[:6]
    return tuple(like.new_empty(like.shape) for like in (x, weight_ih, weight_hh, bias_ih, h, c))


for _name, _given, _count, _run, _fake in (
    ("lstm", WEIGHTS, 4, forward, shapes),
    ("lstm_backward", f"{WEIGHTS}, {GRADIENTS}", 6, backward, backward_shapes),
):
    LIBRARY.define(f"{_name}({_given}, {FLAGS}) -> ({', '.join(['Tensor'] * _count)})")
    LIBRARY.impl(_name, _run, "CPU")
    torch.library.register_fake(f"mytorch_nn::{_name}", _fake, lib=LIBRARY)
