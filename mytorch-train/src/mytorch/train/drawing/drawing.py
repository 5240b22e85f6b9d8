"""A network as a page draws it, again and again while it is trained."""

from __future__ import annotations

import base64
from typing import Any

from torch import Tensor

from mytorch.core import Module, random_state
from mytorch.train.device import device_of, move
from mytorch.train.drawing.calls import calls_of
from mytorch.train.drawing.columns import columns_of, description, inputs_of, maps, weights


class Drawing:
    """What some inputs are to each layer of a network, in evaluation mode.

    inputs: one row, as a batch; or the points of a square plane, line by line, (points, 2).
    plane: the names of its two axes if it is a plane.
    """

    def __init__(self, net: Module, inputs: Any, plane: tuple[str, ...] = ()) -> None:
        self._net, self._inputs, self._plane = net, move(inputs, device_of(net)), plane
        with random_state():
            calls = calls_of(net, self._inputs)
        self.columns = columns_of(calls, bool(plane))
        self._asked = {path for column in self.columns for path in column.looks}
        self._first, self._picture = inputs_of(inputs, bool(plane))

    def told(self) -> dict[str, Any]:
        """What stays while the network is trained: its columns, and the inputs as the one before them."""
        columns = [description(column) for column in self.columns]
        return {"inputs": {**self._first, "names": list(self._plane)}, "columns": columns}

    def tensors(self) -> dict[str, Tensor]:
        """What the network is now: "map.N" and "looks.N" of column N as `maps` says, "weight.N" and "filter.N" as
        `weights` does, and "map.inputs" of one row.
        """
        with random_state():
            calls = calls_of(self._net, self._inputs, self._asked)
        return {**self._picture, **maps(self.columns, calls), **weights(self.columns)}

    def page(self) -> dict[str, Any]:
        """Both, as JSON holds them: of each tensor its shape, "u8" or "f32" for its dtype, and its bytes in base64."""
        return {**self.told(), "tensors": {name: _packed(tensor) for name, tensor in self.tensors().items()}}


def _packed(tensor: Tensor) -> dict[str, Any]:
    dtype = "f32" if tensor.is_floating_point() else "u8"
    data = base64.b64encode(tensor.contiguous().numpy().tobytes()).decode()
    return {"shape": list(tensor.shape), "dtype": dtype, "data": data}
