"""PyTorch twins of layers that torch.nn has not, or has with a fault, each as anybody would write it in PyTorch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """y = x + inner(x)"""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """Add the input to what is made of it."""
        result: Tensor = x + self.inner(x)
        return result


class Checkpoint(nn.Module):
    """y = inner(x): keeping less changes no number"""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *inputs: Any) -> Any:
        """What it makes of the inputs. torch.utils.checkpoint would count a batch twice in running statistics."""
        return self.inner(*inputs)


class Reversible(nn.Module):
    """y1 = x1 + f(x2); y2 = x2 + g(y1): keeping less changes no number but by rounding"""

    def __init__(self, f: nn.Module, g: nn.Module, dim: int = 1) -> None:
        super().__init__()
        self.f, self.g, self.dim = f, g, dim

    def forward(self, x: Tensor) -> Tensor:
        """Add to each half what is made of the other."""
        x1, x2 = x.chunk(2, self.dim)
        y1 = x1 + self.f(x2)
        return torch.cat([y1, x2 + self.g(y1)], self.dim)


class ReversibleSequence(nn.Sequential):
    """y = block_n(... block_1(x))"""

    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__(*blocks)


class Parallel(nn.ModuleList):
    """y = (branch_1(x), branch_2(x), ...)"""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__(branches)

    def forward(self, *inputs: Any) -> tuple[Any, ...]:
        """The outputs of all branches."""
        return tuple(branch(*inputs) for branch in self)


class Add(Parallel):
    """y = branch_1(x) + branch_2(x) + ..."""

    def forward(self, *inputs: Any) -> Any:
        """The sum of the outputs."""
        first, *others = super().forward(*inputs)
        for output in others:
            first = first + output
        return first


class Concatenate(Parallel):
    """y = branch_1(x), branch_2(x), ... along axis dim"""

    def __init__(self, *branches: nn.Module, dim: int = 1) -> None:
        super().__init__(*branches)
        self.dim = dim

    def forward(self, *inputs: Any) -> Any:
        """The outputs, one after the other."""
        return torch.cat(super().forward(*inputs), self.dim)


class Take(nn.Module):
    """y = x[index]"""

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def forward(self, x: tuple[Any, ...]) -> Any:
        """One entry of a tuple."""
        return x[self.index]


class MultiheadAttention(nn.MultiheadAttention):
    """Torch's, of which key and value may be left out"""

    def forward(
        self, query: Tensor, key: Tensor | None = None, value: Tensor | None = None, *masks: Any, **options: Any
    ) -> tuple[Tensor, Tensor | None]:
        """Attention of the query to itself where there is no key."""
        key = query if key is None else key
        return super().forward(query, key, key if value is None else value, *masks, **options)


