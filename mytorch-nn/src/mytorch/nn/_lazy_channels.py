"""What lazy layers share that take their number of channels from the first input, in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from mytorch.core import (
    LazyModule,
    ShapeError,
    UninitializedBuffer,
    UninitializedParameter,
    require_device,
    require_dtype,
    require_floating,
    require_input,
)
from mytorch.nn._spatial import Spatial

Place = tuple[torch.device | str | None, torch.dtype | None]


class LazyChannels(LazyModule):
    """The base of such layers. A subclass says which layer it becomes, and what that calls its channels."""

    becomes: ClassVar[type[Spatial]]
    channels: ClassVar[str]
    conformance: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "becomes" in vars(cls):
            cls.conformance = {name: said for name, said in cls.becomes.conformance.items() if name != "arguments"}

    def _set_lazy(self, place: Place, least: int, parameters: Mapping[str, bool], buffers: Mapping[str, bool]) -> None:
        """Hold those that there are to be. Raises what the layer to come does for its other arguments.

        least: a number of channels with which it can be built.
        """
        self.becomes(**self.arguments() | {self.channels: least, "device": "meta"})
        device, dtype = place
        require_device(self, device)
        for name, there in parameters.items():
            setattr(self, name, UninitializedParameter(device, dtype) if there else None)
        for name, there in buffers.items():
            kind = torch.int64 if name == "num_batches_tracked" else dtype
            setattr(self, name, UninitializedBuffer(device, kind) if there else None)

    def sizes_of_input(self, x: Tensor, **options: Any) -> dict[str, Any]:  # noqa: ARG002
        require_input(self, x)
        allowed, axis = self._axes()
        if x.dim() not in allowed:
            rule = " or ".join(map(str, allowed))
            raise ShapeError(f"{type(self).__name__}: x must have {rule} axes, got {x.dim()} in {tuple(x.shape)}")
        kinds = (UninitializedParameter, UninitializedBuffer)
        lazy = [held for _, held in self.named_state() if isinstance(held, kinds)]
        if lazy:
            require_dtype(self, x, lazy[0].dtype)
        else:
            require_floating(self, x)
        return {self.channels: x.shape[axis]}

    def _axes(self) -> tuple[tuple[int, ...], int]:
        """How many axes x may have, and which one is that of the channels."""
        count = self.becomes.dimensions
        return (count + 1, count + 2), -count - 1
