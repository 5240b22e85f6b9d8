"""K-FAC."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import (
    KroneckerFactors,
    Module,
    Optimizer,
    Parameter,
    Quantity,
    SampleGradients,
    StateError,
    factor_shapes,
    kronecker,
    persistent,
)
from mytorch.optim._formula import descend, rate
from mytorch.optim.checks import require_at_least_0, require_count, require_real, require_setting

FACTORS = ("inputs", "outputs")
INVERSES = ("inputs_inverse", "outputs_inverse")
LARGEST = 8192
"""Rows that a factor may have; above, it would take gigabytes, and its inverse minutes."""


class KFAC(Optimizer):
    """Natural gradient descent, with two small matrices for each layer that stand for its part of the Fisher matrix.

    Shown:     A = mean over samples of the outer products of the layer's inputs, G = sum of those of the gradients at
               its outputs for a drawn target each, as `mytorch.core.kronecker` has them; or, where a parameter has no
               such factors, as an embedding, or one of them would have more than 8,192 rows, as those of a
               vocabulary's scores, D = sum over samples of the squares of these gradients
               A, G, D = e * A, G, D + (1 - e) * those of this batch,  e = min(1 - 1 / k, decay) at the k-th time
    Step:      g = d_p + weight_decay * p
               u = inverse(G + sqrt(damping) / s * I) g inverse(A + s * sqrt(damping) * I)
               s = sqrt((trace(A) / rows_A) / (trace(G) / rows_G)), 1 where one of them is 0
               u = g / (D + damping)                   where it has no factors
               u = g                                   where nothing has been shown
               c = min(1, sqrt(kl_clip / (lr^2 * sum of u * g over all parameters of the group)))
               b = momentum * b + c * u
               p = p - lr * b
               A and G have rows_A and rows_G rows; inverses are computed every inverse_every steps, in float64;
               b starts at 0
    Bound:     c limits the change of the distribution that the net predicts (its Kullback-Leibler divergence) to about
               kl_clip / 2 in a step without momentum: its mean over the samples, or its sum for a loss that sums
    Backward:  in each step, `fit` runs a second forward and backward, with targets drawn from the distribution that
               the net predicts, and shows it to `quantities()`; if a loop of your own does not do so, each step is
               that of SGD with momentum
    Settings:  lr may be a tensor of one number; biases have separate factors, with A = 1
    State:     shown (k), steps, momentum_buffer (b), inputs (A), outputs (G), inputs_inverse, outputs_inverse,
               diagonal (D)
    Raises:    ArgumentError for a setting outside its range and for complex parameters; StateError for the state of
               parameters of other sizes
    Source:    Martens and Grosse 2015, "Optimizing neural networks with Kronecker-factored approximate curvature",
               sections 3, 5 and 6.3, with plain momentum; c: Ba, Grosse and Martens 2017, "Distributed second-order
               optimization using Kronecker-factored approximations", section 5

    Example:
        from mytorch.train import fit

        fit(net, loss, KFAC(net.param(), lr=0.1), data, epochs=5)
    """

    mixes_parameters: ClassVar = True
    state_entries: ClassVar = {
        "shown": "number",
        "steps": "number",
        "momentum_buffer": "value",
        "diagonal": "value",
        **dict.fromkeys((*FACTORS, *INVERSES), "other"),
    }

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 0.1,
        momentum: float = 0.9,
        damping: float = 1e-2,
        decay: float = 0.95,
        kl_clip: float = 1e-3,
        inverse_every: int = 1,
        weight_decay: float = 0,
    ) -> None:
        settings = {"lr": lr, "momentum": momentum, "damping": damping, "decay": decay}
        settings["kl_clip"] = kl_clip
        super().__init__(params, {**settings, "inverse_every": inverse_every, "weight_decay": weight_decay})

    def check_settings(self, group: dict[str, Any]) -> None:
        require_at_least_0(self, group, "lr", "momentum", "weight_decay")
        for name in ("damping", "kl_clip"):
            require_setting(self, name, group[name], 1e-12)
        require_setting(self, "decay", group["decay"], 0.0, 1.0)
        require_count(self, "inverse_every", group["inverse_every"])
        require_real(self, group["params"])

    def quantities(self) -> Sequence[Quantity]:
        return [CurvatureOfParameters(self)]

    def update(
        self, values: list[Tensor], grads: list[Tensor], states: list[dict[str, Any]], group: dict[str, Any]
    ) -> None:
        lr = rate(group)
        if group["weight_decay"] != 0:
            grads = [g + group["weight_decay"] * p for p, g in zip(values, grads, strict=True)]
        steps = [_preconditioned(g, state, group) for g, state in zip(grads, states, strict=True)]
        products = [(u * g).sum().double() for u, g in zip(steps, grads, strict=True)]
        change = torch.stack([product.to(products[0].device) for product in products]).sum() * lr**2
        share = (group["kl_clip"] / change.clamp(min=0)).sqrt().clamp(max=1.0)
        for p, u, state in zip(values, steps, states, strict=True):
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = persistent(torch.zeros_like(p))
            b = state["momentum_buffer"].mul_(group["momentum"]).add_(u * share.to(u))
            descend(p, lr, b)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As Optimizer's. Raises StateError, with nothing changed, for factors of another size too."""
        _, states = self._loadable(state)
        for parameter, held in states.items():
            for pair in (FACTORS, INVERSES):
                _require_factors(parameter, [held[name] for name in pair if name in held])
        super().load_state_dict(state)


