"""Gradients in half precision for values in float32."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, DtypeError, Module, Optimizer
from mytorch.plugins import nearest, shown
from mytorch.train.gradients import gradients
from mytorch.train.mean_loss import Weight
from mytorch.train.mixed_precision.casting import computing_in
from mytorch.train.mixed_precision.loss_scale import LossScale
from mytorch.train.observe import Method, intercept

PRECISIONS = {"bfloat16-mixed": torch.bfloat16, "float16-mixed": torch.float16}
"""The dtype in which layers compute, by the name of a precision."""


class MixedPrecision:
    """How a step computes gradients: layers in half precision, the loss and the update in float32.

    Values, gradients as the optimizer sees them, and its state are float32. In float16, whose range is small, the loss
    is scaled, as `LossScale` says; gradients are clipped after that is taken out.

    name: "bfloat16-mixed" or "float16-mixed".
    """

    def __init__(self, name: str) -> None:
        self.name, self.dtype = name, PRECISIONS[name]
        self.loss_scale = LossScale() if self.dtype is torch.float16 else None

    def gradients(
        self, net: Module, loss: Module, inputs: Any, targets: Any, *, weighted: bool = False
    ) -> tuple[Tensor, Weight]:
        """As `mytorch.train.gradients`; of a loss that is scaled, gradients are so, too, until `finish`.

        Raises DtypeError for values that are not float32.
        """
        for name, parameter in net.named_param():
            if parameter.value.dtype is not torch.float32:
                raise DtypeError(f"{self.name}: parameters must be float32, got {parameter.value.dtype} in {name!r}")
        with computing_in(net, self.dtype), self._scaled(loss):
            return gradients(net, loss, inputs, targets, weighted=weighted)

    def finish(self, optimizer: Optimizer) -> bool:
        """Make the gradients those of the loss. False if there is to be no update, since they are not finite."""
        return self.loss_scale is None or self.loss_scale.take_out(optimizer)

    @contextmanager
    def _scaled(self, loss: Module) -> Iterator[None]:
        if self.loss_scale is None:
            yield
            return
        scale = self.loss_scale.scale

        def around(_path: str, _module: Module, name: str, method: Method) -> Method:
            return method if name == "forward" else lambda d_value, saved: method(d_value * scale, saved)

        with intercept([("", loss)], around):
            yield

    def state_dict(self) -> dict[str, Any]:
        """What changes from step to step: the scale of the loss, if there is one."""
        return {} if self.loss_scale is None else self.loss_scale.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        if self.loss_scale is not None:
            self.loss_scale.load_state_dict(state)

    def __repr__(self) -> str:
        return self.name


def make_precision(name: str | None) -> MixedPrecision | None:
    """The precision of a name; None for None. Raises ArgumentError for another name."""
    if name is None:
        return None
    if not isinstance(name, str) or name not in PRECISIONS:
        raise ArgumentError(
            f"precision: must be one of {', '.join(PRECISIONS)}, or left out, got {shown(name)}. "
            f"{nearest(str(name), PRECISIONS)}"
        )
    return MixedPrecision(name)
