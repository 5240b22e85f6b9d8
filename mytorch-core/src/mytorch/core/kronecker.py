"""Two small matrices whose Kronecker product stands for the curvature of a parameter."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

from mytorch.core.sample_gradients import EachSample, SampleGradients


class KroneckerFactors(NamedTuple):
    """The factors of a matrix kron(outputs, inputs), in the order of the parameter's numbers.

    inputs: (in, in), the mean over samples of what multiplies the parameter, times itself; (1, 1) of a vector.
    outputs: (out, out), the sum over samples of the gradients at the layer's output, times themselves.
    Where the first axis of a parameter belongs to the layer's input, as in a transposed convolution, it is the other
    way round: `outputs` is the mean of what multiplies the parameter, `inputs` the sum of the gradients.
    Both are (blocks, ...) of a parameter of several blocks, one below the other, such as a grouped convolution.

    Example:
        >>> import torch
        >>> from mytorch.core import KroneckerFactors
        >>> factors = KroneckerFactors(torch.eye(2), torch.tensor([[3.0]]))
        >>> torch.kron(factors.outputs, factors.inputs)
        tensor([[3., 0.],
                [0., 3.]])
    """

    inputs: Tensor
    outputs: Tensor


def kronecker(samples: SampleGradients, rows: int | None = None) -> KroneckerFactors | None:
    """The factors of the sum over samples of outer(gradient, gradient), where the form of the gradients has some.

    Formula:  inputs = sum over n, t of outer(rows[n, t], rows[n, t]) / samples;
              outputs = sum over n, t of outer(d_rows[n, t], d_rows[n, t]) / places, over `places` values of t
    So they are exact where each sample has one row, or all have the same rows; otherwise the gradients at different
    places are taken to be uncorrelated, and inputs and gradients to be independent. Of a vector, such as a bias, they
    are exact.
    rows: what multiplies the parameter is read of so many samples, which those that follow repeat; of all by default.
    None for gradients of another form, such as those of an embedding.
    Source:   Martens and Grosse 2015, "Optimizing neural networks with Kronecker-factored approximate curvature";
              of convolutions: Grosse and Martens 2016, "A Kronecker-factored approximate Fisher matrix for convolution
              layers"
    """
    if isinstance(samples, EachSample):
        values = samples.each()
        if values.dim() != 2:
            return None
        return KroneckerFactors(values.new_ones(1, 1), values.mT @ values)
    products = samples.outer_products()
    if products is None:
        return None
    multipliers, gradients = products.rows, products.d_rows
    if products.gradients_in_rows:
        multipliers, gradients = gradients, multipliers
    multipliers = multipliers[:rows]
    mean = _gram(multipliers).div_(max(len(multipliers), 1))
    total = _gram(gradients).mul_(products.scale**2 / max(gradients.shape[-2], 1))
    return KroneckerFactors(total, mean) if products.gradients_in_rows else KroneckerFactors(mean, total)


def factor_shapes(samples: SampleGradients) -> tuple[tuple[int, ...], ...]:
    """The shapes of `inputs` and `outputs` as `kronecker` would make them; empty where it makes none."""
    if isinstance(samples, EachSample):
        numbers = samples.sizes()[1:]
        return ((1, 1), (*numbers, *numbers)) if len(numbers) == 1 else ()
    products = samples.outer_products()
    if products is None:
        return ()
    blocks = tuple(products.rows.shape[1:-2])
    inputs, outputs = products.rows.shape[-1], products.d_rows.shape[-1]
    return (*blocks, inputs, inputs), (*blocks, outputs, outputs)


def _gram(rows: Tensor) -> Tensor:
    """The sum over samples and places of each row's outer product with itself: (in, in), or (blocks, in, in)."""
    if rows.dim() == 3:
        if rows.shape[-2] >= rows.shape[-1] and not rows.is_contiguous():  # as of convolutions, sample by sample
            return (rows.mT @ rows).sum(0)  # which is no more numbers than a contiguous copy would have
        flat = rows.reshape(math.prod(rows.shape[:2]), rows.shape[2])
        return flat.mT @ flat
    blocks = rows.transpose(0, 1).flatten(1, 2)
    return blocks.mT @ blocks
