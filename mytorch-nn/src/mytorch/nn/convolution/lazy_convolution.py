"""Convolutions and transposed convolutions that take in_channels from their first input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import require_flags
from mytorch.nn._lazy_channels import LazyChannels
from mytorch.nn.convolution.convolution import Conv1d, Conv2d, Conv3d
from mytorch.nn.convolution.transposed import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d


class _LazyWindowed(LazyChannels):
    """The base of both."""

    channels = "in_channels"

    def _set_weights(self, groups: Any, bias: bool, device: Any, dtype: torch.dtype | None) -> None:
        least = groups if type(groups) is int and groups > 0 else 1
        self._set_lazy((device, dtype), least, {"weight": True, "bias": bias}, {})

    def sizes_of_state(self, state: Mapping[str, Tensor]) -> dict[str, Any] | None:
        weight = state.get("weight")
        if weight is None or weight.dim() != self.becomes.dimensions + 2:
            return None
        return {self.channels: self._channels_of(weight)}

    def _channels_of(self, weight: Tensor) -> int:
        raise NotImplementedError


class _LazyConvolution(_LazyWindowed):
    """A Conv1d, Conv2d or Conv3d that takes in_channels from its first input, or from the weight in a state dict.

    Forward:   as Conv2d of the same arguments; the first one draws the weights, and makes this a Conv2d
    Backward:  that of Conv2d, which this is by then
    Shapes:    x: (batch, in_channels, ...) or without the batch, with one, two or three sizes by the class;
               weight: (out_channels, in_channels / groups, ...);  bias: (out_channels,), or None without it
    Raises:    as Conv2d; ShapeError or DtypeError if the first x has other axes or another dtype than the weight is to
               have;  UninitializedError where weight or bias is read before there is one: an optimizer, a state dict
               and new initial values need them, so run one batch through the model first
    Initial:   as Conv2d draws them
    Source:    as Conv2d; in_channels from the first input: torch.nn.LazyConv2d, whose behaviour it follows

    Example:
        >>> net = Sequential(LazyConv2d(8, 3), ReLU(), LazyConv2d(4, 3))
        >>> net(torch.zeros(1, 3, 9, 9)).shape
        torch.Size([1, 4, 5, 5])
        >>> net[2]
        Conv2d(in_channels=8, out_channels=4, kernel_size=3)
    """

    def __init__(
        self,
        out_channels: int,  # noqa: ARG002 - kept for the layer to come, as the others are
        kernel_size: int | Sequence[int],  # noqa: ARG002
        stride: int | Sequence[int] = 1,  # noqa: ARG002
        padding: str | int | Sequence[int] = 0,  # noqa: ARG002
        dilation: int | Sequence[int] = 1,  # noqa: ARG002
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",  # noqa: ARG002
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        require_flags(self, bias=bias)
        self.groups = groups
        self._set_weights(groups, bias, device, dtype)

    def _channels_of(self, weight: Tensor) -> int:
        return weight.shape[1] * self.groups


class LazyConv1d(_LazyConvolution):
    becomes = Conv1d


class LazyConv2d(_LazyConvolution):
    becomes = Conv2d


class LazyConv3d(_LazyConvolution):
    becomes = Conv3d


class _LazyTransposedConvolution(_LazyWindowed):
    """A ConvTranspose1d to 3d that takes in_channels from its first input, or from the weight in a state dict.

    Forward:   as ConvTranspose2d of the same arguments; the first one draws the weights, and makes this one
    Backward:  that of ConvTranspose2d, which this is by then
    Shapes:    x: (batch, in_channels, ...) or without the batch, with one, two or three sizes by the class;
               weight: (in_channels, out_channels / groups, ...);  bias: (out_channels,), or None without it
    Raises:    as ConvTranspose2d; ShapeError or DtypeError if the first x has other axes or another dtype than the
               weight is to have;  UninitializedError where weight or bias is read before there is one: an optimizer, a
               state dict and new initial values need them, so run one batch through the model first
    Initial:   as ConvTranspose2d draws them
    Source:    as ConvTranspose2d; in_channels from the first input: torch.nn.LazyConvTranspose2d, whose behaviour it
               follows

    Example:
        >>> layer = LazyConvTranspose2d(3, kernel_size=2, stride=2)
        >>> layer(torch.zeros(1, 8, 5, 5)).shape
        torch.Size([1, 3, 10, 10])
        >>> layer
        ConvTranspose2d(in_channels=8, out_channels=3, kernel_size=2, stride=2)
    """

    def __init__(
        self,
        out_channels: int,  # noqa: ARG002 - kept for the layer to come, as the others are
        kernel_size: int | Sequence[int],  # noqa: ARG002
        stride: int | Sequence[int] = 1,  # noqa: ARG002
        padding: int | Sequence[int] = 0,  # noqa: ARG002
        output_padding: int | Sequence[int] = 0,  # noqa: ARG002
        groups: int = 1,
        bias: bool = True,
        dilation: int | Sequence[int] = 1,  # noqa: ARG002
        padding_mode: str = "zeros",  # noqa: ARG002
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        require_flags(self, bias=bias)
        self._set_weights(groups, bias, device, dtype)

    def _channels_of(self, weight: Tensor) -> int:
        return weight.shape[0]


class LazyConvTranspose1d(_LazyTransposedConvolution):
    becomes = ConvTranspose1d


class LazyConvTranspose2d(_LazyTransposedConvolution):
    becomes = ConvTranspose2d


class LazyConvTranspose3d(_LazyTransposedConvolution):
    becomes = ConvTranspose3d
