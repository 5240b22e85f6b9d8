"""What the training rows do to the loss of a prediction."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Module, fetch, kind_of
from mytorch.plugins import require_memory, shown
from mytorch.train.batches import call, count_rows, cut_out
from mytorch.train.device import device_of, move
from mytorch.train.errors import NotFiniteError
from mytorch.train.evaluation import judging
from mytorch.train.mean_loss import Weight, sums, weight_of
from mytorch.train.quantities.products import Batch, kept_samples, products_with
from mytorch.train.quantities.shares import factors_of_rows

BATCH = 256
"""Rows of a batch, of which the factors of all gradients are kept at once."""


def influence(
    net: Module, loss: Module, rows: Any, of: Batch, *, damping: float | None = None, batch_size: int = BATCH
) -> Tensor:
    """How far each training row lowers the loss of some predictions: (rows, predictions), in float64.

    A positive value belongs to a helpful row, whose presence in the training lowers the loss of the prediction; a
    negative one to a harmful row, which raises it. With g_i for the gradient of the loss of training row i, and g_t
    for that of prediction t, both at the weights that the net has, and n training rows:

        without damping:  influence[i, t] = g_i . g_t
        with damping:     influence[i, t] = g_i . (F + damping * I)^-1 g_t / n
                          F = (1/n) sum over i of outer(g_i, g_i)

    The first is by how much a step of gradient descent on row i alone, with a small learning rate, lowers the loss,
    for each unit of the rate: TracIn for one checkpoint. The second estimates by how much the loss would rise if the
    training, from its start to its minimum, had not had the row: an influence function, with the empirical Fisher
    matrix F for the curvature. `damping` then stands for the curvature of a penalty such as weight decay, and keeps
    directions in which the training rows say nothing from deciding everything. No matrix of parameters is formed:
    by the Woodbury identity, with K for the products g_i . g_j of all training rows and k_t for those with g_t,

        influence[:, t] = (K + n * damping * I)^-1 k_t

    rows: the training rows, a data set as `fit` takes it or a batch (inputs, targets); with damping, n^2 numbers of
        float64 must fit into memory, and each batch goes through the net once for every batch before it.
    of: (inputs, targets) of the predictions.
    The net is in evaluation mode meanwhile, and afterwards as before. Of a loss that is a mean with class weights or
    ignored targets, g_i is the gradient of the row's share in the mean over all training rows, times n, and g_t that
    of the prediction's own loss; values do not depend on how rows are put into batches. With reduction="sum", both are
    gradients of a row's own loss, times its weight.

    Raises ArgumentError as `sample_gradients` does, for damping that is not above 0 or too small for the dtype, and
        without rows; NotFiniteError for gradients that are not finite.
    Source:   Pruthi et al. 2020, "Estimating training data influence by tracing gradient descent"; Koh and Liang 2017,
              "Understanding black-box predictions via influence functions"

    Example:
        >>> import torch
        >>> from mytorch.nn import Linear, MSELoss
        >>> from mytorch.train.quantities import influence
        >>> net = Linear(1, 1, bias=False)
        >>> net.weight.value.fill_(1.0).shape
        torch.Size([1, 1])
        >>> rows = torch.tensor([[1.0], [1.0]]), torch.tensor([[2.0], [0.0]])
        >>> new = torch.tensor([[1.0]]), torch.tensor([[3.0]])
        >>> influence(net, MSELoss(), rows, new)  # the first row asks for a larger weight, as the new one does
        tensor([[ 8.],
                [-8.]], dtype=torch.float64)
    """
    if damping is not None and not (type(damping) in (int, float) and 0 < damping < math.inf):
        raise ArgumentError(f"influence: damping must be a number above 0 or None, got {shown(damping)}")
    batches = _Rows(rows, batch_size, device_of(net))
    count = len(batches)
    if not count:
        raise ArgumentError("influence: rows must be at least one, got none")
    if damping is not None:
        require_memory("influence", "products of all rows", 16 * count**2, "take fewer rows, or leave damping out")
    with judging(net):
        of = move(of, device_of(net))
        kept, weight = kept_samples(net, loss, of)
        parts = [products_with(net, loss, kept, batch) for batch in batches.since()]
        counts, weights = zip(*((products.shape[1], weight) for products, weight in parts), strict=True)
        factors = factors_of_rows(loss, counts, weights)
        found = torch.cat([products.mT for products, _ in parts]).double().cpu()
        found *= factors.unsqueeze(1) * _factors_of_predictions(net, loss, of, weight)
        if damping is not None:
            products = _products_of_all(net, loss, batches) * factors.unsqueeze(1) * factors
            found = _solved(products, damping, found)
    if not found.isfinite().all():
        raise NotFiniteError("influence: gradients of rows and predictions must be finite, got NaN or infinity")
    return found.clone()


def _factors_of_predictions(net: Module, loss: Module, of: Batch, weight: Weight) -> Tensor:
    """What makes the gradients of predictions, of their shares in the mean of all, those of their own losses."""
    count = count_rows(of[0] if of[1] is None else of[1])
    if sums(loss) or count == 1:
        return torch.ones(count, dtype=torch.float64)
    rows = (cut_out(of, at, 1) for at in range(count))
    own = [float(weight_of(loss, call(net, inputs), targets)) for inputs, targets in rows]
    weights = torch.tensor(own, dtype=torch.float64)
    return torch.where(weights == 0, 0.0, float(weight) / (count * weights))


def _solved(products: Tensor, damping: float, found: Tensor) -> Tensor:
    """(products + rows * damping * I)^-1 found. Raises ArgumentError where rounding exceeds the damping."""
    products.diagonal().add_(len(products) * damping)
    factor, failed = torch.linalg.cholesky_ex(products)
    if failed and products.isfinite().all():
        raise ArgumentError(
            f"influence: damping must be larger than the rounding of the gradients' products, got {shown(damping)}; "
            "take a larger one, or a net in float64"
        )
    return torch.cholesky_solve(found, factor)


def _products_of_all(net: Module, loss: Module, batches: _Rows) -> Tensor:
    """The inner products of the gradients of all rows with each other: (rows, rows)."""
    found = torch.empty(len(batches), len(batches), dtype=torch.float64)
    begin = 0
    for number, batch in enumerate(batches.since()):
        (kept, _), start = kept_samples(net, loss, batch), begin
        for other in batches.since(number):
            products = products_with(net, loss, kept, other)[0].double().cpu()
            here, there = slice(begin, begin + len(products)), slice(start, start + products.shape[1])
            found[here, there], found[there, here] = products, products.mT
            start = there.stop
        begin = here.stop
    return found


class _Rows:
    """Training rows in batches, again and again in one order, on the device of the net."""

    def __init__(self, rows: Any, size: int, device: torch.device) -> None:
        if type(size) is not int or size < 1:
            raise ArgumentError(f"influence: batch_size must be a whole number of at least 1, got {shown(size)}")
        self.pair = rows if type(rows) is tuple and len(rows) == 2 else None
        self.data = getattr(rows, "plain", rows)
        if self.pair is None and not (hasattr(rows, "__len__") and hasattr(rows, "__getitem__")):
            raise ArgumentError(
                f"influence: rows must be a data set or a batch (inputs, targets), got {kind_of(rows)}; pass the data "
                "set of a DataLoader"
            )
        self.size, self.device = size, device

    def __len__(self) -> int:
        if self.pair is None:
            return len(self.data)
        return count_rows(self.pair[0] if self.pair[1] is None else self.pair[1])

    def since(self, number: int = 0) -> Iterator[Batch]:
        """The batches from this number on, which counts from 0."""
        for start in range(number * self.size, len(self), self.size):
            if self.pair is not None:
                batch = cut_out(self.pair, start, self.size)
            else:
                batch = fetch(self.data, torch.arange(start, min(start + self.size, len(self))))
            yield move(batch, self.device)