class CurvatureOfParameters(Quantity):
    """Keeps the averages of the factors of each parameter in the state of its optimizer."""

    drawn = True

    def __init__(self, optimizer: KFAC) -> None:
        self.optimizer = optimizer
        self.decays: dict[Parameter, float] = {}

    def begin(self, net: Module) -> None:  # noqa: ARG002
        groups = self.optimizer.param_groups
        self.decays = {parameter: float(group["decay"]) for group in groups for parameter in group["params"]}

    def curvature(self, name: str, parameter: Parameter, samples: SampleGradients) -> None:  # noqa: ARG002
        if parameter not in self.decays:
            return
        made = _factors(samples)
        parts = {"diagonal": samples.sum_of_squares()} if made is None else made._asdict()
        state = self.optimizer.state[parameter]
        times = int(state.get("shown", 0)) + 1
        keep = min(1 - 1 / times, self.decays[parameter])
        for entry, part in parts.items():
            part = part.to(torch.promote_types(part.dtype, torch.float32))  # bfloat16 would round away what is added
            state[entry] = persistent(
                part if times == 1 else state[entry].to(part).mul(keep).add(part, alpha=1 - keep)
            )
        state["shown"] = times


def _factors(samples: SampleGradients) -> KroneckerFactors | None:
    """The factors of a parameter, where it has some that are not too large."""
    rows = [shape[-1] for shape in factor_shapes(samples)]
    return None if max(rows, default=0) > LARGEST else kronecker(samples)


def _preconditioned(g: Tensor, state: dict[str, Any], group: Mapping[str, Any]) -> Tensor:
    """The gradient times the inverse of what stands for the Fisher matrix."""
    damping: float = group["damping"]
    if "diagonal" in state:
        diagonal: Tensor = state["diagonal"]
        return (g / (diagonal.to(g.device) + damping)).to(g)
    if "inputs" not in state:
        return g
    steps = int(state.get("steps", 0))
    state["steps"] = steps + 1
    if steps % group["inverse_every"] == 0 or INVERSES[0] not in state:
        for name, inverse in zip(INVERSES, _inverses(state["inputs"], state["outputs"], damping), strict=True):
            state[name] = persistent(inverse.contiguous())  # as it comes from a file, which decides the last bit
    dtype = torch.promote_types(g.dtype, torch.float32)
    of_inputs, of_outputs = (state[name].to(g.device, dtype) for name in INVERSES)
    matrices = g.to(dtype).reshape(*of_outputs.shape[:-1], of_inputs.shape[-1])
    return torch.matmul(of_outputs @ matrices, of_inputs).reshape(g.shape).to(g)


def _inverses(inputs: Tensor, outputs: Tensor, damping: float) -> tuple[Tensor, Tensor]:
    """The inverses of both factors, each with its part of the damping."""
    of_inputs, of_outputs = (each.diagonal(dim1=-2, dim2=-1).mean(-1)[..., None, None] for each in (inputs, outputs))
    known = (of_inputs > 0) & (of_outputs > 0)
    scale = (of_inputs / of_outputs).sqrt().where(known, 1.0)
    root = damping**0.5
    return _inverse(inputs, scale * root), _inverse(outputs, root / scale)


def _inverse(matrix: Tensor, damping: Tensor) -> Tensor:
    """In float64, since the damping may be far below the largest numbers; not finite where the matrix is not."""
    eye = torch.eye(matrix.shape[-1], dtype=torch.float64, device=matrix.device)
    inverse: Tensor = torch.linalg.inv_ex(matrix.double() + damping.double() * eye).inverse
    return inverse.to(matrix.dtype)


def _require_factors(parameter: Parameter, factors: Sequence[Any]) -> None:
    """Raise StateError unless they are two, of matrices whose sizes multiply to that of the parameter, or none."""
    if not factors:
        return
    square = [each for each in factors if isinstance(each, Tensor) and each.dim() in (2, 3)]
    square = [each for each in square if each.shape[-1] == each.shape[-2]]
    size = square[0].shape[:-1].numel() * square[1].shape[-1] if len(square) == 2 else -1
    if size != parameter.value.numel():
        got = [tuple(each.shape) if isinstance(each, Tensor) else type(each).__name__ for each in factors]
        raise StateError(
            f"KFAC: state must have two square factors that fit a parameter of {tuple(parameter.value.shape)}, "
            f"got {got}"
        )
