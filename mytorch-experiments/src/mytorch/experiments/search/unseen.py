"""Drawing settings that were not tried before, where there are only so many."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import prod
from random import Random
from typing import Any

from mytorch.experiments.search.space import Space

ATTEMPTS = 20
"""So many times Optuna is asked for settings; then they are drawn with equal probability."""


class Unseen:
    """A sampler of Optuna that proposes each combination of settings once; in all else it is the one that it holds.

    spaces, distributions: what is tried, ours and Optuna's, by Optuna's names; all spaces have a count.
    seen: the combinations that were tried, as Optuna keeps them, in this order; at least one is left.
    """

    def __init__(
        self,
        sampler: Any,
        spaces: Mapping[str, Space],
        distributions: Mapping[str, Any],
        seen: Collection[tuple[Any, ...]],
        seed: int,
    ) -> None:
        self._sampler, self._spaces, self._distributions = sampler, spaces, dict(distributions)
        self._seen, self._seed = set(seen), seed

    def infer_relative_search_space(self, _study: Any, _trial: Any) -> dict[str, Any]:
        """All settings are drawn together."""
        return self._distributions

    def sample_relative(self, study: Any, trial: Any, space: Mapping[str, Any]) -> dict[str, Any]:
        """A combination that was not tried."""
        for _ in range(ATTEMPTS):
            drawn = {name: self._sampler.sample_independent(study, trial, name, one) for name, one in space.items()}
            if tuple(drawn.values()) not in self._seen:
                return drawn
        count = prod(one.count or 1 for one in self._spaces.values())
        first = Random(self._seed).randrange(count)
        places = ((first + further) % count for further in range(count))
        return next(drawn for drawn in map(self._at, places) if tuple(drawn.values()) not in self._seen)

    def _at(self, place: int) -> dict[str, Any]:
        """The combination at a place among all of them."""
        drawn = {}
        for name, space in self._spaces.items():
            place, at = divmod(place, space.count or 1)
            drawn[name] = space.kept(at)
        return drawn

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sampler, name)
