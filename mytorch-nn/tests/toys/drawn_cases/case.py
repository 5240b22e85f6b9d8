"""What hypothesis draws of a class that torch.nn has, too, and where the strategies of all classes are found."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from hypothesis import strategies as st

LEADING = st.sampled_from([(), (0,), (1,), (3,)])
"""The axes of a batch: none, no row, one, several."""


@dataclass(frozen=True)
class Case:
    """A way to build a class, in mytorch.nn and in torch.nn, and what its forward is given.

    arguments: of the constructor
    inputs:    of forward, floating-point tensors in float64; those of a loss begin with its predictions
    options:   keyword arguments of forward
    targets:   how many of the inputs are targets of a loss, the last ones
    make:      builds it from mytorch.nn or torch.nn, where arguments alone do not: modules that hold modules
    """

    arguments: dict[str, Any] = field(default_factory=dict)
    inputs: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    targets: int = 0
    make: Callable[[Any], Any] | None = None


STRATEGIES: dict[str, st.SearchStrategy[Case]] = {}
"""Of each class by its name; the modules of this package put theirs here."""


def strategy(*names):
    """Register what draws a Case of each of these classes; it is given `draw` and the name.

    The random numbers of a case follow from a seed that is drawn, so that an example can be run again.
    """

    def register(function):
        @st.composite
        def seeded(draw, name):
            torch.manual_seed(draw(st.integers(0, 999)))
            return function(draw, name)

        STRATEGIES.update({name: seeded(name) for name in names})
        return function

    return register


def numbers(draw, *shape):
    """Random numbers of both signs; in half of the cases whole ones, with zeros and with ties among them."""
    if draw(st.booleans()):
        return torch.randn(shape, dtype=torch.float64)
    return torch.randint(-2, 3, shape).double()


def several(draw, count, low, high):
    """As many whole numbers between two bounds."""
    return tuple(draw(st.integers(low, high)) for _ in range(count))


def one_or_several(draw, count, low, high):
    """One whole number for all axes, or one for each."""
    return draw(st.integers(low, high)) if draw(st.booleans()) else several(draw, count, low, high)


def dimensions(name):
    """How many axes behind the channels a class is for, which its name says."""
    return int(name[-2])


def of_dimensions(*kinds):
    """The names of classes that there are for one, two and three axes."""
    return [f"{kind}{axes}d" for kind in kinds for axes in (1, 2, 3)]
