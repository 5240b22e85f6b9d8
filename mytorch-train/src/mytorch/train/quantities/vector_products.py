"""Products of the Jacobian, the generalised Gauss-Newton matrix and the Hessian of a batch with a vector."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from mytorch.core import (
    ArgumentError,
    Directions,
    Module,
    Parameter,
    SampleGradients,
    ShapeError,
    add_path,
    kind_of,
)
from mytorch.train.errors import NotFiniteError
from mytorch.train.gradients import forward, loss_forward
from mytorch.train.quantities.curvature import OfColumns, show_curvature
from mytorch.train.quantities.structure import is_nested, mapped, tensors, with_entries
from mytorch.train.quantities.tangents_by_differences import tangents_for_all
from mytorch.train.unchanged import unchanged

Vector = Mapping[str, Tensor]
"""A tensor for each trained parameter, by its name and in its shape."""


def jacobian_vector_product(net: Module, inputs: Any, vector: Vector) -> Any:
    """How the prediction for a batch changes as the parameters move along a vector, in the prediction's structure.

    Formula:  J @ v, with J the derivative of the prediction with respect to all parameters: the derivative of
              net(inputs) at parameters + s * v by s, at s = 0
    It takes one forward, and the `tangent` of every layer. A layer that does not state it is computed at several
    places near by, as a QuantityWarning says.

    vector: a tensor for each trained parameter, by its name.
    Raises ArgumentError for a vector of other names, ShapeError for one of other shapes.

    Example:
        >>> import torch
        >>> from mytorch.nn import Linear
        >>> from mytorch.train.quantities import jacobian_vector_product
        >>> net, x = Linear(2, 1, bias=False), torch.tensor([[1.0, 2.0]])
        >>> jacobian_vector_product(net, x, {"weight": torch.tensor([[1.0, 3.0]])})
        tensor([[7.]])
    """
    names = _trained(net, vector, "jacobian_vector_product")
    with _along(net, net, names, vector) as along:
        prediction, saved = forward(net, inputs)
        t_prediction, _ = _tangent(net, inputs, prediction, saved, along)
    return mapped(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, t_prediction)


def ggn_vector_product(
    net: Module, loss: Module, inputs: Any, targets: Any, vector: Vector, samples: int | None = None
) -> dict[str, Tensor]:
    """The product of the generalised Gauss-Newton matrix of a batch with a vector, by the name of the parameter.

    Formula:  GGN @ v = transpose(J) @ H @ J @ v, with J the derivative of the prediction with respect to all
              parameters and H the Hessian of the loss with respect to the prediction
    It takes one forward, the `tangent` of every layer, the `backward_tangent` of the loss, and one backward, and the
    net may mix the batch. A layer or loss that does not state these is computed at several places near by, as a
    QuantityWarning says.

    vector: a tensor for each trained parameter, by its name.
    samples: as in `ggn_diagonal`: an estimate from so many drawn targets for each sample, by a backward for each.
    Raises ArgumentError for a vector of other names, and with `samples` as `ggn_diagonal` does; ShapeError for one of
    other shapes; NotFiniteError for a prediction that is not finite.
    Source:   Schraudolph 2002, "Fast curvature matrix-vector products for second-order gradient descent"

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
    if samples is not None:
        product = _Product(vector)
        show_curvature(net, loss, inputs, targets, samples, product)
        return _by_name(names, product.found)
    with _along(net, loss, names, vector) as along:
        prediction, saved = forward(net, inputs)
        if not all(leaf.isfinite().all() for leaf in tensors(prediction)):
            raise NotFiniteError("curvature: the prediction must be finite, got NaN or infinity")
        t_prediction, _ = _tangent(net, inputs, prediction, saved, along)
        _, t_d_prediction = _loss_tangent(loss, prediction, targets, t_prediction, along)
        net.zero_grad()
        net.backward(t_d_prediction, saved)
        found = _gradients(names)
    return _by_name(names, found)


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

    Formula:  H @ v: the derivative of the gradient at parameters + s * v by s, at s = 0
    It takes one forward, and the `tangent` and `backward_tangent` of every layer and of the loss, with the random
    numbers of this forward; the net may mix the batch. At a kink, such as that of a ReLU, it is that of the side which
    the backward takes. A layer that does not state these is computed at several places near by in float64, as a
    QuantityWarning says; the relative error is then about 1e-9, and told if it is larger.

    vector: a tensor for each trained parameter, by its name.
    Raises ArgumentError for a vector of other names, ShapeError for one of other shapes.
    Source:   Pearlmutter 1994, "Fast exact multiplication by the Hessian"

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
    with _along(net, loss, names, vector) as along:
        prediction, saved = forward(net, inputs)
        t_prediction, t_saved = _tangent(net, inputs, prediction, saved, along)
        d_prediction, t_d_prediction = _loss_tangent(loss, prediction, targets, t_prediction, along)
        net.zero_grad()
        net.backward_tangent(d_prediction, t_d_prediction, saved, t_saved, along)
        found = _gradients(names)
    return _by_name(names, found)


@contextmanager
def _along(net: Module, loss: Module, names: Mapping[str, Parameter], vector: Vector) -> Iterator[Directions]:
    """Within this context, every layer has its tangents, and everything may change; after it, all is as it was."""
    try:
        with unchanged(net, loss), tangents_for_all(net, loss):
            for module in net.modules():  # any of them may have been told that nobody wants its input's gradient
                vars(module)["input_grad"] = True
            net.input_grad = False
            yield Directions({parameter: vector[name] for name, parameter in names.items()})
    except Exception as error:
        add_path(error, net)
        raise


def _tangent(net: Module, inputs: Any, prediction: Any, saved: Any, along: Directions) -> tuple[Any, Any]:
    """The tangent of the prediction, with zeros where it does not move, and what the backward needs of it."""
    if isinstance(inputs, Mapping):
        count = len(inspect.signature(net.forward).bind(**inputs).args)
    else:
        count = len(inputs) if isinstance(inputs, (tuple, list)) else 1
    t_prediction, t_saved = net.tangent(None if count == 1 else (None,) * count, saved, along)
    return _filled(prediction, t_prediction), t_saved


def _filled(output: Any, t_output: Any) -> Any:
    """The tangents with zeros in place of None wherever an output is floating-point."""
    if is_nested(output):
        entries = list(output.values() if isinstance(output, Mapping) else output)
        names = list(output) if isinstance(output, Mapping) else range(len(entries))
        parts = [None] * len(entries) if t_output is None else [t_output[name] for name in names]
        return with_entries(output, [_filled(*pair) for pair in zip(entries, parts, strict=True)])
    moves = t_output is None and isinstance(output, Tensor) and output.is_floating_point()
    return torch.zeros_like(output) if moves else t_output


def _loss_tangent(
    loss: Module, prediction: Any, targets: Any, t_prediction: Any, along: Directions
) -> tuple[Any, Any]:
    """The gradient of the loss with respect to the prediction, and how it changes: its Hessian times t_prediction."""
    _, saved = loss_forward(loss, prediction, targets)
    _, t_saved = loss.tangent(t_prediction, saved, along)
    return loss.backward_tangent(1.0, 0.0, saved, t_saved, along)


def _gradients(names: Mapping[str, Parameter]) -> dict[str, Tensor]:
    return {name: parameter.grad for name, parameter in names.items() if parameter.grad is not None}


def _by_name(names: Mapping[str, Parameter], found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: found[name].clone() if name in found else torch.zeros_like(parameter.value)
        for name, parameter in names.items()
    }


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
