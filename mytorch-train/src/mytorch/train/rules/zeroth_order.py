"""Zeroth-order gradients: two forward passes, a step along a random direction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from mytorch.core import Module, Rule, require_range, require_seed, require_whole
from mytorch.train.mean_loss import Weight
from mytorch.train.rules.perturbed import CLOSE, LEAST, Perturbed


class ZerothOrder(Rule):
    """Estimate the gradient by the difference of the losses on both sides along random directions (SPSA, MeZO).

    Formula:  d = mean over the samples of (L(p + epsilon * z) - L(p - epsilon * z)) / (2 * epsilon) * z, with z
              standard normal over all trained parameters p together, and L the loss of the batch
    Trains:   any net, with forward passes only, which keep nothing. A direction is drawn again from its seed where it
              is used, and takes no memory

    The mean of d over all directions is the gradient, up to terms of the order epsilon^2. Its variance grows with the
    number of parameters, so learning rates must be small. The loss in the history is the mean over the evaluations.

    epsilon: how far the weights are moved to either side.
    samples: the number of directions in a step, each of which takes two forward passes.
    seed: the seed of the directions.
    Raises: ArgumentError unless epsilon is at least 1e-8 and samples at least 1
    Source: Spall 1992, "Multivariate stochastic approximation using a simultaneous perturbation gradient
            approximation"; in the form of Malladi et al. 2023, "Fine-tuning language models with just forward passes"

    Example:
        >>> from mytorch.data import Disk
        >>> from mytorch.nn import CrossEntropyLoss, Linear, ReLU, Sequential
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import fit
        >>> from mytorch.train.rules import ZerothOrder
        >>> net = Sequential(Linear(2, 8), ReLU(), Linear(8, 2))
        >>> optimizer, options = SGD(net.param(), lr=0.01), {"epochs": 2, "batch_size": 20, "quiet": True}
        >>> training = fit(net, CrossEntropyLoss(), optimizer, Disk(200), rule=ZerothOrder(), **options)
        >>> len(training.history)
        2
    """

    forward_only: ClassVar[bool] = True
    refuses: ClassVar[Mapping[str, str]] = {"precision": CLOSE}
    conformance: ClassVar[dict[str, Any]] = {"lr": 0.005}

    def __init__(self, epsilon: float = 1e-3, samples: int = 1, seed: int = 0) -> None:
        require_range(self, "epsilon", epsilon, LEAST)
        require_whole(self, "samples", samples, 1)
        require_seed(self, seed)
        self.epsilon, self.samples, self.seed = epsilon, samples, seed

    def prepare(self, net: Module, loss: Module) -> None:
        """Begin the directions anew."""
        self._perturbed = Perturbed(type(self).__name__, net, loss, self.seed)

    def gradients(self, net: Module, loss: Module, inputs: Any, targets: Any) -> tuple[Tensor, Weight]:
        """Two forward passes for each direction."""
        return self.gradients_of_several(net, loss, [inputs], [targets])

    def gradients_of_several(
        self, net: Module, loss: Module, inputs: Sequence[Any], targets: Sequence[Any]
    ) -> tuple[Tensor, Weight]:
        """As for one batch of all rows."""
        around, epsilon = self._perturbed, self.epsilon
        seeds = around.seeds(self.samples)
        moves = [(seed, sign * epsilon) for seed in seeds for sign in (1, -1)]
        losses, weight = around.losses(net, loss, inputs, targets, moves)
        plus, minus = losses.reshape(-1, 2).T
        for seed, slope in zip(seeds, (plus - minus) / (2 * epsilon * self.samples), strict=True):
            around.accumulate(seed, slope)
        return losses.mean(), weight

    def state_dict(self) -> dict[str, Any]:
        """The generator of the directions."""
        return {"generator": self._perturbed.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the directions that would have come next."""
        self._perturbed.generator.set_state(state["generator"])
