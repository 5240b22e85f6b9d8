"""SparseAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from torch import Tensor

from mytorch.optim._blocks import Elementwise
from mytorch.optim._formula import begun, rate
from mytorch.optim.checks import require_at_least_0, require_betas, require_flags, require_real


class SparseAdam(Elementwise):
    """Adam that leaves elements whose gradient is exactly 0 as they are, with their m and v, as for embeddings.

    Step:      g = d_p                               (-d_p with maximize); where g is not 0:
               m = beta1 * m + (1 - beta1) * g
               v = beta2 * v + (1 - beta2) * g^2
               p = p - lr * sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + eps)
               at the t-th step of p, whether or not an element moved in those before; m and v start at 0
    Settings:  lr may be a tensor of one number; betas = (beta1, beta2)
    State:     step (t), exp_avg (m), exp_avg_sq (v), as torch names them
    Gradients: dense, as the layers here compute them; torch.optim.SparseAdam does the same with d_p.to_sparse(). In a
               row of a sparse gradient torch takes elements that are 0 too
    Raises:    ArgumentError for a setting outside its range and for complex parameters
    Source:    Kingma and Ba 2015, "Adam: a method for stochastic optimization", with the mask of
               torch.optim.SparseAdam

    Example:
        optimizer = SparseAdam(net.param(), lr=0.001)
        optimizer.step()
        optimizer.zero_grad()
    """

    state_entries: ClassVar = {"step": "number", "exp_avg": "value", "exp_avg_sq": "value"}

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})

    def check_settings(self, group: dict[str, Any]) -> None:
        require_at_least_0(self, group, "lr", "eps")
        require_betas(self, group["betas"])
        require_flags(self, group, "maximize")
        require_real(self, group["params"])

    def state_dict(self) -> dict[str, Any]:
        """As Optimizer's, with the count of steps as an int, which torch's SparseAdam computes with in float64."""
        state = super().state_dict()
        for held in state["state"].values():
            held["step"] = int(held["step"])
        return state

    def update(
        self, values: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: dict[str, Any]
    ) -> None:
        lr, (beta1, beta2), eps = rate(group), group["betas"], group["eps"]
        for t, p, g, m, v in begun(values, grads, states, group, {"exp_avg": 0.0, "exp_avg_sq": 0.0}):
            absent = g == 0
            m.add_(((g - m) * (1 - beta1)).masked_fill_(absent, 0))
            v.add_(((g * g - v) * (1 - beta2)).masked_fill_(absent, 0))
            step_size = lr * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
            p.sub_((step_size * (m / (v.sqrt() + eps))).masked_fill_(absent, 0))
