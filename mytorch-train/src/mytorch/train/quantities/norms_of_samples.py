"""How large the gradients of single samples are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mytorch.core import GradientSeen, Module, Quantity

NAMES = ("sample_norm_min", "sample_norm_median", "sample_norm_max")


class SampleNorms(Quantity):
    """The smallest, median and largest norm of the gradients of single samples in an epoch.

    The norm is over all parameters. A bound to clip them to is commonly chosen near their median.

    Example:
        >>> import torch
        >>> from mytorch.nn import Linear, MSELoss
        >>> from mytorch.train.quantities import SampleNorms, watch_gradients
        >>> net, norms = Linear(2, 1), SampleNorms()
        >>> _ = watch_gradients(net, MSELoss(), torch.randn(5, 2), torch.randn(5, 1), [norms])
        >>> found = norms.results()
        >>> found["sample_norm_min"] <= found["sample_norm_median"] <= found["sample_norm_max"]
        True
    """

    per_sample = True

    def __init__(self) -> None:
        self._norms: list[Tensor] = []
        self._squares: list[Tensor] = []

    def begin(self, net: Module) -> None:  # noqa: ARG002
        self._squares = []

    def gradient(self, seen: GradientSeen) -> None:
        assert seen.samples is not None
        self._squares.append(seen.samples.squared_norms())

    def end(self, net: Module, rows: int) -> None:  # noqa: ARG002
        if self._squares:
            self._norms.append(torch.stack(self._squares).sum(0).sqrt())

    def names(self, net: Module) -> list[str]:  # noqa: ARG002
        return list(NAMES)

    def results(self) -> dict[str, float]:
        if not self._norms:
            return {}
        norms = torch.cat(self._norms)
        self._norms = []
        found = [norms.min(), norms.median(), norms.max()]
        return dict(zip(NAMES, (each.item() for each in found), strict=True))

    def state_dict(self) -> dict[str, Any]:
        return {"norms": torch.cat(self._norms)} if self._norms else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._norms = [state["norms"]] if state else []
