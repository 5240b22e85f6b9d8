"""A compiled step: made, checked against eager steps, and run."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim
from torch.fx import GraphModule

from mytorch.core import random_state
from mytorch.train.compiled.cache import KEY, fetch
from mytorch.train.compiled.key import key_of
from mytorch.train.compiled.package import temporary_folder
from mytorch.train.compiled.small_products import take_small_products
from mytorch.train.compiled.trace import Recipe, TraceError, arguments, trace
from mytorch.train.subnormal_numbers import SubnormalNumbersAsZero

UNROLLED, NODES = 10, 1000
"""At most so many steps a call, and so many operations: what is saved is the call, and compiling takes a while."""


@dataclass
class Program:
    """So many steps in one call."""

    recipe: Recipe
    steps: int
    loader: Any
    checked: bool = False
    """Whether its results were found equal to those of eager steps."""

    def run(self, carried: Sequence[Tensor], settings: Tensor, leaves: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Take the steps, which change the tensors of the carry in place. Returns the losses and their weights."""
        with SubnormalNumbersAsZero():
            losses, weights = self.loader.run([*carried, settings, *leaves])
        return losses, weights


@dataclass(frozen=True)
class Plan:
    """What a program is compiled from."""

    recipe: Recipe
    examples: Sequence[Tensor]
    """Tensors of the shapes and dtypes of one batch."""
    steps: int
    """Of one call."""
    key: str
    operations: int
    """Of one step."""

    def __str__(self) -> str:
        return f"{self.steps} training step{'s' * (self.steps > 1)} a call"

    def graph(self) -> GraphModule:
        """All steps of a call as one graph."""
        return trace(self.recipe, self.steps, self.examples)

    def arguments(self) -> list[Tensor]:
        """Tensors of the shapes and dtypes that the graph takes."""
        return arguments(self.recipe, self.steps, self.examples)


def plan_program(recipe: Recipe, steps_of: Callable[[int], int], examples: Sequence[Tensor]) -> Plan:
    """Trace one step, which decides how many make a call and the key in the cache.

    steps_of: gives the steps a call, from the largest count that is worth compiling.
    """
    graph = trace(recipe, 1, examples)
    steps = steps_of(max(1, min(UNROLLED, NODES // len(graph.graph.nodes))))
    return Plan(recipe, examples, steps, key_of(graph, steps), len(graph.graph.nodes))


def make_program(recipe: Recipe, steps_of: Callable[[int], int], examples: Sequence[Tensor], say: Any) -> Program:
    """Trace the step, and compile it unless the cache has it."""
    plan = plan_program(recipe, steps_of, examples)

    def compile_to(path: Path) -> None:
        say(f"compiling {plan}; this takes up to a minute, the first time")
        compile_package(plan.graph(), plan.arguments(), path, {KEY: plan.key})

    return Program(plan.recipe, plan.steps, fetch(plan.key, compile_to))


AS_EAGER = {"fallback_random": True, "emulate_precision_casts": True}
"""Settings by which torch's own draws come, and half precision is rounded after each operation."""
FOR_ONE_PROGRAM = {
    "aot_inductor.precompile_headers": False,  # which takes longer than it saves in a file or two
    "cpp.vec_isa_ok": True,  # the processor's instruction set as it names it, not after three programs to try it
}
"""Settings that halve the time of compiling a small network's step: 41 to 21 s of CPU time for the reference network.

The wrapper without optimisation would save a tenth more, but a step of the result takes a quarter longer.
"""
ANY_WEIGHTS = {
    "always_keep_tensor_constants": True,
    "joint_graph_constant_folding": False,  # which would make code of weights of one number
    "aot_inductor.package_constants_in_so": False,
}
"""Settings of a package that has no weights in it and is given them when it is loaded."""


def compile_package(
    graph: GraphModule, examples: list[Tensor], path: Path, metadata: dict[str, str], any_rows: bool = False
) -> None:
    """Compile a graph to machine code and write it as a package. Raises whatever torch and the compiler raise.

    any_rows: it takes any length of the first axis, the same of all inputs, and is given its weights when loaded.
    """
    settings = AS_EAGER | FOR_ONE_PROGRAM | {"aot_inductor.metadata": metadata} | (ANY_WEIGHTS if any_rows else {})
    shapes = tuple({0: Dim.DYNAMIC} for _ in examples) if any_rows else None
    with random_state(), torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(graph, tuple(examples), dynamic_shapes=shapes)
        for rows in exported.range_constraints.values():
            if rows.lower > 2 or rows.upper < sys.maxsize:
                raise TraceError(
                    f"Python code must not depend on the number of rows, got {rows.lower} to {rows.upper}"
                )
        import mytorch.train.compiled.product_kernel  # noqa: F401 - here, since it imports torch's compiler

        take_small_products(exported.graph_module)
        # torch names what it writes by the content, so that two processes which compile the same write the same files
        with temporary_folder() as apart, torch._inductor.config.patch({"aot_inductor.output_path": apart}):
            torch._inductor.aoti_compile_and_package(exported, package_path=str(path), inductor_configs=settings)


TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}
"""Of the change by the steps of one call: the rule of `mytorch parity`, and for float32 that of ten steps."""
IN_HALF_PRECISION = 0.05
"""The same where layers compute in half precision, in which sums that are taken in another order round differently."""


def difference(
    before: Sequence[Tensor | Sequence[Tensor]],
    compiled: Sequence[Tensor | Sequence[Tensor]],
    eager: Sequence[Tensor | Sequence[Tensor]],
    computed_in: torch.dtype | None = None,
) -> str | None:
    """What is different between compiled and eager steps from `before`, beyond rounding; None if nothing is.

    Each is a tensor, or several of one dtype that count as one: compared is its change, in the 2-norm. Whole numbers
    must be equal.
    computed_in: the dtype of the layers, if it is not that of the tensors.
    """
    for three in zip(before, compiled, eager, strict=True):
        start, found, expected = ([one] if isinstance(one, Tensor) else one for one in three)
        if not expected[0].is_floating_point():
            if not all(map(torch.equal, found, expected)):
                return "a count differs"
        elif all(value.isfinite().all() for value in expected):
            change, size, gap = _distance(expected, start), _distance(expected), _distance(found, expected)
            dtype = expected[0].dtype
            tolerance = TOLERANCE.get(computed_in or dtype, IN_HALF_PRECISION)
            if not gap <= tolerance * change + 10 * torch.finfo(dtype).eps * size:
                return f"they differ by {gap:.2g} where a change of {change:.2g} was due"
    return None


def _distance(values: Sequence[Tensor], others: Sequence[Tensor] | None = None) -> float:
    """The 2-norm of the difference of all values and others, or of the values."""
    pairs = ((value, 0) for value in values) if others is None else zip(values, others, strict=True)
    return math.hypot(*(float((value - other).double().norm()) for value, other in pairs))
