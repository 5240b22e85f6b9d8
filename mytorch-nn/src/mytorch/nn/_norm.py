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


def p_norm_tangent(t_u: Tensor, u: Tensor, length: Tensor, p: float) -> Tensor:
    """t_length = sum of d_u * t_u over the last axis, with d_u that of a d_length of 1."""
    return (p_norm_backward(torch.ones_like(length), u, length, p) * t_u).sum(-1)


def p_norm_bend(d_length: Tensor, t_u: Tensor, u: Tensor, length: Tensor, p: float) -> Tensor:
    """How the d_u of `p_norm_backward` changes as u moves along t_u, 0 where u or length is 0 and d_u has a corner.

    t_d_u = d_length * (p - 1) * |u / length|^(p - 2) * (t_u - t_length * u / length) / length
    """
    if p in (0, 1) or math.isinf(p):
        return torch.zeros_like(u)
    t_length = p_norm_tangent(t_u, u, length, p).unsqueeze(-1)
    finite = length.where(length != 0, torch.inf).unsqueeze(-1)
    bend = (t_u - t_length * (u / finite)) / finite * (d_length.unsqueeze(-1) * (p - 1))
    if p == 2:
        return bend
    return (bend * (u.abs() / finite).pow(p - 2)).where(u != 0, 0)
