"""A code that is drawn, between an encoder and a decoder."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Directions,
    Module,
    ShapeError,
    kind_of,
    require_input,
    require_pair,
    require_saved,
    require_upstream,
)
from mytorch.nn.container._branches import added, joined
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

    def slope(self) -> Tensor | None:
        """The derivative of z with respect to log_var, e * std / 2; None in evaluation."""
        return None if self.noise is None or self.std is None else self.noise * self.std / 2


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
            d_mean = added(d_mean, d_z)
            slope = saved.slope()
            if slope is not None:
                d_log_var = added(d_log_var, d_z * slope)
        d_both = joined((d_mean, d_log_var), -1)
        if d_both is None:
            raise ShapeError(
                "VariationalAutoencoder: d_y must have a gradient for at least one entry, got None for each"
            )
        d_x = self.encoder.backward(d_both, saved.encoder)
        return d_x if self.input_grad else None

    def tangent(self, t_x: Any, saved: Saved, along: Directions) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        t_halves, t_saved_by_encoder = self.encoder.tangent(t_x, saved.encoder, along)
        t_z = t_mean = t_log_var = None
        if t_halves is not None:
            t_mean, t_log_var = t_halves.chunk(2, -1)
            slope = saved.slope()
            t_z = t_mean if slope is None else t_mean + slope * t_log_var
        t_decoded, t_saved_by_decoder = self.decoder.tangent(t_z, saved.decoder, along)
        return (t_decoded, t_mean, t_log_var), (t_saved_by_encoder, t_saved_by_decoder, t_log_var)

    def backward_tangent(
        self, d_y: Any, t_d_y: Any, saved: Saved, t_saved: tuple[Any, Any, Tensor | None], along: Directions
    ) -> tuple[Any, Any]:
        (d_decoded, *d_halves), (t_d_decoded, *t_d_halves) = d_y, t_d_y
        t_saved_by_encoder, t_saved_by_decoder, t_log_var = t_saved
        if d_decoded is not None:
            d_z, t_d_z = self.decoder.backward_tangent(
                d_decoded, t_d_decoded, saved.decoder, t_saved_by_decoder, along
            )
            d_halves[0], t_d_halves[0] = added(d_halves[0], d_z), added(t_d_halves[0], t_d_z)
            slope = saved.slope()
            if slope is not None:
                d_halves[1] = added(d_halves[1], d_z * slope)
                t_slope = 0 if t_log_var is None else slope * t_log_var / 2
                t_d_halves[1] = added(t_d_halves[1], t_d_z * slope + d_z * t_slope)
        d_both = joined(d_halves, -1), joined(t_d_halves, -1)
        found = self.encoder.backward_tangent(*d_both, saved.encoder, t_saved_by_encoder, along)
        return found if self.input_grad else (None, None)

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
