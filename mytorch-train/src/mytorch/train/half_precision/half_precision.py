"""Training steps whose gradients are computed in half precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Buffer, DtypeError, Module, Optimizer
from mytorch.plugins import nearest, shown
from mytorch.train.clip_gradients import Norm
from mytorch.train.gradients import gradients
from mytorch.train.half_precision.casting import computing_in, convert
from mytorch.train.half_precision.loss_scale import LossScale
from mytorch.train.mean_loss import Weight
from mytorch.train.observe import Method, intercept

MIXED = "-mixed"
PRECISIONS = {"bfloat16-mixed": torch.bfloat16, "float16-mixed": torch.float16, "bfloat16": torch.bfloat16}
"""The dtype in which layers compute, by the name of a precision."""


class HalfPrecision:
    """How a step computes gradients: layers in half precision, the loss in float32.

    With a mixed precision, values, gradients as the optimizer sees them, and its state are float32, and layers compute
    on copies. With "bfloat16", values are bfloat16 while batches are trained on, and so are gradients and state;
    between that, the net has the same numbers in float32. In float16, whose range is small, the loss is scaled, as
    `LossScale` says; gradients are clipped after that is taken out.

    name: one of PRECISIONS.
    """

    def __init__(self, name: str) -> None:
        self.name, self.dtype = name, PRECISIONS[name]
        self.mixed = name.endswith(MIXED)
        self.loss_scale = LossScale() if self.dtype is torch.float16 else None

    @contextmanager
    def storing(self, net: Module) -> Iterator[None]:
        """Within this context, `net` has its values as steps need them; after it, the same numbers in float32.

        Raises DtypeError for parameters that are not float32.
        """
        self._require_float32(net)
        if self.mixed:
            yield
            return
        convert(net, self.dtype)
        try:
            yield
        finally:
            convert(net, torch.float32)

    @contextmanager
    def widened(self, net: Module) -> Iterator[None]:
        """Within this context, which lies in that of `storing`, `net` has its values in float32."""
        if self.mixed:
            yield
            return
        convert(net, torch.float32)
        try:
            yield
        finally:
            convert(net, self.dtype)

    def gradients(
        self, net: Module, loss: Module, inputs: Any, targets: Any, *, weighted: bool = False
    ) -> tuple[Tensor, Weight]:
        """As `mytorch.train.gradients`; of a loss that is scaled, gradients are so, too, until `update`."""
        with self.computing(net, loss):
            return gradients(net, loss, inputs, targets, weighted=weighted)

    @contextmanager
    def computing(self, net: Module, loss: Module, apart: bool = False) -> Iterator[None]:
        """Within this context, `net` computes in half precision, and what the loss sends back is scaled.

        apart: whether layers within `net` may be called by themselves.
        Raises DtypeError for parameters that are not float32, if the precision is mixed.
        """
        if self.mixed:
            self._require_float32(net)
        with computing_in(net, self.dtype, self.mixed, apart), self._scaled(loss):
            yield

    def update(self, optimizer: Optimizer, take: Callable[[], None], norm: Norm | None = None) -> None:
        """Make the gradients those of the loss and call `take`, which updates, unless they are not finite in float16.

        norm: of the gradients, where other processes have some of them.
        Raises NotFiniteError where no scale makes them finite.
        """
        if self.loss_scale is None:
            take()
        else:
            self.loss_scale.update(optimizer, take, norm)

    def require_range(self) -> None:
        """Raise NotFiniteError if no scale of the loss made the gradients finite."""
        if self.loss_scale is not None:
            self.loss_scale.require_range()

    @property
    def has_updated(self) -> bool:
        """Whether the update of the last step was not left out."""
        return self.loss_scale is None or self.loss_scale.has_updated

    @property
    def held(self) -> dict[str, Buffer]:
        """What a step changes of it."""
        return {} if self.loss_scale is None else self.loss_scale.held

    def _require_float32(self, net: Module) -> None:
        for name, parameter in net.named_param():
            if parameter.value.dtype is not torch.float32:
                raise DtypeError(f"{self.name}: parameters must be float32, got {parameter.value.dtype} in {name!r}")

    @contextmanager
    def _scaled(self, loss: Module) -> Iterator[None]:
        if self.loss_scale is None:
            yield
            return
        scale = self.loss_scale.factor

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


def make_precision(name: str | None) -> HalfPrecision | None:
    """The precision of a name; None for None. Raises ArgumentError for another name."""
    if name is None:
        return None
    if not isinstance(name, str) or name not in PRECISIONS:
        raise ArgumentError(
            f"precision: must be one of {', '.join(PRECISIONS)}, or left out, got {shown(name)}. "
            f"{nearest(str(name), PRECISIONS)}"
        )
    return HalfPrecision(name)
