"""Numbers that are drawn together, as a matrix."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mytorch.core import require_floating, require_range
from mytorch.nn.init._values import Filled, Generator, values_of


def orthogonal_(tensor: Filled, gain: float = 1.0, generator: Generator = None) -> Filled:
    """Draw a matrix with orthogonal rows, or columns if there are fewer, each of length gain; uniform among all.

    With more than two axes, those behind the first are taken as one. Numbers of half precision are computed in
    float32.
    Raises ShapeError if there are fewer than two axes; DtypeError for whole numbers; ArgumentError if gain is none.
    Source: Saxe et al. 2013, "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks";
        Mezzadri 2006, "How to generate random matrices from the classical compact groups", for the signs
    """
    require_range("orthogonal_", "gain", gain)
    values = values_of("orthogonal_", tensor, at_least=2)
    require_floating("orthogonal_", values, "tensor")
    if not values.numel() or values.is_meta:
        return tensor
    rows, columns = values.shape[0], values.numel() // values.shape[0]
    drawn = torch.empty(rows, columns, dtype=values.dtype, device=values.device).normal_(generator=generator)
    exact = drawn.float() if values.dtype in (torch.float16, torch.bfloat16) else drawn
    _write(values, gain * _orthogonal(exact))
    return tensor


def sparse_(tensor: Filled, sparsity: float, std: float = 0.01, generator: Generator = None) -> Filled:
    """Draw each number of a matrix from N(0, std^2), and set a share of each column, `sparsity`, to 0.

    Raises ShapeError unless it is a matrix; ArgumentError if sparsity is not between 0 and 1, or std below 0.
    Source: Martens 2010, "Deep learning via Hessian-free optimization"
    """
    require_range("sparse_", "sparsity", sparsity, 0, 1)
    require_range("sparse_", "std", std, 0)
    values = values_of("sparse_", tensor, axes=(2,))
    if values.is_meta:
        return tensor
    rows, columns = values.shape
    drawn = torch.empty_like(values).normal_(0, std, generator=generator)
    for column in range(columns):
        drawn[torch.randperm(rows, generator=generator)[: math.ceil(sparsity * rows)], column] = 0
    _write(values, drawn)
    return tensor


def _orthogonal(drawn: Tensor) -> Tensor:
    """The orthogonal factor of a matrix, with the signs that make it uniform."""
    wide = drawn.shape[0] < drawn.shape[1]
    q, r = torch.linalg.qr(drawn.T if wide else drawn)
    signed: Tensor = q * r.diagonal().sign()
    return signed.T if wide else signed


def _write(values: Tensor, drawn: Tensor) -> None:
    with torch.no_grad():
        values.copy_(drawn.reshape(values.shape))
