"""How much the gradients of single samples differ, and which batch size that suggests."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mytorch.core import GradientSeen, Module, Quantity

NAMES = ("gradient_variance", "gradient_snr", "noise_scale")


class GradientNoise(Quantity):
    """The variance of the gradients of single samples, their signal-to-noise ratio, and the gradient noise scale.

    With the gradients g_n of the samples of a batch of B, and their mean G:

        gradient_variance = sum over n of |g_n - G|^2 / (B - 1): the trace of their covariance
        gradient_snr = (|G|^2 - gradient_variance / B) / gradient_variance: the noise in |G|^2 itself is taken off
        noise_scale = 1 / gradient_snr, in samples

    each from means of numerator and denominator over the steps of the epoch. Batches much smaller than the noise scale
    are mostly noise; of much larger ones each further sample adds little, so that it advises a batch size. It is
    infinite where no signal is left above the noise, as near a minimum.

    by_parameter: the same of each parameter alone, as `noise_scale/NAME` and so on.
    Needs no gradient of a sample but its norm. Steps of a single sample count for nothing. In float32, a spread below
    about 0.3 % of the mean gradient is lost in rounding.
    Source: McCandlish et al. 2018, "An empirical model of large-batch training", appendix A

    Example:
        >>> import torch
        >>> from mytorch.nn import Linear, MSELoss
        >>> from mytorch.train.quantities import GradientNoise, watch_gradients
        >>> net, noise = Linear(2, 1), GradientNoise()
        >>> x = torch.randn(64, 2)
        >>> _ = watch_gradients(net, MSELoss(), x, x.sum(1, keepdim=True) + torch.randn(64, 1), [noise])
        >>> sorted(noise.results())
        ['gradient_snr', 'gradient_variance', 'noise_scale']
    """

    per_sample = True

    def __init__(self, by_parameter: bool = False) -> None:
        self.by_parameter = by_parameter
        self._sums: dict[str, Tensor] = {}
        self._steps = 0
        self._seen: dict[str, tuple[Tensor, Tensor]] = {}

    def begin(self, net: Module) -> None:  # noqa: ARG002
        self._seen = {}

    def gradient(self, seen: GradientSeen) -> None:
        assert seen.samples is not None
        self._seen[seen.name] = seen.samples.squared_norms().sum().double(), seen.mean.square().sum().double()

    def end(self, net: Module, rows: int) -> None:  # noqa: ARG002
        if rows < 2 or not self._seen:
            return
        self._steps += 1
        total = tuple(torch.stack(parts).sum() for parts in zip(*self._seen.values(), strict=True))
        for name, (squares, of_mean) in {"": total, **(self._seen if self.by_parameter else {})}.items():
            variance = ((squares - rows * of_mean) / (rows - 1)).clamp(min=0)  # below 0 by rounding alone
            pair = torch.stack([variance, of_mean - variance / rows])
            self._sums[name] = self._sums[name] + pair if name in self._sums else pair

    def names(self, net: Module) -> list[str]:
        of = ["", *(f"/{name}" for name, one in net.named_param() if one.trainable and self.by_parameter)]
        return [name + place for place in of for name in NAMES]

    def results(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, sums in self._sums.items():
            variance, signal = (sums / self._steps).tolist()
            place = f"/{name}" if name else ""
            snr = signal / variance if variance > 0 else math.inf if signal > 0 else 0.0
            scale = 0.0 if variance <= 0 else variance / signal if signal > 0 else math.inf
            found |= dict(zip((each + place for each in NAMES), (variance, snr, scale), strict=True))
        self._sums, self._steps = {}, 0
        return found

    def state_dict(self) -> dict[str, Any]:
        return {"sums": dict(self._sums), "steps": self._steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._sums, self._steps = dict(state["sums"]), state["steps"]
