"""Evolution strategies: a step towards those of many random variants of the weights that have lower losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from mytorch.core import Module, Rule, require_range, require_seed, require_whole
from mytorch.train.mean_loss import Weight
from mytorch.train.rules.perturbed import CLOSE, LEAST, Perturbed


class EvolutionStrategies(Rule):
    """Move the weights away from random variants with high losses, towards those with low ones.

    Formula:  d = 1 / (2 * pairs * sigma) * sum over the pairs of (r(p + sigma * z) - r(p - sigma * z)) * z, with z
              standard normal over all trained parameters p together; each z is used with both signs (antithetic
              sampling), and r is the rank of the variant's loss among all of them, from -1/2 for the lowest to 1/2
              for the highest (fitness shaping). Equal losses share the mean of their ranks; one that is not a number
              is in the middle
    Trains:   any net, with forward passes only, which keep nothing. A direction is drawn again from its seed where it
              is used, and takes no memory

    The ranks make the size of a step independent of the size of the losses, and of outliers among them. The loss in
    the history is the mean over the variants.

    pairs: the number of directions in a step, each of which takes two forward passes.
    sigma: the standard deviation of the variants around the weights.
    seed: the seed of the directions.
    Raises: ArgumentError unless pairs is at least 1 and sigma at least 1e-8
    Source: Salimans et al. 2017, "Evolution strategies as a scalable alternative to reinforcement learning"

    Example:
        >>> from mytorch.data import Disk
        >>> from mytorch.nn import CrossEntropyLoss, Linear, ReLU, Sequential
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import fit
        >>> from mytorch.train.rules import EvolutionStrategies
        >>> net = Sequential(Linear(2, 8), ReLU(), Linear(8, 2))
        >>> optimizer, options = SGD(net.param(), lr=0.01), {"epochs": 2, "batch_size": 20, "quiet": True}
        >>> training = fit(net, CrossEntropyLoss(), optimizer, Disk(200), rule=EvolutionStrategies(), **options)
        >>> len(training.history)
        2
    """

    forward_only: ClassVar[bool] = True
    refuses: ClassVar[Mapping[str, str]] = {"precision": CLOSE}

    def __init__(self, pairs: int = 16, sigma: float = 0.05, seed: int = 0) -> None:
        require_whole(self, "pairs", pairs, 1)
        require_range(self, "sigma", sigma, LEAST)
        require_seed(self, seed)
        self.pairs, self.sigma, self.seed = pairs, sigma, seed

    def prepare(self, net: Module, loss: Module) -> None:
        """Begin the directions anew."""
        self._perturbed = Perturbed(type(self).__name__, net, loss, self.seed)

    def gradients(self, net: Module, loss: Module, inputs: Any, targets: Any) -> tuple[Tensor, Weight]:
        """Two forward passes for each pair."""
        return self.gradients_of_several(net, loss, [inputs], [targets])

    def gradients_of_several(
        self, net: Module, loss: Module, inputs: Sequence[Any], targets: Sequence[Any]
    ) -> tuple[Tensor, Weight]:
        """As for one batch of all rows."""
        around = self._perturbed
        seeds = around.seeds(self.pairs)
        moves = [(seed, sign * self.sigma) for seed in seeds for sign in (1, -1)]
        losses, weight = around.losses(net, loss, inputs, targets, moves)
        above = losses.unsqueeze(1) - losses
        ranks = above.sign().nan_to_num().sum(1) / (2 * (len(losses) - 1))
        plus, minus = ranks.reshape(-1, 2).T
        for seed, slope in zip(seeds, (plus - minus) / (2 * self.pairs * self.sigma), strict=True):
            around.accumulate(seed, slope)
        return losses.mean(), weight

    def state_dict(self) -> dict[str, Any]:
        """The generator of the directions."""
        return {"generator": self._perturbed.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the directions that would have come next."""
        self._perturbed.generator.set_state(state["generator"])
