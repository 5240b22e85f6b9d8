"""Products of the generalised Gauss-Newton matrix, and of the Hessian, with a vector."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Module,
    Parameter,
    RandomState,
    SampleGradients,
    ShapeError,
    kind_of,
    random_state,
)
from mytorch.train.gradients import gradients
from mytorch.train.quantities.curvature import OfColumns, show_curvature
from mytorch.train.quantities.structure import mapped
from mytorch.train.quantities.warning import QuantityWarning
from mytorch.train.unchanged import unchanged

Vector = Mapping[str, Tensor]
"""A tensor for each trained parameter, by its name and in its shape."""

STEPS = (1e-3, 1e-4, 1e-5, 1e-6)
"""Lengths, relative to the parameters', of the steps of a difference, tried until the error is small enough."""

TOLERANCE = 1e-7
"""The relative error up to which nothing is said; float64 allows about 1e-10 where the loss has no kinks nearby."""


def ggn_vector_product(
    net: Module, loss: Module, inputs: Any, targets: Any, vector: Vector, samples: int | None = None
) -> dict[str, Tensor]:
    """The product of the generalised Gauss-Newton matrix of a batch with a vector, by the name of the parameter.

    Formula:  GGN @ v = sum over n and columns s of a_ns * transpose(J_n) @ s,  a_ns = (transpose(J_n) @ s) . v
              with the columns s of a root of the loss's Hessian, and J_n as `ggn_diagonal` has them
    It is exact for every layer, and neither the matrix nor the gradients transpose(J_n) @ s are formed where the
    layer's form allows it. It takes as many passes as the prediction for a sample has numbers.

    vector: a tensor for each trained parameter, by its name.
    samples: as in `ggn_diagonal`.
    Raises ArgumentError as `ggn_diagonal` does, and for a vector of other names; ShapeError for one of other shapes.

    Example:
        >>> import torch
        >>> from mytorch.nn import Linear, MSELoss
        >>> from mytorch.train.quantities import ggn_vector_product
        >>> net, x = Linear(2, 1, bias=False), torch.tensor([[1.0, 2.0]])
        >>> vector = {"weight": torch.tensor([[1.0, 0.0]])}
        >>> ggn_vector_product(net, MSELoss(), x, torch.zeros(1, 1), vector)["weight"].round()
        tensor([[2., 4.]])
    """
    names = _trained(net, vector, "ggn_vector_product")
    product = _Product(vector)
    show_curvature(net, loss, inputs, targets, samples, product)
    return {
        name: product.found[name].clone() if name in product.found else torch.zeros_like(parameter.value)
        for name, parameter in names.items()
    }


class _Product(OfColumns):
    """Adds up the gradients of samples, each times its inner product with a vector over all parameters."""

    def __init__(self, vector: Vector) -> None:
        self.vector = vector
        self.kept: dict[str, SampleGradients] = {}
        self.found: dict[str, Tensor] = {}

    def samples(self, name: str, samples: SampleGradients) -> None:
        self.kept[name] = samples

    def end(self) -> None:
        weights = torch.stack([samples.along(self.vector[name]) for name, samples in self.kept.items()]).sum(0)
        for name, samples in self.kept.items():
            part = samples.weighted_sum(weights)
            self.found[name] = self.found[name] + part if name in self.found else part
        self.kept = {}


