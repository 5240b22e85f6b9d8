"""Muon."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Optimizer, persistent
from mytorch.optim._formula import descend, lerp_, rate, weight_of_lerp
from mytorch.optim.checks import require_at_least_0, require_count, require_flags, require_real, require_setting
from mytorch.plugins import shown

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the polynomial that brings singular values near 1 in five rounds, from Jordan's page."""


class Muon(Optimizer):
    """Momentum whose matrix is made nearly orthogonal, for the weight matrices of hidden layers and nothing else.

    Step:      b = momentum * b + (1 - momentum) * d_p
               u = (1 - momentum) * d_p + momentum * b    with nesterov, else u = b
               x = u / max(|u|, eps), transposed if it has more rows than columns, in bfloat16
               x = a x + (b2 A + c A A) x with A = x x^T  ns_steps times; (a, b2, c) = ns_coefficients
               p = p - lr * weight_decay * p
               p = p - lr * s * x
               s = sqrt(max(1, rows / columns)) for "original", 0.2 * sqrt(max(rows, columns)) for "match_rms_adamw";
               b starts at 0, |u| is the root of the sum of squares
    Settings:  lr may be a tensor of one number; adjust_lr_fn None is "original"
    State:     momentum_buffer (b), as torch names it
    Raises:    ArgumentError for a setting outside its range and for parameters that are no real matrices
    Source:    Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; Liu et al. 2025, "Muon is
               scalable for LLM training", for "match_rms_adamw"

    Example:
        optimizer = Muon([net[0].weight], lr=0.02)
        optimizer.step()
        optimizer.zero_grad()
    """

    state_entries: ClassVar = {"momentum_buffer": "value"}
    conformance: ClassVar = {"shapes": ((3, 4), (4, 2), (1, 3), (2, 2))}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = COEFFICIENTS,
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: Literal["original", "match_rms_adamw"] | None = None,
    ) -> None:
        settings = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov, "eps": eps}
        rounds = {"ns_coefficients": ns_coefficients, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn}
        super().__init__(params, {**settings, **rounds})

    def check_settings(self, group: dict[str, Any]) -> None:
        require_at_least_0(self, group, "lr", "weight_decay", "momentum", "eps")
        require_flags(self, group, "nesterov")
        require_count(self, "ns_steps", group["ns_steps"])
        if group["ns_steps"] >= 100:
            raise ArgumentError(f"Muon: ns_steps must be below 100, got {group['ns_steps']}")
        coefficients = group["ns_coefficients"]
        if not isinstance(coefficients, (tuple, list)) or len(coefficients) != 3:
            raise ArgumentError(f"Muon: ns_coefficients must be three numbers, got {shown(coefficients)}")
        for place, number in enumerate(coefficients):
            require_setting(self, f"ns_coefficients[{place}]", number)
        if group["adjust_lr_fn"] not in (None, "original", "match_rms_adamw"):
            raise ArgumentError(
                f"Muon: adjust_lr_fn must be None, 'original' or 'match_rms_adamw', got {shown(group['adjust_lr_fn'])}"
            )
        require_real(self, group["params"])
        for parameter in group["params"]:
            if parameter.value.dim() != 2:
                raise ArgumentError(
                    f"Muon: params must be matrices, got one of shape {tuple(parameter.value.shape)}; give biases, "
                    "norms and embeddings to an optimizer such as AdamW"
                )

    def update(
        self, values: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: dict[str, Any]
    ) -> None:
        lr, momentum = rate(group), group["momentum"]
        for p, g, state in zip(values, grads, states, strict=True):
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = persistent(torch.zeros_like(g))
            b = lerp_(state["momentum_buffer"], g, 1 - momentum)
            u = g.lerp(b, weight_of_lerp(momentum, g)) if group["nesterov"] else b
            x = orthogonal(u, group["ns_coefficients"], group["ns_steps"], group["eps"])
            p.mul_(1 - lr * group["weight_decay"])
            descend(p, lr * _scale(p, group["adjust_lr_fn"]), x.to(p.dtype))


def orthogonal(u: Tensor, coefficients: Sequence[float], rounds: int, eps: float) -> Tensor:
    """A matrix with the singular vectors of `u` (rows, columns) and singular values between about 0.7 and 1.2.

    It is computed in bfloat16, by the Newton-Schulz iteration of Jordan et al.
    """
    a, b, c = coefficients
    wide = u.shape[0] <= u.shape[1]
    x = u.bfloat16() if wide else u.bfloat16().T
    x = x / x.norm().clamp(min=eps)
    for _ in range(rounds):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x if wide else x.T


def _scale(p: Tensor, way: str | None) -> float:
    rows, columns = p.shape
    if way == "match_rms_adamw":
        return float(0.2 * max(rows, columns) ** 0.5)
    return float(max(1, rows / max(columns, 1)) ** 0.5)
