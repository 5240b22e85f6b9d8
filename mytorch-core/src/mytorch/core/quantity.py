"""The contract of a quantity of the backward: what it is shown, and what it tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from mytorch.core.module import Module
from mytorch.core.parameter import Parameter
from mytorch.core.sample_gradients import SampleGradients


@dataclass(frozen=True)
class LayerSeen:
    """A layer whose backward has just run.

    path: its name in the model;  module: the layer
    inputs, options: what its forward was given;  output: what it returned
    saved: what its forward saved, as it was before the backward; of a container, with what its layers saved
    d_output, d_input: the gradients that came in and that go on
    """

    path: str
    module: Module
    inputs: tuple[Any, ...]
    options: Mapping[str, Any]
    output: Any
    saved: Any
    d_output: Any
    d_input: Any


@dataclass(frozen=True)
class GradientSeen:
    """A parameter whose gradient is complete: nothing of this step adds to it any more.

    name: the parameter's name in the model
    grad: its gradient in the batch;  mean: the mean of the gradients of its samples
    samples: the gradient of every sample; None unless a quantity is `per_sample`
    """

    name: str
    parameter: Parameter
    grad: Tensor
    mean: Tensor
    samples: SampleGradients | None


class Quantity:
    """Computes something of the gradients while the backward runs, and keeps only what it needs of them.

    A subclass overrides some of the methods; `fit(..., quantities=[...])` calls them in every step, and writes what
    `results` returns into the history. What it is shown must not be changed, and is kept in memory by nothing else.

    per_sample: whether `gradient` needs the gradient of every sample.
    layers: whether `layer` is called, for every layer and not only for those with parameters.
    drawn: whether `curvature` is called in place of `layer` and `gradient`, before each step, by a forward and a
        backward more, in which each sample has a target that is drawn from the distribution which the net states
        (`Loss.hessian_root`).

    The gradient of a sample is its share in the gradient of the batch, times the number of samples if the loss is a
    mean over them: the gradient of the sample's own loss, unless the loss gives samples different weights.

    Example:
        >>> import torch
        >>> from mytorch.nn import Linear, MSELoss
        >>> from mytorch.core import Quantity
        >>> from mytorch.train.quantities import watch_gradients
        >>> class LargestNorm(Quantity):
        ...     per_sample = True
        ...     largest = 0.0
        ...     def gradient(self, seen):
        ...         self.largest = max(self.largest, float(seen.samples.squared_norms().max()) ** 0.5)
        ...     def names(self, net):
        ...         return ["largest_norm"]
        ...     def results(self):
        ...         return {"largest_norm": self.largest}
        >>> net, largest = Linear(2, 1), LargestNorm()
        >>> value, weight = watch_gradients(net, MSELoss(), torch.randn(5, 2), torch.randn(5, 1), [largest])
        >>> largest.results()["largest_norm"] > 0
        True
    """

    per_sample: ClassVar[bool] = False
    layers: ClassVar[bool] = False
    drawn: ClassVar[bool] = False

    def begin(self, net: Module) -> None:
        """A step begins."""

    def layer(self, seen: LayerSeen) -> None:
        """A layer's backward has run."""

    def gradient(self, seen: GradientSeen) -> None:
        """A parameter's gradient is complete."""

    def curvature(self, name: str, parameter: Parameter, samples: SampleGradients) -> None:
        """A parameter's gradients of single samples with drawn targets are complete; of a quantity that is `drawn`.

        The sum of their outer products estimates the generalised Gauss-Newton matrix of the batch without bias.
        name: the parameter's name in the model
        """

    def end(self, net: Module, rows: int) -> None:
        """The backward has ended; `rows` is the number of samples."""

    def names(self, net: Module) -> list[str]:  # noqa: ARG002
        """The names of the results."""
        return []

    def results(self) -> dict[str, float]:
        """What the history is to hold of the steps since the last call, by name; what comes later begins anew."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What decides what comes later, for a checkpoint: tensors and what JSON can hold."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