def hessian_vector_product(net: Module, loss: Module, inputs: Any, targets: Any, vector: Vector) -> dict[str, Tensor]:
    """The product of the Hessian of a batch's loss with a vector, by the name of the parameter.

    Formula:  D(h) = (g(p + h * v) - g(p - h * v)) / (2 * h) with the gradient g;  H @ v = (4 * D(h / 2) - D(h)) / 3
    in float64 whatever the dtype of the net, and with the same random numbers in each pass. Its error is measured by a
    step of half the length; where it is large, smaller steps are tried. So it works for every net, also with layers
    that mix the batch and with any loss, in six forward and backward passes or a multiple of them. The relative error
    is about 1e-9; where a kink, as that of a ReLU, lies within the smallest step, a QuantityWarning says how large it
    is measured to be.

    vector: a tensor for each trained parameter, by its name.
    Raises ArgumentError for a vector of other names, ShapeError for one of other shapes.

    Example:
        >>> import torch
        >>> from mytorch.nn import Linear, MSELoss
        >>> from mytorch.train.quantities import hessian_vector_product
        >>> net, x = Linear(2, 1, bias=False), torch.tensor([[1.0, 2.0]])
        >>> vector = {"weight": torch.tensor([[1.0, 0.0]])}
        >>> hessian_vector_product(net, MSELoss(), x, torch.zeros(1, 1), vector)["weight"].round()
        tensor([[2., 4.]])
    """
    names = _trained(net, vector, "hessian_vector_product")
    parameters = list(names.values())
    flat = _flat([vector[name] for name in names])
    with unchanged(net, loss):
        dtypes = [parameter.value.dtype for parameter in parameters]
        net.double()
        loss.double()
        given, wanted = mapped(_doubled, inputs), mapped(_doubled, targets)
        gradient = _GradientAt(net, loss, given, wanted, parameters)
        found, error = _difference(gradient, _flat([parameter.value for parameter in parameters]), flat)
    if error > TOLERANCE:
        warnings.warn(
            f"hessian_vector_product: the relative error is measured to be {error:.1e}, since the gradient jumps near "
            "these parameters, as at the kink of a ReLU; take ggn_vector_product, or other rows",
            QuantityWarning,
            stacklevel=2,
        )
    parts = found.clone().split([parameter.value.numel() for parameter in parameters])
    return {
        name: part.reshape(parameter.value.shape).to(dtype)
        for (name, parameter), part, dtype in zip(names.items(), parts, dtypes, strict=True)
    }


class _GradientAt:
    """The gradient of a batch's loss, as one vector, at other values of the parameters."""

    def __init__(self, net: Module, loss: Module, inputs: Any, targets: Any, parameters: list[Parameter]) -> None:
        self.net, self.loss, self.inputs, self.targets, self.parameters = net, loss, inputs, targets, parameters
        self.buffers = [
            (buffer, buffer.value.clone()) for module in (net, loss) for _, buffer in module.named_buffer()
        ]
        self.state: RandomState = random_state(net, loss)

    def __call__(self, values: Tensor) -> Tensor:
        self.state.restore()
        for buffer, value in self.buffers:
            buffer.value = value.clone()
        parts = values.split([parameter.value.numel() for parameter in self.parameters])
        for parameter, part in zip(self.parameters, parts, strict=True):
            parameter.grad = None
            parameter.value = part.reshape(parameter.value.shape)
        gradients(self.net, self.loss, self.inputs, self.targets)
        return _flat([torch.zeros_like(p.value) if p.grad is None else p.grad for p in self.parameters])


def _difference(gradient: Callable[[Tensor], Tensor], values: Tensor, vector: Tensor) -> tuple[Tensor, float]:
    """The product of the derivative of the gradient with a vector, and its relative error."""
    length = float(vector.norm())
    if length == 0:
        return torch.zeros_like(vector), 0.0
    best: tuple[Tensor, float] | None = None
    for step in STEPS:
        h = step * max(1.0, float(values.norm()) / values.numel() ** 0.5) / length
        one, half, quarter = (_central(gradient, values, vector, h / 2**halved) for halved in range(3))
        rough, fine = (4 * half - one) / 3, (4 * quarter - half) / 3
        error = float((fine - rough).norm() / fine.norm().clamp(min=1e-300))
        if best is None or error < best[1]:
            best = fine, error
        if error <= TOLERANCE / 100:
            break
    assert best is not None
    return best


def _central(gradient: Callable[[Tensor], Tensor], values: Tensor, vector: Tensor, h: float) -> Tensor:
    return (gradient(values + h * vector) - gradient(values - h * vector)) / (2 * h)


def _trained(net: Module, vector: Any, function: str) -> dict[str, Parameter]:
    """The trained parameters by name. Raises ArgumentError or ShapeError unless a vector fits them."""
    names = {name: parameter for name, parameter in net.named_param() if parameter.trainable}
    if not isinstance(vector, Mapping) or set(vector) != set(names):
        got = ", ".join(map(str, vector)) if isinstance(vector, Mapping) else kind_of(vector)
        raise ArgumentError(
            f"{function}: vector must be a dict with a tensor for each trained parameter, {', '.join(names)}, "
            f"got {got}"
        )
    for name, parameter in names.items():
        part = vector[name]
        if not isinstance(part, Tensor) or part.shape != parameter.value.shape:
            got = str(tuple(part.shape)) if isinstance(part, Tensor) else kind_of(part)
            raise ShapeError(
                f"{function}: vector must have the shape {tuple(parameter.value.shape)} for {name}, got {got}"
            )
    return names


def _flat(parts: list[Tensor]) -> Tensor:
    return torch.cat([part.flatten().double() for part in parts])


def _doubled(leaf: Any) -> Any:
    return leaf.double() if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf
