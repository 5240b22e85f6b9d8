"""The conformance kit for optimizers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from mytorch.core import Optimizer
from mytorch.testing.declaration import Declaration
from mytorch.testing.kit import Check, Kit, on_one_line, require_factory
from mytorch.testing.optimizer import memory, state, steps
from mytorch.testing.optimizer.trial import SHAPES, OptimizerCase, OptimizerTrial
from mytorch.testing.report import Report

OPTIMIZER_CHECKS: tuple[Check, ...] = (
    steps.reference,
    steps.descends,
    steps.absent_gradient,
    steps.not_trainable,
    steps.parameters_apart,
    steps.step_only,
    steps.elementwise,
    steps.late_parameter,
    steps.groups,
    steps.setting_zero,
    steps.setting_tensor,
    steps.bad_setting,
    steps.state_round_trip,
    state.state_rewinds,
    state.state_foreign,
    state.closure,
    state.unknown_setting,
    memory.gradients_unwritten,
    memory.value_in_place,
    memory.zero_grad,
    memory.float32,
    memory.moved,
    memory.non_contiguous,
    memory.no_elements,
    memory.determinism,
    memory.inference_mode,
    memory.no_autograd,
    memory.traceable,
)
OPTIMIZERS = Kit(
    "check_optimizer",
    OPTIMIZER_CHECKS,
    minimum=17,
    tags={
        "maximizes": "it goes up along the gradient",
        "mixes_parameters": "how a parameter moves depends on the others, as with a norm over all gradients",
        "keeps_lr": "a step goes by a learning rate that was read before it: a change counts later, or never",
        "not_traceable": "torch.compile cannot take a step as one graph, by its nature",
    },
)


def check_optimizer(
    factory: Callable[[Any], Optimizer],
    *,
    seed: int = 0,
    checks: Iterable[str] | None = None,
    tags: Iterable[str] = (),
    opt_out: Mapping[str, str] | None = None,
    reference: Callable[[list[Tensor]], Any] | None = None,
    shapes: Sequence[tuple[int, ...]] = SHAPES,
) -> Report:
    """Check that an optimizer keeps the contract, and, with a reference, that it follows its formula.

    factory: builds a new optimizer for the parameters, or dicts of them, that it is called with, such as
        `lambda p: SGD(p, lr=0.1)`
    checks, opt_out: as in check_layer
    tags: "maximizes" for one that increases the loss, "mixes_parameters" for one in which the update of a parameter
        depends on others (like the class attribute of this name, which training uses), "keeps_lr" for one that reads
        lr before the step, "not_traceable"
    shapes: of the parameters, for an optimizer that does not accept every shape: four different ones
    reference: builds the same for torch tensors with `.grad`, such as `lambda p: torch.optim.SGD(p, lr=0.1)`; every
        step is compared with its `step()`
    Returns and raises as check_layer does.
    """
    kit, tags = OPTIMIZERS.given(reference), frozenset(tags)
    kit.require_known("tag", tags, kit.tags)
    require_factory(kit.name, factory, Optimizer, "lambda params: SGD(params, lr=0.1), say")
    case = OptimizerCase(factory, seed, tags, reference, tuple(shapes))

    def part() -> str:
        return on_one_line(OptimizerTrial(case).optimizer)

    def reproduce(_: str, check: str) -> str:
        named = ", reference=..." if reference is not None else ""
        tagged = f", tags={tuple(sorted(tags))}" if tags else ""
        built = _built(OptimizerTrial(case).optimizer)
        shaped = f", shapes={case.shapes}" if case.shapes != SHAPES else ""
        return f"{kit.name}(lambda params: {built}{named}{tagged}{shaped}, seed={seed}, checks=({check!r},))"

    return kit.run(part, {"": case}, reproduce, checks, opt_out)


def declare_optimizer(
    factory: Callable[[Any], Optimizer],
    *,
    seed: int = 0,
    tags: Iterable[str] = (),
    opt_out: Mapping[str, str] | None = None,
    reference: Callable[[list[Tensor]], Any] | None = None,
    shapes: Sequence[tuple[int, ...]] = SHAPES,
) -> Declaration:
    """Declare an optimizer for pytest. The arguments are those of check_optimizer; see declare_layer."""
    check = partial(check_optimizer, factory, seed=seed, tags=tuple(tags), reference=reference, shapes=tuple(shapes))
    return Declaration(check, OPTIMIZERS.given(reference), dict(opt_out or {}))


def _built(optimizer: Optimizer) -> str:
    settings = ", ".join(f"{name}={value!r}" for name, value in optimizer.defaults.items())
    return f"{type(optimizer).__name__}(params, {settings})"
