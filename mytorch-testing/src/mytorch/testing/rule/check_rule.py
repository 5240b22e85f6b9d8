"""The conformance kit for learning rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from mytorch.core import Rule
from mytorch.testing.declaration import Declaration
from mytorch.testing.kit import Check, Kit, require_factory
from mytorch.testing.report import Report
from mytorch.testing.rule import claims, contract, state
from mytorch.testing.rule.nets import Task
from mytorch.testing.rule.trial import RuleCase, choose_build

RULE_CHECKS: tuple[Check, ...] = (
    contract.result,
    contract.adds,
    contract.unchanged,
    contract.repeatable,
    claims.no_weight_transport,
    claims.locality,
    claims.no_backward,
    claims.several_batches,
    claims.scaled_loss,
    claims.learns,
    state.plain_state,
    state.state_resumes,
    state.state_goes_back,
)
RULES = Kit("check_rule", RULE_CHECKS, minimum=7)
LR, STEPS = 0.05, 100


def check_rule(
    factory: Callable[[], Rule],
    *,
    build: Callable[[], tuple[object, ...]] | None = None,
    lr: float = LR,
    steps: int = STEPS,
    seed: int = 0,
    checks: Iterable[str] | None = None,
    opt_out: Mapping[str, str] | None = None,
) -> Report:
    """Check that a learning rule adds to gradients and changes nothing else, uses no more of the layers above than it
    says, learns, and that its state determines how a resumed training continues.

    factory: builds a new rule at each call
    build: returns a net, its loss, inputs and targets, all float64 and drawn from torch's generator; by default, the
        first chain of the kit that the rule trains: one that learns numbers, one that learns classes, and one whose
        units jump. Layers with a `weight` are those whose weights are changed; they must stand in a chain, and have
        more inputs than there are rows
    lr, steps: of a small training by gradient descent;  seed: of net and batch
    checks, opt_out: as in check_layer
    Returns and raises as check_layer does.

    Example:
        >>> from mytorch.core import Rule
        >>> from mytorch.testing import check_rule
        >>> class Backpropagation(Rule):
        ...     transposes = True
        ...     def gradients(self, net, loss, inputs, targets):
        ...         y, saved = net.forward(inputs)
        ...         value, saved_by_loss = loss.forward(y, targets)
        ...         net.backward(loss.backward(1.0, saved_by_loss), saved)
        ...         return value, loss.weight_of(y, targets)
        >>> check_rule(Backpropagation).counts
        '8 of 13 checks passed, 5 skipped; 8 different ones, at least 7 must'
    """
    require_factory(RULES.name, factory, Rule, "lambda: FeedbackAlignment(seed=1), say")
    name = type(factory()).__name__
    tried = choose_build(factory) if build is None else lambda: Task(*build())  # type: ignore[arg-type]
    case = RuleCase(factory, tried, seed, lr, steps)

    def reproduce(_: str, check: str) -> str:
        return f"{RULES.name}(lambda: {name}(...), seed={seed}, checks=({check!r},))"

    return RULES.run(lambda: name, {"": case}, reproduce, checks, opt_out)


def declare_rule(
    factory: Callable[[], Rule],
    *,
    build: Callable[[], tuple[object, ...]] | None = None,
    lr: float = LR,
    steps: int = STEPS,
    seed: int = 0,
    opt_out: Mapping[str, str] | None = None,
) -> Declaration:
    """Declare a learning rule for pytest. The arguments are those of check_rule; see declare_layer."""
    check = partial(check_rule, factory, build=build, lr=lr, steps=steps, seed=seed)
    return Declaration(check, RULES, dict(opt_out or {}))
