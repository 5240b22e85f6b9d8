"""A code that is drawn, between an encoder and a decoder."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Module,
    ShapeError,
    kind_of,
    require_input,
    require_pair,
    require_saved,
    require_upstream,
)
from mytorch.nn.container._sequence import require_module
from mytorch.nn.linear import Linear

Output = tuple[Any, Tensor, Tensor]


class Saved(NamedTuple):
    """What encoder and decoder saved; what was drawn, and the deviation by which it was multiplied: both None in
    evaluation; and the mean.
    """

    encoder: Any
    decoder: Any
    noise: Tensor | None
    std: Tensor | None
    mean: Tensor


class VariationalAutoencoder(Module):
    """Encode a value as a normal distribution of codes, and decode one that is drawn from it.

    Forward:   mean, log_var = the two halves of encoder(x);  std = exp(log_var / 2)
               z = mean + std * e, with e standard normal (the reparameterisation), in evaluation z = mean
               y = (decoder(z), mean, log_var)
    Backward:  d_y = (d_decoded, d_mean, d_log_var), of which the last two come from the loss;
               d_z = the d_x of decoder for d_decoded;  since z is mean + std * e and d_std / d_log_var is std / 2,
               d_half = (d_mean + d_z, d_log_var + d_z * e * std / 2);  d_x = the d_x of encoder for d_half
    Shapes:    x: what encoder takes;  encoder(x): (..., 2 * codes);  z, mean, log_var: (..., codes);
               y: what decoder makes of z, and (..., codes) twice
    Raises:    ArgumentError if encoder or decoder is no Module;  ShapeError if the encoder's output has an odd last
               axis, or gradients have not the shapes of y;  ContractError if a forward returns no pair
    Random:    e in training, by torch.randn from torch's generator
    Source:    Kingma and Welling 2013, "Auto-encoding variational Bayes"

    `ELBOLoss` takes its output.

    Example:
        >>> net = VariationalAutoencoder(encoder=Linear(8, 4), decoder=Linear(2, 8))
        >>> decoded, mean, log_var = net(torch.randn(5, 8))
        >>> decoded.shape, mean.shape, log_var.shape
        (torch.Size([5, 8]), torch.Size([5, 2]), torch.Size([5, 2]))
    """

    conformance: ClassVar[dict[str, Any]] = {
        "arguments": {"encoder": lambda: Linear(3, 4), "decoder": lambda: Linear(2, 3)},
        "inputs": [(5, 3)],
    }

    def __init__(self, encoder: Module, decoder: Module) -> None:
        self.encoder, self.decoder = require_module(self, encoder), require_module(self, decoder)

    def forward(self, x: Any) -> tuple[Output, Saved]:
        require_input(self, x)
        pair = self.encoder.forward(x)
        require_pair(self.encoder, pair)
        halves, saved_by_encoder = pair
        mean, log_var = self._halves(halves)
        noise = std = None
        z = mean
        if self.training:
            std, noise = (log_var / 2).exp(), torch.randn(mean.shape, dtype=mean.dtype, device=mean.device)
            z = mean + std * noise
        pair = self.decoder.forward(z)
        require_pair(self.decoder, pair)
        decoded, saved_by_decoder = pair
        return (decoded, mean, log_var), Saved(saved_by_encoder, saved_by_decoder, noise, std, mean)

    def backward(self, d_y: Any, saved: Saved) -> Any:
        require_saved(self, saved, object, object, (Tensor, type(None)), (Tensor, type(None)), Tensor)
        if not isinstance(d_y, tuple) or len(d_y) != 3:
            raise ShapeError(
                "VariationalAutoencoder: d_y must be a tuple of three, (d_decoded, d_mean, d_log_var), with None for "
                f"what was not used, got {kind_of(d_y)}"
            )
        d_decoded, *d_halves = d_y
        for name, d_half in zip(("d_mean", "d_log_var"), d_halves, strict=True):
            if d_half is not None:
                require_upstream(self, d_half, saved.mean.shape, name, like=saved.mean)
        d_mean, d_log_var = d_halves
        if d_decoded is not None:
            d_z = self.decoder.backward(d_decoded, saved.decoder)
            d_mean = _added(d_mean, d_z)
            if saved.noise is not None and saved.std is not None:
                d_log_var = _added(d_log_var, d_z * saved.noise * saved.std / 2)
        if d_mean is None and d_log_var is None:
            raise ShapeError(
                "VariationalAutoencoder: d_y must have a gradient for at least one entry, got None for each"
            )
        like = d_mean if d_mean is not None else d_log_var
        d_both = [torch.zeros_like(like) if d_half is None else d_half for d_half in (d_mean, d_log_var)]
        d_x = self.encoder.backward(torch.cat(d_both, -1), saved.encoder)
        return d_x if self.input_grad else None

    def first_child(self) -> Module:
        return self.encoder

    def _halves(self, halves: Any) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance. Raises ShapeError, ArgumentError."""
        if not isinstance(halves, Tensor):
            raise ArgumentError(
                f"VariationalAutoencoder: the encoder's output must be a tensor, got {kind_of(halves)}"
            )
        require_input(self, halves, "the encoder's output")
        if halves.dim() == 0 or halves.shape[-1] % 2 or not halves.shape[-1]:
            raise ShapeError(
                "VariationalAutoencoder: the encoder's output must have mean and log_var side by side, an even last "
                f"axis, got {tuple(halves.shape)}"
            )
        mean, log_var = halves.chunk(2, -1)
        return mean, log_var


def _added(one: Tensor | None, other: Tensor) -> Tensor:
    return other if one is None else one + other
