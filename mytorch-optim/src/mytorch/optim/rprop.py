"""Resilient backpropagation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import ArgumentError
from mytorch.optim._blocks import Elementwise
from mytorch.optim._formula import begun, rate
from mytorch.optim.checks import require_at_least_0, require_flags, require_pair_of_numbers


class Rprop(Elementwise):
    """Steps by the signs of the gradients alone, for whole sets of data and not for batches of them.

    Step:      g = d_p                               (-d_p with maximize), and for each element:
               where g * prev > 0: s = min(s * eta_plus, s_max)
               where g * prev < 0: s = max(s * eta_minus, s_min), and g = 0
               p = p - s * sign(g)
               prev = g
               s starts at lr, prev at 0
    Settings:  lr is only what s starts at, so no schedule changes anything; it may be a tensor of one number.
               etas = (eta_minus, eta_plus), step_sizes = (s_min, s_max)
    State:     step, prev, step_size (s), as torch names them
    Raises:    ArgumentError for a setting outside its range
    Source:    Riedmiller and Braun 1993, "A direct adaptive method for faster backpropagation learning: the RPROP
               algorithm", in the form without weight backtracking, iRprop-, of Igel and Huesken 2000, "Improving the
               Rprop learning algorithm"

    Example:
        optimizer = Rprop(net.param(), lr=0.01)
        optimizer.step()
        optimizer.zero_grad()
    """

    conformance: ClassVar = {"tags": ("keeps_lr",)}
    state_entries: ClassVar = {"step": "number", "prev": "value", "step_size": "value"}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "etas": etas, "step_sizes": step_sizes, "maximize": maximize})

    def check_settings(self, group: dict[str, Any]) -> None:
        require_at_least_0(self, group, "lr")
        etas, sizes = group["etas"], group["step_sizes"]
        minus, plus = require_pair_of_numbers(self, "etas", etas)
        if not 0 < minus < 1 < plus:
            raise ArgumentError(f"Rprop: etas must be one between 0 and 1 and one above 1, got {etas}")
        low, high = require_pair_of_numbers(self, "step_sizes", sizes)
        if not 0 <= low <= high:
            raise ArgumentError(f"Rprop: step_sizes must be at least 0 and increase, got {sizes}")
        require_flags(self, group, "maximize")

    def update(
        self, values: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: dict[str, Any]
    ) -> None:
        (eta_minus, eta_plus), (s_min, s_max) = group["etas"], group["step_sizes"]
        entries = {"prev": 0.0, "step_size": rate(group)}
        for _, p, g, prev, s in begun(values, grads, states, group, entries):
            sign = (g * prev).sign_()
            turned = sign < 0
            s.mul_(torch.ones_like(s).masked_fill_(sign > 0, eta_plus).masked_fill_(turned, eta_minus))
            s.clamp_(s_min, s_max)
            g = g.masked_fill(turned, 0)
            p.addcmul_(g.sign(), s, value=-1)
            prev.copy_(g)
