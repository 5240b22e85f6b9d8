"""How private a training is, and how much of that it has spent."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Module, Quantity, require_range, require_seed
from mytorch.plugins import MissingRequirementError, shown

ORDERS = (*range(2, 64), *range(64, 257, 16), 512, 1024)
"""Of the Renyi divergences among which epsilon is the least. Whole ones have a closed sum, others may not converge."""


class Privacy(Quantity):
    """Differential privacy of a training with respect to its rows (DP-SGD), and an account of what it has spent.

    Step:      d = (sum over n of g_n * min(1, max_norm / |g_n|) + noise_multiplier * max_norm * z) / batch_size,
               with z standard normal, |g_n| over all parameters, and every row drawn with probability
               batch_size / rows, independently of the others; not divided if the loss is a sum
    Promise:   P[weights in S] <= exp(epsilon) * P'[weights in S] + delta for every set S, where P' is the same for
               data with any one row more or less
    Raises:    ArgumentError for a setting outside its range; MissingRequirementError if dp-accounting is not installed
    Source:    Abadi et al. 2016, "Deep Learning with Differential Privacy"; epsilon by Renyi differential privacy
               (Mironov, Talwar and Zhang 2019), as the library dp-accounting computes it

    max_norm: the bound of the norm of a row's gradient. Less of it is less noise, and gradients that are cut.
    noise_multiplier: the standard deviation of the noise, in multiples of max_norm; 0 promises nothing.
    delta: how likely the promise may fail; well below one divided by the number of rows.
    max_epsilon: a training that would spend more is refused before it begins; None for no bound.
    seed: decides rows and noise, so that a training can be repeated; whoever knows it can take the noise off again.
        None, by default, takes one of the system's random numbers.

    The history has `epsilon`, what was spent up to the end of each epoch. One object counts on from one training to
    the next, as an optimizer does; it goes with the weights.

    Example:
        >>> from mytorch.data import Disk
        >>> from mytorch.nn import CrossEntropyLoss, Linear
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import fit
        >>> net, privacy = Linear(2, 2), Privacy(max_norm=1.0, noise_multiplier=1.0, delta=1e-4)
        >>> optimizer = SGD(net.param(), lr=0.1)
        >>> training = fit(net, CrossEntropyLoss(), optimizer, Disk(1000), epochs=1, batch_size=50, privacy=privacy,
        ...                quiet=True)
        >>> round(training.history[0]["epsilon"], 2) == round(privacy.epsilon(), 2) > 0
        True
    """

    def __init__(
        self,
        max_norm: float,
        noise_multiplier: float,
        delta: float,
        max_epsilon: float | None = None,
        seed: int | None = None,
    ) -> None:
        for name, value in (("max_norm", max_norm), ("noise_multiplier", noise_multiplier), ("delta", delta)):
            require_range(self, name, value, 0.0)
        if max_norm == 0 or not 0 < delta < 1:
            raise ArgumentError(
                "Privacy: max_norm must be above 0 and delta between 0 and 1, without these, got "
                f"{shown(max_norm)} and {shown(delta)}"
            )
        if max_epsilon is not None:
            require_range(self, "max_epsilon", max_epsilon, 0.0)
        if seed is not None:
            require_seed(self, seed)
        self.max_norm, self.noise_multiplier, self.delta = max_norm, noise_multiplier, delta
        self.max_epsilon, self.seed = max_epsilon, seed
        self.steps: dict[tuple[float, float], int] = {}
        self._generator = torch.Generator().manual_seed(self.draw_seed(1))
        _accounting()

    def draw_seed(self, number: int) -> int:
        """What decides the draws of a generator: by the seed and its number, or without a seed by the system."""
        return secrets.randbelow(2**63) if self.seed is None else (self.seed + number) % 2**63

    def noise(self, like: Tensor) -> Tensor:
        """Standard normal numbers for a tensor."""
        return torch.randn(like.shape, generator=self._generator, dtype=like.dtype).to(like.device)

    def count(self, share: float) -> None:
        """Count a step whose rows were drawn with a probability."""
        kind = (share, self.noise_multiplier)
        self.steps[kind] = self.steps.get(kind, 0) + 1

    def epsilon(self, more: Mapping[float, int] | None = None) -> float:
        """What has been spent; with `more`, what would have been spent after so many further steps by share."""
        steps = dict(self.steps)
        for share, count in (more or {}).items():
            kind = (share, self.noise_multiplier)
            steps[kind] = steps.get(kind, 0) + count
        return self._epsilon(steps)

    def require_room(self, share: float, steps: int, per_epoch: int) -> None:
        """Raise ArgumentError if so many more steps would spend more than `max_epsilon`, with what would fit."""
        if self.max_epsilon is None or (found := self.epsilon({share: steps})) <= self.max_epsilon:
            return
        epochs = self._epochs_left(share, steps // per_epoch, per_epoch)
        fits = (
            f"train at most {epochs} more epoch{'s' * (epochs > 1)}" if epochs else "nothing is left for a whole epoch"
        )
        noise = self._enough_noise(share, steps)
        way_out = f"; {fits}, or begin anew with a noise_multiplier of at least {noise:.3g}"
        raise ArgumentError(
            f"privacy: {steps:,} steps must spend at most max_epsilon = {self.max_epsilon:g}, got an epsilon of "
            f"{found:.4g} with noise_multiplier = {self.noise_multiplier:g}{way_out}"
        )

    def _epochs_left(self, share: float, epochs: int, per_epoch: int) -> int:
        """The most epochs, fewer than so many, that fit."""
        assert self.max_epsilon is not None
        low, high = 0, epochs
        while high - low > 1:
            middle = (low + high) // 2
            fits = self.epsilon({share: middle * per_epoch}) <= self.max_epsilon
            low, high = (middle, high) if fits else (low, middle)
        return low

    def _enough_noise(self, share: float, steps: int) -> float:
        """A multiplier with which these steps alone would fit, to one per cent."""
        assert self.max_epsilon is not None
        low, high = self.noise_multiplier, max(2 * self.noise_multiplier, 1.0)
        while self._epsilon({(share, high): steps}) > self.max_epsilon and high < 1e6:
            low, high = high, 2 * high
        while high > 1.01 * low:
            middle = (low + high) / 2
            fits = self._epsilon({(share, middle): steps}) <= self.max_epsilon
            low, high = (low, middle) if fits else (middle, high)
        return high

    def _epsilon(self, steps: Mapping[tuple[float, float], int]) -> float:
        taken = {kind: count for kind, count in steps.items() if count}
        if any(noise == 0 for _, noise in taken):
            return float("inf")
        if not taken:
            return 0.0
        accounting = _accounting()
        accountant = accounting.rdp.RdpAccountant(ORDERS)
        for (share, noise), count in taken.items():
            event = accounting.dp_event.GaussianDpEvent(noise)
            accountant.compose(accounting.dp_event.PoissonSampledDpEvent(share, event), count)
        return float(accountant.get_epsilon(self.delta))

    def names(self, net: Module) -> list[str]:  # noqa: ARG002
        return ["epsilon"]

    def results(self) -> dict[str, float]:
        return {"epsilon": self.epsilon()}

    def state_dict(self) -> dict[str, Any]:
        steps = [[share, noise, count] for (share, noise), count in self.steps.items()]
        return {"steps": steps, "generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.steps = {(float(share), float(noise)): int(count) for share, noise, count in state["steps"]}
        self._generator.set_state(state["generator"])

    def __repr__(self) -> str:
        settings = {name: getattr(self, name) for name in ("max_norm", "noise_multiplier", "delta", "max_epsilon")}
        return f"Privacy({', '.join(f'{name}={value!r}' for name, value in settings.items())})"


def _accounting() -> Any:
    """dp-accounting, an extra, which takes longer to import than torch."""
    try:
        import_module("dp_accounting.rdp")
        return import_module("dp_accounting")
    except ImportError as error:
        raise MissingRequirementError(
            "Privacy: dp-accounting is not installed. Install: python -m pip install './mytorch-train[privacy]'"
        ) from error
