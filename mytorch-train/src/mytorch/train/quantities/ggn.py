"""The diagonal and the Kronecker factors of the generalised Gauss-Newton matrix."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from mytorch.core import KroneckerFactors, Module, SampleGradients, factor_shapes, kronecker
from mytorch.plugins import require_memory
from mytorch.train.batches import count_rows
from mytorch.train.quantities.column_products import ColumnProducts
from mytorch.train.quantities.curvature import OfColumns, show_curvature

BYTES = 4
"""Of a number in a factor, at least."""


def ggn_diagonal(
    net: Module, loss: Module, inputs: Any, targets: Any, samples: int | None = None
) -> dict[str, Tensor]:
    """The diagonal of the generalised Gauss-Newton matrix (GGN) of a batch, by name and in the shape of parameters.

    Formula:  GGN = sum over n of transpose(J_n) @ H_n @ J_n, with J_n the derivative of the prediction for sample n
              with respect to the parameters, and H_n the Hessian of the loss with respect to that prediction
    For cross entropies of scores and the squared error it is the Fisher matrix, times the number of samples if the
    loss is a sum. The empirical Fisher matrix, of the gradients of the targets themselves, has the diagonal
    `sample_second_moment`.

    samples: None computes it from all columns of a square root of H_n, one for each number of the prediction for a
        sample; a number computes an estimate without bias, from so many targets for each sample drawn from the
        distribution that the net states, which takes as many passes. Targets are drawn from torch's generator.
    Raises ArgumentError for a layer that mixes the batch, for a loss that is no mean or sum over the samples, and for
    one that does not state its `hessian_root`.
    Source:   Schraudolph 2002, "Fast curvature matrix-vector products for second-order gradient descent"

    Example:
        >>> import torch
        >>> from mytorch.nn import CrossEntropyLoss, Linear
        >>> from mytorch.train.quantities import ggn_diagonal
        >>> x, classes = torch.randn(5, 2), torch.tensor([0, 2, 1, 1, 0])
        >>> found = ggn_diagonal(Linear(2, 3), CrossEntropyLoss(), x, classes)
        >>> found["weight"].shape
        torch.Size([3, 2])
    """
    diagonal = Diagonal()
    show_curvature(net, loss, inputs, targets, samples, diagonal)
    return {name: diagonal.found[name] for name, _ in net.named_param() if name in diagonal.found}


class Diagonal(OfColumns):
    """Adds up squares."""

    together = True

    def __init__(self) -> None:
        self.found: dict[str, Tensor] = {}

    def samples(self, name: str, samples: SampleGradients) -> None:
        squares = samples.sum_of_squares()
        self.found[name] = self.found[name] + squares if name in self.found else squares


def kronecker_factors(
    net: Module, loss: Module, inputs: Any, targets: Any, samples: int | None = 1
) -> dict[str, KroneckerFactors]:
    """Factors of the blocks of the GGN, by the name of the parameter: kron(outputs, inputs) stands for its block.

    Weights and biases are apart. A bias has the exact block, with an `inputs` of one number; a weight has the mean of
    its inputs' outer products, and the sum of those of the gradients at its outputs, as `mytorch.core.kronecker` says,
    with a convolution's inputs unfolded into windows and one pair of factors for each group.
    In the result are parameters whose gradients are sums of outer products, as those of linear layers, convolutions
    and recurrent layers, and vectors; those of embeddings and of matrices of several blocks, as in attention, are not.

    samples: how many targets of each sample are drawn for `outputs` (K-FAC); None takes all columns of a square root
        of the loss's Hessian (KFLR).
    Raises ArgumentError as `ggn_diagonal` does.
    Source:   Martens and Grosse 2015, "Optimizing neural networks with Kronecker-factored approximate curvature"; all
              columns: Botev, Ritter and Barber 2017, "Practical Gauss-Newton optimisation for deep learning"

    Example:
        >>> import torch
        >>> from mytorch.nn import CrossEntropyLoss, Linear
        >>> from mytorch.train.quantities import kronecker_factors
        >>> x, classes = torch.randn(5, 2), torch.tensor([0, 2, 1, 1, 0])
        >>> found = kronecker_factors(Linear(2, 3), CrossEntropyLoss(), x, classes)
        >>> found["weight"].inputs.shape, found["weight"].outputs.shape
        (torch.Size([2, 2]), torch.Size([3, 3]))
    """
    factors = Factors(count_rows(inputs if targets is None else targets))
    show_curvature(net, loss, inputs, targets, samples, factors)
    return {name: factors.found[name] for name, _ in net.named_param() if name in factors.found}


class Factors(OfColumns):
    """Adds up the factors; what multiplies a parameter is the same for each column and read of the first."""

    together = True

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.found: dict[str, KroneckerFactors] = {}

    def samples(self, name: str, samples: SampleGradients) -> None:
        before = self.found.get(name)
        samples = samples.factors if isinstance(samples, ColumnProducts) else samples
        if before is None:
            self._require_room(name, samples)
        made = kronecker(samples, self.rows if before is None else 0)
        if made is not None:
            self.found[name] = made if before is None else KroneckerFactors(*map(torch.add, before, made))

    def _require_room(self, name: str, samples: SampleGradients) -> None:
        """Raise ArgumentError where the factors of a parameter have no room beside those of the others."""
        shapes = factor_shapes(samples)
        held = [*shapes, *(factor.shape for pair in self.found.values() for factor in pair)]
        require_memory(
            "kronecker_factors",
            f"factors up to those of {name}, {' and '.join(map(str, shapes))},",
            BYTES * sum(map(math.prod, held)),
            "set trainable = False for this parameter, which leaves it out, or take ggn_diagonal",
        )
