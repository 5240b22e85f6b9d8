"""The conformance kit for functions of PyTorch that state their own backward."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError
from mytorch.plugins import shown
from mytorch.testing.expression import expression
from mytorch.testing.function.of_function import OfFunction
from mytorch.testing.inputs import drawn
from mytorch.testing.kit import Check, Kit
from mytorch.testing.module import contract, gradients, layout, modes, parameters
from mytorch.testing.module.kit import GRADIENTS, Reference, of_inputs
from mytorch.testing.module.trial import Case
from mytorch.testing.report import Report

FUNCTION_CHECKS: tuple[Check, ...] = (
    gradients.finite_differences,
    gradients.full_jacobian,
    gradients.autograd,
    gradients.reference,
    contract.structure,
    contract.same_tensor,
    contract.two_forwards,
    contract.nothing_written,
    parameters.float32,
    modes.determinism,
    layout.non_contiguous,
    layout.expanded_upstream,
    layout.float32_non_contiguous,
)
FUNCTIONS = Kit("check_function", FUNCTION_CHECKS, minimum=6, wanted=GRADIENTS)


def check_function(
    function: Any,
    *inputs: Any,
    arguments: Sequence[Any] = (),
    seed: int = 0,
    checks: Iterable[str] | None = None,
    opt_out: Mapping[str, str] | None = None,
    reference: Any = None,
) -> Report:
    """Check that the backward of a torch.autograd.Function is the derivative of its forward.

    Forward and backward are called directly, with an object in the place of `ctx` that keeps what they save. Autograd
    is not involved in this, so it can be used to check a forward that it can differentiate.
    `ctx`: autograd takes no part, so that a forward that it can follow is compared with it.

    function: the class
    inputs: the tensors that are the first arguments of forward, each a tensor (floating point becomes float64) or a
        shape
    arguments: the arguments of forward after these, such as numbers and None, for which backward returns None
    seed: of all random numbers;  checks: names, if only some are wanted
    opt_out: checks that are known to fail, each with the reason; if one passes, it is an error
    reference: the formula in operations of torch, `reference(*inputs, *arguments)`, with whose autograd gradients the
        results are compared; needed if autograd cannot differentiate the forward
    Returns a Report of what passed. Raises CheckError at the first check that fails, or if too few checks applied;
    UnknownNameError for an unknown check; ArgumentError for anything that is not such a class.
    """
    if not (isinstance(function, type) and issubclass(function, torch.autograd.Function)):  # noqa: TID251
        raise ArgumentError(
            f"check_function: function must be a class derived from torch.autograd.Function, got {shown(function)}"
        )
    formula: Reference | None = None if reference is None else lambda _, *x: reference(*x, *arguments)
    case = Case(lambda: OfFunction(function, arguments), inputs, seed, reference=formula)
    kit = of_inputs(FUNCTIONS, case.differentiated, reference)
    case = replace(case, inputs=drawn(inputs, seed), training=True)

    def reproduce(_mode: str, check: str) -> str:
        behind = [f"arguments={expression(tuple(arguments))}"] if arguments else []
        named = [*behind, f"seed={seed}", f"checks=({check!r},)"]
        return f"check_function({', '.join([function.__name__, *map(_shown, inputs), *named])})"

    return kit.run(lambda: function.__name__, {"": case}, reproduce, checks, opt_out)


def _shown(value: Any) -> str:
    return expression(value) if isinstance(value, Tensor | tuple) else shown(value)
