"""The conformance kit for layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from mytorch.core import Module
from mytorch.testing.declaration import Declaration
from mytorch.testing.kit import Check, Kit
from mytorch.testing.layer import batches, input_gradient, shapes, upstream
from mytorch.testing.module import contract, lazy, refusals
from mytorch.testing.module.kit import GRADIENTS, SHARED, TRACING, Reference, of_inputs, run_kit
from mytorch.testing.module.trial import Case
from mytorch.testing.report import Report

LAYER_CHECKS: tuple[Check, ...] = (
    *SHARED,
    contract.optional_inputs,
    input_gradient.without_input_gradient,
    batches.batch_invariance,
    batches.empty_batch,
    batches.single_row,
    batches.leading_dimensions,
    shapes.bad_shapes,
    refusals.no_tensor,
    refusals.requires_grad,
    lazy.lazy_sizes,
    lazy.lazy_refusals,
    upstream.upstream_shape,
)
LAYER_TAGS = {
    "mixes_batch": "rows of a batch depend on each other",
    "fixed_dimensions": "the number of axes is fixed",
    "sequence_first": "the second axis counts the rows, as in a recurrent layer",
    "lazy": "its sizes come from its first input",
    **TRACING,
}
LAYERS = Kit("check_layer", LAYER_CHECKS, minimum=24, tags=LAYER_TAGS, wanted=GRADIENTS)


def check_layer(
    factory: Callable[[], Module],
    *inputs: Any,
    options: Mapping[str, Any] | None = None,
    constant: Mapping[str, Any] | None = None,
    seed: int = 0,
    modes: Iterable[str] = ("train", "eval"),
    checks: Iterable[str] | None = None,
    tags: Iterable[str] = (),
    opt_out: Mapping[str, str] | None = None,
    reference: Reference | None = None,
) -> Report:
    """Check that a layer keeps the contract, and that its backward is the derivative of its forward.

    factory: builds a new layer at each call
    inputs: the arguments of forward, each a tensor (floating point becomes float64), a shape such as (4, 3), or a
        tuple of those for an input that is a tuple
    options: keyword arguments of forward, such as {"mask": mask}; if an axis of such a tensor has as many entries as
        there are rows, it is cut together with the rows
    constant: parameters some of whose entries are constants, with a gradient of zero, each with their index, such as
        {"weight": 0} for the row of an embedding that stands for padding
    seed: of all random numbers;  modes: train, eval, or both;  checks: names, if only some are wanted
    tags: "mixes_batch" for a layer whose rows depend on each other, "fixed_dimensions" for a fixed number of axes,
        "sequence_first" for a layer whose batch axis is the second one, as in a recurrent layer, "lazy" for one that
        takes its sizes from its first input, "not_traceable" for one that torch.compile cannot compile as one graph
    opt_out: checks that are known to fail, each with the reason; if one passes in every mode, it is an error
    reference: the formula in operations of torch, `reference(parameters, *inputs, **options)` with a dict of tensors
        by name, with whose autograd gradients the results are compared; needed if autograd cannot differentiate the
        layer's forward
    Returns a Report of what passed. Raises CheckError at the first check that fails, or if too few checks applied;
    UnknownNameError for an unknown mode, check, tag or parameter; ArgumentError for a module in place of a factory.
    """
    case = Case(
        factory,
        inputs,
        seed,
        tags=frozenset(tags),
        reference=reference,
        options=options or {},
        constant=constant or {},
    )
    return run_kit(_kit(case.tags), case, modes, checks, opt_out)


def declare_layer(
    factory: Callable[[], Module],
    *inputs: Any,
    options: Mapping[str, Any] | None = None,
    constant: Mapping[str, Any] | None = None,
    seed: int = 0,
    modes: Iterable[str] = ("train", "eval"),
    tags: Iterable[str] = (),
    opt_out: Mapping[str, str] | None = None,
    reference: Reference | None = None,
) -> Declaration:
    """Declare a layer for pytest, in a test file: `test_scale = declare_layer(lambda: Scale(3), (5, 3))`.

    The arguments are those of check_layer. Each check is a test of its own, such as
    `test_scale.py::test_scale::train/finite_differences`, which `-k finite` selects.
    """
    tags = tuple(tags)
    named: dict[str, Any] = {
        "options": options,
        "constant": constant,
        "seed": seed,
        "tags": tags,
        "reference": reference,
    }
    check = partial(check_layer, factory, *inputs, **named)
    return Declaration(check, of_inputs(_kit(tags), inputs, reference), dict(opt_out or {}), tuple(modes))


def _kit(tags: Iterable[str]) -> Kit:
    """The kit of layers, without what is about lazy ones if the tags do not say that it is one."""
    return LAYERS if "lazy" in tags else LAYERS.without("lazy_sizes", "lazy_refusals")
