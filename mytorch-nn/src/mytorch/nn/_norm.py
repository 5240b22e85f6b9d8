"""The p-norm of vectors, and its derivative."""

import math

import torch
from torch import Tensor


def p_norm(u: Tensor, p: float) -> Tensor:
    """length = (sum of |u[i]|^p)^(1 / p) over the last axis; for p = inf the largest |u[i]|, for p = 0 their number.

    Numbers that are 0 do not count for p = 0.
    """
    length: Tensor = torch.linalg.vector_norm(u, p, dim=-1)
    return length


def p_norm_backward(d_length: Tensor, u: Tensor, length: Tensor, p: float) -> Tensor:
    """d_u = d_length * sign(u) * (|u| / length)^(p - 1), 0 where u or length is 0.

    For p = inf the largest |u[i]| share d_length equally; for p = 0 the length does not follow u.
    """
    d_length, length = d_length.unsqueeze(-1), length.unsqueeze(-1)
    if p == 0:
        return torch.zeros_like(u)
    if math.isinf(p):
        reached = u.abs() == length
        return u.sign().mul_(reached).mul_(d_length / reached.sum(-1, keepdim=True))
    if p == 1:
        return u.sign().mul_(d_length)
    finite = length.where(length != 0, torch.inf)
    if p == 2:
        return (u / finite).mul_(d_length)
    slope = (u.abs() / finite).pow_(p - 1).mul_(u.sign())
    return (slope if p >= 1 else slope.where(u != 0, 0)).mul_(d_length)
