"""An optimizer under test, with parameters and an objective that are the same every time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Optimizer, Parameter, seed_torch
from mytorch.testing.compare import require_close
from mytorch.testing.errors import CheckError, Skip, tried

SHAPES = ((3, 4), (5,), (), (1, 2))
STEPS = 5


@dataclass(frozen=True)
class OptimizerCase:
    """What is checked: a way to build an optimizer of given parameters.

    shapes: of the parameters.
    reference: builds the same optimizer of torch tensors that require grad; None if there is none.
    """

    factory: Callable[[Any], Optimizer]
    seed: int = 0
    tags: frozenset[str] = frozenset()
    reference: Callable[[list[Tensor]], Any] | None = None
    shapes: tuple[tuple[int, ...], ...] = SHAPES


class OptimizerTrial:
    """A new optimizer of parameters of odd shapes; steps move them by random gradients of both signs."""

    def __init__(self, case: OptimizerCase, dtype: torch.dtype = torch.float64, shapes: Any = None) -> None:
        self.case = case
        self.parameters = [Parameter(value.to(dtype)) for value in draw(case.seed, shapes or case.shapes)]
        seed_torch(case.seed)
        self.optimizer = case.factory(self.parameters)
        if not isinstance(self.optimizer, Optimizer):
            raise CheckError(f"factory must return a mytorch.core.Optimizer, got {type(self.optimizer).__name__}")

    def give_gradients(self, number: int, without: int | None = None) -> Tensor:
        """Give the gradients of the objective of a step; the parameter `without` gets none. Returns the objective."""
        curved = self.optimizer.needs_closure
        value, grads = objective([p.value.double() for p in self.parameters], self.case.seed + 100 + number, curved)
        for place, (parameter, grad) in enumerate(zip(self.parameters, grads, strict=True)):
            parameter.grad = None if place == without else grad.to(parameter.value.dtype)
        return value

    def step(self, evaluate: Callable[[], Any]) -> Any:
        """Take a step by the gradients that `evaluate` gives; an optimizer that needs a closure is given it."""
        if self.optimizer.needs_closure:
            return self.optimizer.step(evaluate)
        evaluate()
        return self.optimizer.step()

    def run(self, steps: Iterable[int] = range(STEPS), without: int | None = None) -> OptimizerTrial:
        """Take steps of these numbers; the parameter `without` gets no gradient."""
        for number in steps:
            with tried(lambda: "step()"):
                self.step(partial(self.give_gradients, number, without))
        return self

    def set_everywhere(self, name: str, value: object) -> None:
        """Change a setting of every group; Skip if there is none of that name."""
        if name not in self.optimizer.defaults:
            raise Skip(f"it has no setting {name!r}")
        for group in self.optimizer.param_groups:
            group[name] = value

    @property
    def values(self) -> list[Tensor]:
        """Copies of the parameters' values."""
        return [parameter.value.clone() for parameter in self.parameters]

    def require_values(self, expected: list[Tensor], rule: str, rtol: float = 1e-8, atol: float = 1e-10) -> None:
        """Raise CheckError unless each parameter has its expected value."""
        for actual, wanted in zip(self.values, expected, strict=True):
            name = f"the parameter of shape {tuple(wanted.shape)}"
            require_close(name, actual.double(), wanted.double(), rule, rtol=rtol, atol=atol)


def draw(seed: int, shapes: Iterable[tuple[int, ...]]) -> list[Tensor]:
    """Random tensors in float64 of both signs."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, dtype=torch.float64, generator=generator) for shape in shapes]


def objective(values: Sequence[Tensor], seed: int, curved: bool) -> tuple[Tensor, list[Tensor]]:
    """sum(g * p) with random g, and its gradients, which do not depend on the values, as those of the next batch do.

    curved: sum(g * p + c * p^2 / 2) with random c above 0 in its place, for an optimizer that evaluates it several
        times in a step.
    """
    slopes = draw(seed, [tuple(value.shape) for value in values])
    curvatures = [1 + slope.abs() if curved else torch.zeros_like(slope) for slope in slopes]
    parts = [(g * p + c * p.square() / 2).sum() for g, c, p in zip(slopes, curvatures, values, strict=True)]
    grads = [g + c * p if curved else g for g, c, p in zip(slopes, curvatures, values, strict=True)]
    return torch.stack(parts).sum(), grads