class TransformerEncoderLayer(nn.TransformerEncoderLayer):
    """Torch's, which may look at itself and what comes before without being told at each call"""

    def __init__(self, is_causal: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.is_causal = is_causal

    def forward(self, src: Tensor, src_mask: Tensor | None = None, *masks: Any, **options: Any) -> Tensor:
        """With the mask that torch makes, where there is none."""
        if self.is_causal and src_mask is None:
            length = src.shape[-2] if self.self_attn.batch_first or src.dim() == 2 else src.shape[0]
            src_mask = nn.Transformer.generate_square_subsequent_mask(length, src.device, src.dtype)
            options["is_causal"] = True
        return super().forward(src, src_mask, *masks, **options)


class LastStep(nn.Module):
    """y[b] = x[b, lengths[b] - 1]"""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The last step of each sequence."""
        return x[:, -1] if lengths is None else torch.stack([x[row, length - 1] for row, length in enumerate(lengths)])


class MeanStep(nn.Module):
    """y[b] = the mean of x[b, t] over t < lengths[b]"""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The mean of each sequence."""
        if lengths is None:
            return x.mean(1)
        return torch.stack([x[row, :length].mean(0) for row, length in enumerate(lengths)])


class Padded(nn.Sequential):
    """Layers one after the other, each told how long the sequences are"""

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Any:
        """Recurrent layers get packed sequences, layers with attention the mask of the padding."""
        if lengths is None:
            return super().forward(x)  # type: ignore[no-untyped-call]
        padding = torch.arange(x.shape[1]) >= lengths.unsqueeze(1)
        y: Any = x
        for layer in self:
            if isinstance(layer, nn.RNNBase):
                packed = nn.utils.rnn.pack_padded_sequence(y, lengths, batch_first=True, enforce_sorted=False)
                output, state = layer(packed)
                y = nn.utils.rnn.pad_packed_sequence(output, True, total_length=x.shape[1])[0], state
            elif isinstance(layer, nn.TransformerEncoder | nn.TransformerEncoderLayer):
                y = layer(y, src_key_padding_mask=padding)
            elif isinstance(layer, nn.MultiheadAttention):
                y = layer(y, key_padding_mask=padding)
            else:
                takes = isinstance(layer, Padded | LastStep | MeanStep)
                y = layer(y, lengths=lengths) if takes else layer(y)
        return y


class Heaviside(nn.Module):
    """y = 1 where x >= 0, else 0"""

    def forward(self, x: Tensor) -> Tensor:
        """Whether each number reaches 0; the gradient of x is 0."""
        return torch.where(x.isnan(), x, (x >= 0).to(x.dtype))


class Sign(nn.Module):
    """y = 1 where x >= 0, else -1"""

    def forward(self, x: Tensor) -> Tensor:
        """The sign of each number; the gradient of x is 0."""
        return torch.where(x.isnan(), x, 2 * (x >= 0).to(x.dtype) - 1)


class LIF(nn.Module):
    """u_t = decay * u_(t-1) + x_t - threshold * y_(t-1);  y_t = 1 where u_t >= threshold, else 0"""

    def __init__(self, decay: float = 0.9, threshold: float = 1.0) -> None:
        super().__init__()
        self.decay, self.threshold = decay, threshold

    def forward(self, x: Tensor) -> Tensor:
        """The spikes of each step; the gradient of x is 0."""
        u = y = torch.zeros_like(x[:, 0])
        spikes = []
        for step in range(x.shape[1]):
            u = self.decay * u + x[:, step] - self.threshold * y
            y = torch.where(u.isnan(), u, (u >= self.threshold).to(x.dtype))
            spikes.append(y)
        return torch.stack(spikes, 1)


class Reshape(nn.Module):
    """y = x with all axes but the first made axes of the sizes `shape`"""

    def __init__(self, shape: list[int]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """The same numbers in another shape."""
        return x.reshape(x.shape[0], *self.shape)


class Permute(nn.Module):
    """y = x with axis dims[i] of x as axis i"""

    def __init__(self, dims: list[int]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        """The axes in another order."""
        return x.permute(self.dims)


class Select(nn.Module):
    """y = x at place index of axis dim"""

    def __init__(self, dim: int, index: int) -> None:
        super().__init__()
        self.dim, self.index = dim, index

    def forward(self, x: Tensor) -> Tensor:
        """One place along an axis."""
        return x.select(self.dim, self.index)


class VariationalAutoencoder(nn.Module):
    """y = (decoder(z), mean, log_var), with z drawn from the distribution of codes in training"""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode, draw and decode."""
        mean, log_var = self.encoder(x).chunk(2, -1)
        z = mean + (log_var / 2).exp() * torch.randn_like(mean) if self.training else mean
        return self.decoder(z), mean, log_var


class ELBOLoss(nn.Module):
    """The squared error of the reconstruction and the divergence of the distribution of codes"""

    def __init__(self, std: float, reduction: str) -> None:
        super().__init__()
        self.std, self.reduction = std, reduction

    def forward(self, prediction: tuple[Tensor, Tensor, Tensor], target: Tensor) -> Tensor:
        """The mean, sum or list of both terms."""
        y, mean, log_var = prediction
        likelihood = torch.distributions.Normal(y, self.std)
        constant = math.log(self.std) + math.log(2 * math.pi) / 2
        reconstruction = -(likelihood.log_prob(target) + constant).flatten(1).sum(1)
        codes = torch.distributions.Normal(mean, (log_var / 2).exp())
        divergence = torch.distributions.kl_divergence(codes, torch.distributions.Normal(0.0, 1.0)).sum(1)
        each: Tensor = reconstruction + divergence
        return each if self.reduction == "none" else each.mean() if self.reduction == "mean" else each.sum()


class CrossMapLRN2d(nn.Module):
    """y = x / b ** beta, by its formula: torch's own class adds up other channels than its documents say"""

    def __init__(self, size: int, alpha: float, beta: float, k: float) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Tensor) -> Tensor:
        """Divided by a power of the mean square of the channels around each."""
        half = (self.size - 1) // 2
        squares = nn.functional.pad(x * x, (0, 0, 0, 0, half, half))
        return x / (self.k + self.alpha / self.size * squares.unfold(1, 2 * half + 1, 1).sum(-1)) ** self.beta


class SinusoidalPositionalEncoding(nn.Module):
    """y = x + sines and cosines of the position"""

    def __init__(self, d_model: int, batch_first: bool = False) -> None:
        super().__init__()
        self.d_model, self.batch_first = d_model, batch_first

    def forward(self, x: Tensor) -> Tensor:
        """One row of the table for each position."""
        axis = x.dim() - 2 if self.batch_first or x.dim() == 2 else 0
        position, column = torch.arange(x.shape[axis]).unsqueeze(1), torch.arange(self.d_model)
        angle = position.to(x.dtype) * torch.exp(-math.log(10000.0) * (column - column % 2).to(x.dtype) / self.d_model)
        table = torch.where(column % 2 == 0, angle.sin(), angle.cos())
        return x + (table if axis else table.unsqueeze(1) if x.dim() == 3 else table)


class RotaryPositionalEncoding(nn.Module):
    """y = x as complex numbers, each multiplied by exp(i * angle) of its position"""

    def __init__(self, dim: int, base: float = 10000.0) -> None:
        super().__init__()
        self.dim, self.base = dim, base

    def forward(self, x: Tensor) -> Tensor:
        """Each pair of numbers turned."""
        rate = self.base ** (-torch.arange(0, self.dim, 2).to(x.dtype) / self.dim)
        angle = torch.outer(torch.arange(x.shape[-2]).to(x.dtype), rate)
        pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
        return torch.view_as_real(pairs * torch.polar(torch.ones_like(angle), angle)).flatten(-2)


def stack(cls: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    """A class of torch that copies layers, built without three of its ways.

    In evaluation it computes padded sequences as nested tensors, which warn, and it warns where it has no such path
    for the arguments; and a copied decoder layer whose activation is a
    module computes F.relu instead, which its __setstate__ puts in front of it.
    """

    def build(**options: Any) -> nn.Module:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "enable_nested_tensor is True")
            built = cls(**options)
        for module in built.modules():
            if isinstance(module, nn.TransformerEncoder):
                module.use_nested_tensor = False
        for module in built.modules():
            if "activation" in module._modules:
                vars(module).pop("activation", None)
        return built

    return build


TWIN_LAYERS: Mapping[str, Callable[..., nn.Module]] = {
    **{
        cls.__name__: cls
        for cls in (
            *(LIF, Add, Checkpoint, Concatenate, CrossMapLRN2d, ELBOLoss, Heaviside, LastStep, MeanStep),
            *(MultiheadAttention, Padded, Parallel, Permute, Reshape, Residual, Reversible, ReversibleSequence),
            *(RotaryPositionalEncoding, Select, Sign, SinusoidalPositionalEncoding, Take, TransformerEncoderLayer),
            VariationalAutoencoder,
        )
    },
    **{cls.__name__: stack(cls) for cls in (nn.Transformer, nn.TransformerDecoder, nn.TransformerEncoder)},
}
"""By the name of the class in mytorch.nn; constructor arguments have the same names."""
