"""The conformance kit for layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from mytorch.core import Module
from mytorch.testing.declaration import Declaration
from mytorch.testing.kit import Check, Kit
from mytorch.testing.layer import batches, input_gradient, shapes
from mytorch.testing.module.kit import GRADIENTS, SHARED, TRACING, Reference, run_kit
from mytorch.testing.report import Report

LAYER_CHECKS: tuple[Check, ...] = (
    *SHARED,
    input_gradient.without_input_gradient,
    batches.batch_invariance,
    batches.empty_batch,
    batches.single_row,
    batches.leading_dimensions,
    shapes.bad_shapes,
)
LAYER_TAGS = {
    "mixes_batch": "rows of a batch depend on each other",
    "fixed_dimensions": "the number of axes is fixed",
    **TRACING,
}
LAYERS = Kit("check_layer", LAYER_CHECKS, minimum=18, tags=LAYER_TAGS, wanted=GRADIENTS)


def check_layer(
    factory: Callable[[], Module],
    *inputs: Any,
    seed: int = 0,
    modes: Iterable[str] = ("train", "eval"),
    checks: Iterable[str] | None = None,
    tags: Iterable[str] = (),
    opt_out: Mapping[str, str] | None = None,
    reference: Reference | None = None,
) -> Report:
    """Check that a layer keeps the contract and that its backward is the derivative of its forward.

    factory: builds a new layer at each call
    inputs: what its forward takes, each a tensor (floating point becomes float64) or a shape such as (4, 3)
    modes: train, eval, or both;  checks: names, if only some are wanted
    tags: "mixes_batch" for a layer whose rows depend on each other, "fixed_dimensions" for a fixed number of axes,
        "not_traceable" for one that torch.compile cannot take whole
    opt_out: checks that are known to fail, each with the reason; one that passes in every mode fails the kit
    reference: the formula in torch's operations, `reference(parameters, *inputs)` with a dict of tensors by name,
        whose autograd the gradients are compared with; wanted where autograd cannot follow the layer's own forward
    Returns a Report of what passed. Raises CheckError at the first check that fails, or if too few of them had
    anything to say; UnknownNameError for a mode, check or tag that there is not; ArgumentError for a module in place
    of a factory.
    """
    return run_kit(LAYERS.given(reference), factory, inputs, seed, modes, checks, None, tags, opt_out, reference)


def declare_layer(
    factory: Callable[[], Module],
    *inputs: Any,
    seed: int = 0,
    modes: Iterable[str] = ("train", "eval"),
    tags: Iterable[str] = (),
    opt_out: Mapping[str, str] | None = None,
    reference: Reference | None = None,
) -> Declaration:
    """Declare a layer: `test_scale = declare_layer(lambda: Scale(3), (5, 3))` in a test file.

    The arguments are those of check_layer. With pytest, each check is a test, such as
    `test_scale.py::test_scale::train/finite_differences`, which `-k finite` finds.
    """
    check = partial(check_layer, factory, *inputs, seed=seed, tags=tuple(tags), reference=reference)
    return Declaration(check, LAYERS.given(reference), dict(opt_out or {}), tuple(modes))
