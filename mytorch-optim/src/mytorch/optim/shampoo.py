"""Shampoo."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Optimizer, Parameter, StateError, persistent
from mytorch.optim._formula import Number, descend, next_steps, rate
from mytorch.optim.checks import require_at_least_0, require_count, require_flags, require_real, require_setting

AXES = 8
"""How many axes a parameter may have; a convolution of three dimensions has five."""
LONGEST = 2048
"""The length of an axis up to which it has matrices, whose root takes seconds at this length."""


class Shampoo(Optimizer):
    """SGD with momentum, with the gradient preconditioned along each axis by the gradients of all steps so far.

    Step:      g = d_p + weight_decay * p             (-d_p with maximize)
               H_i = H_i + g_i @ transpose(g_i)       g_i: g with its axis i in front, as a matrix; for every axis i
               u = g times H_i^(-1 / (2 * axes))      along every axis i
               b = momentum * b + u
               p = p - lr * b
               roots are computed every root_every steps; H_i starts at eps * I, b at 0; a number counts as one axis;
               for an axis of more than 2,048 entries, only the diagonal of H_i is kept
    Settings:  lr may be a tensor of one number
    State:     step, momentum_buffer (b), statistics_i (H_i) and root_i for each axis i
    Memory:    two square matrices for each axis of up to 2,048 entries, two vectors for a longer one
    Raises:    ArgumentError for a setting outside its range, and for parameters that are complex or have more than
               eight axes; StateError for the state of parameters of other shapes
    Source:    Gupta, Koren and Singer 2018, "Shampoo: preconditioned stochastic tensor optimization", algorithm 2, and
               its diagonal variant for long axes

    Example:
        optimizer = Shampoo(net.param(), lr=0.1, momentum=0.9)
        optimizer.step()
        optimizer.zero_grad()
    """

    state_entries: ClassVar = {
        "step": "number",
        "momentum_buffer": "value",
        **{f"{name}_{axis}": "other" for axis in range(AXES) for name in ("statistics", "root")},
    }

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 0.1,
        momentum: float = 0,
        eps: float = 1e-4,
        weight_decay: float = 0,
        root_every: int = 1,
        *,
        maximize: bool = False,
    ) -> None:
        settings = {"lr": lr, "momentum": momentum, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, {**settings, "root_every": root_every, "maximize": maximize})

    def check_settings(self, group: dict[str, Any]) -> None:
        require_at_least_0(self, group, "lr", "momentum", "weight_decay")
        require_setting(self, "eps", group["eps"], 1e-12)
        require_count(self, "root_every", group["root_every"])
        require_flags(self, group, "maximize")
        require_real(self, group["params"])
        for parameter in group["params"]:
            self._require_axes(parameter)

    def _require_axes(self, parameter: Parameter) -> None:
        if parameter.value.dim() > AXES:
            raise ArgumentError(
                f"Shampoo: params must have at most {AXES} axes, got one of shape {tuple(parameter.value.shape)}"
            )

    def update(
        self, values: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: dict[str, Any]
    ) -> None:
        lr, momentum = rate(group), group["momentum"]
        counts = next_steps(states, values)
        for t, p, g, state in zip(counts, values, grads, states, strict=True):
            g = -g if group["maximize"] else g
            if group["weight_decay"] != 0:
                g = g + group["weight_decay"] * p
            u = _preconditioned(t, g if g.dim() else g.reshape(1), state, group).reshape(p.shape)
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = persistent(torch.zeros_like(p))
            descend(p, lr, state["momentum_buffer"].mul_(momentum).add_(u))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As Optimizer's. Raises StateError, with nothing changed, for matrices of other sizes too."""
        _, states = self._loadable(state)
        for parameter, held in states.items():
            sizes = tuple(parameter.value.shape) or (1,)
            for name, entry in held.items():
                stem, _, axis = name.rpartition("_")
                if stem in ("statistics", "root"):
                    _require_matrix(name, entry, sizes, int(axis))
        super().load_state_dict(state)


def _preconditioned(t: Number, g: Tensor, state: dict[str, Any], group: Mapping[str, Any]) -> Tensor:
    """The gradient times the root along every axis, with the statistics that it adds to; t: the number of the step."""
    new = (t - 1) % group["root_every"] == 0
    u = g
    for axis, size in enumerate(g.shape):
        matrix = g.movedim(axis, 0).flatten(1) if g.dim() > 1 else g.unsqueeze(1)
        whole = size <= LONGEST
        one = torch.eye(size, dtype=g.dtype, device=g.device) if whole else g.new_ones(size)
        added = matrix @ matrix.mT if whole else matrix.square().sum(1)
        statistics = _held(state, f"statistics_{axis}", group["eps"] * one).add_(added)
        root = _held(state, f"root_{axis}", one)
        if isinstance(new, Tensor):  # where a step is traced, or runs on another device
            root.copy_(torch.where(new, _root(statistics, 2 * g.dim()), root))
        elif new:
            root.copy_(_root(statistics, 2 * g.dim()))
        if whole:  # either way, the next axis comes in front
            u = torch.tensordot(u, root, ([0], [0]))
        else:
            u = (u * root.reshape(-1, *(1,) * (u.dim() - 1))).movedim(0, -1)
    return u


def _held(state: dict[str, Any], name: str, start: Tensor) -> Tensor:
    """An entry that is a matrix, in the dtype and on the device of `start`, which it is at first."""
    held: Tensor = state.get(name, start)
    if name not in state or held.dtype is not start.dtype or held.device != start.device:
        held = state[name] = persistent(held.to(start))
    return held


def _root(matrix: Tensor, order: int) -> Tensor:
    """matrix^(-1 / order) of a symmetric one with positive eigenvalues, computed in float64; of a vector, a diagonal.

    NaN of one that is not finite, which no decomposition takes: then the loss of the next step tells of it.
    """
    if matrix.dim() == 1:
        return matrix.double().pow(-1 / order).to(matrix.dtype)
    finite = matrix.isfinite().all()
    eye = torch.eye(len(matrix), dtype=torch.float64, device=matrix.device)
    values, vectors = torch.linalg.eigh(matrix.double().where(finite, eye))
    least = values[-1:] * 1e-14  # below which eigenvalues are rounding
    roots = values.maximum(least).pow(-1 / order)
    return torch.matmul(vectors * roots, vectors.mT).where(finite, math.nan).to(matrix.dtype)


def _require_matrix(name: str, entry: Any, sizes: Sequence[int], axis: int) -> None:
    size = sizes[axis] if axis < len(sizes) else None
    shape = None if size is None else (size, size) if size <= LONGEST else (size,)
    if not isinstance(entry, Tensor) or tuple(entry.shape) != shape:
        got = f"a tensor of {tuple(entry.shape)}" if isinstance(entry, Tensor) else repr(entry)
        wanted = f"be a {'matrix' if len(shape) == 2 else 'vector'} of {shape}" if shape else "be left out"
        raise StateError(f"Shampoo: state {name!r} of a parameter of {tuple(sizes)} must {wanted}, got {got}")
