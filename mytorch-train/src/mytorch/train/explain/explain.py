"""One training step, watched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from mytorch.core import ArgumentError, Module, Optimizer, Parameter, add_path, require_kind, tree
from mytorch.train.choose_step import choose_step, is_in_backward, is_plain
from mytorch.train.clip_gradients import clip_gradient_values, clip_gradients
from mytorch.train.drawing import Drawing, first_row
from mytorch.train.explain.explanation import Explanation
from mytorch.train.explain.formula import formula_of
from mytorch.train.explain.numbers_of import Numbers, copied
from mytorch.train.explain.recorder import LOSS, Recorder
from mytorch.train.explain.shown import tokens_of
from mytorch.train.explain.steps import Step
from mytorch.train.gradients import gradients
from mytorch.train.observe import intercept
from mytorch.train.rules.rule_step import RuleStep, rule_name, unchanged_rule
from mytorch.train.setup import Setup, TakeStep
from mytorch.train.unchanged import unchanged


def explain(
    net: Module,
    loss: Module,
    x: Any,
    t: Any,
    optimizer: Optimizer | None = None,
    clip_grad_norm: float | None = None,
    clip_grad_value: float | None = None,
    step: Callable[..., Any] | None = None,
    tokens: Sequence[str] = (),
) -> Explanation:
    """Show what one training step on a batch does, layer by layer: formulas, shapes, numbers, memory, time, gradients.

    x, t: the inputs (a tuple if the model takes several) and the targets.
    optimizer: if given, the update is part of the step, with clipped gradients if clip_grad_norm or clip_grad_value is
        given.
    step: a step of your own, as in `fit`; each `optimizer.step` in it is shown as an update.
    tokens: texts for the steps of the first sequence of x, such as the characters of a text.
    The step is taken in training mode, beginning with gradients that are None. Afterwards model, loss, optimizer and
    random state are as before. It is taken twice, so that no time includes the costs of a first call.
    Raises ArgumentError for parts of the wrong kind, for a step of your own without an optimizer, and for one that
    updates during the backward pass.
    """
    require_kind("explain", "net", net, Module)
    require_kind("explain", "loss", loss, Module)
    if optimizer is not None:
        require_kind("explain", "optimizer", optimizer, Optimizer)
    own = None if step is None else _chosen(step, optimizer, clip_grad_norm, clip_grad_value)
    x, t = copied(x), copied(t)
    taken = []
    for draws in (True, False):
        with unchanged(net, loss, optimizer):
            net.train()
            recorder = Recorder(net, loss, draws, tokens)
            if own is not None:
                value = _own(recorder, net, loss, optimizer, own, x, t)
            else:
                with _watched(recorder, net, loss):
                    value, _ = gradients(net, loss, x, t)
                if optimizer is not None:
                    clipped = _clip(optimizer, clip_grad_norm, clip_grad_value)
                    _update(recorder, net, optimizer, optimizer.step, clipped)
            number = value.item()
        taken.append(recorder.steps())
    with unchanged(net, loss, optimizer):
        drawing = _drawn(net, x)
    return Explanation(f"One training step of {type(net).__name__}", number, _timed(*taken), drawing)


def explain_setup(setup: Setup, batch: int = 1) -> Explanation:
    """The step that a `Setup` takes on a batch of its next epoch, counted from 1; the order of its batches stays.

    A step that updates during the backward pass has the results of the plain one, which is explained in its place.
    One by a learning rule shows what flows back under the rule, which is as before afterwards, too.
    Raises ArgumentError for a batch that is not there.
    """
    count = len(setup.batches)
    if not 1 <= batch <= count:
        raise ArgumentError(f"explain: batch must be between 1 and {count}, the batches of an epoch, got {batch}")
    explanation = explain_batch(setup, *setup.batches.peek(batch))
    return replace(explanation, title=f"{explanation.title}, batch {batch} of {count}")


def explain_batch(setup: Setup, inputs: Any, targets: Any) -> Explanation:
    """The step that a `Setup` takes on a batch, as `explain` says; afterwards everything is as before."""
    plain = is_plain(setup.step) and setup.batches.accumulate == 1 and setup.precision is None
    options: dict[str, Any] = {"step": setup.step}
    if plain or is_in_backward(setup.step):
        options = dict(setup.step.keywords) if isinstance(setup.step, partial) else {}
    scale = {} if setup.precision is None else setup.precision.state_dict()
    values = [held.value for held in setup.tensors]
    try:
        with setup.storing(), unchanged_rule(setup.step, setup.net, setup.loss, setup.optimizer):
            tokens = tokens_of(setup.batches.data, inputs)
            found = explain(setup.net, setup.loss, inputs, targets, setup.optimizer, tokens=tokens, **options)
            rule = rule_name(setup.step)
            return found if rule is None else replace(found, title=f"{found.title} by the rule {rule}")
    finally:
        for held, value in zip(setup.tensors, values, strict=True):
            held.value = value  # and not what it was in half precision
        if setup.precision is not None:
            setup.precision.load_state_dict(scale)


def _drawn(net: Module, x: Any) -> dict[str, Any] | None:
    """The network as it is for the first row; None where it takes no single row."""
    try:
        return Drawing(net, first_row(x)).page()
    except Exception:  # whatever it is, the numbers of the step are worth showing without a drawing
        return None


def _timed(drawn: Sequence[Step], timed: Sequence[Step]) -> tuple[Step, ...]:
    """The steps with their pictures, and with the times of those that nobody drew."""
    if len(drawn) != len(timed):  # a step of the user's that depends on more than its arguments
        return tuple(drawn)
    return tuple(replace(step, seconds=same.seconds) for step, same in zip(drawn, timed, strict=True))


def _chosen(
    step: Callable[..., Any], optimizer: Optimizer | None, clip_grad_norm: float | None, clip_grad_value: float | None
) -> TakeStep:
    if optimizer is None:
        raise ArgumentError("explain: optimizer must be given with a step of your own, which updates, got None")
    if is_in_backward(step):
        raise ArgumentError(
            "explain: step must update after the backward pass, got step_in_backward, whose results are those of the "
            "plain step; leave it out"
        )
    if is_plain(step) or isinstance(step, RuleStep):
        return step
    return choose_step(optimizer, clip_grad_norm, own=step, clip_grad_value=clip_grad_value)


@contextmanager
def _watched(recorder: Recorder, net: Module, loss: Module) -> Iterator[None]:
    """Within this context, the recorder writes down what layers and loss do; an error names the path to the layer."""
    inside_loss = ((f"{LOSS}.{path}" if path else LOSS, module) for path, module in loss.named_modules())
    try:
        with intercept(tree.once([*net.named_modules(), *inside_loss]), recorder.around):
            yield
    except Exception as error:
        add_path(error, net)
        raise


def _own(recorder: Recorder, net: Module, loss: Module, optimizer: Any, take_step: TakeStep, x: Any, t: Any) -> Any:
    """Take a step of the user's. The optimizer is left with a `step` of its own, which `unchanged` removes."""
    update = optimizer.step

    def watched(*args: Any, **kwargs: Any) -> Any:
        return _update(recorder, net, optimizer, partial(update, *args, **kwargs))

    optimizer.step = watched
    with _watched(recorder, net, loss):
        return take_step(net, loss, optimizer, x, t)[0]


def _clip(optimizer: Optimizer, clip_grad_norm: float | None, clip_grad_value: float | None) -> str:
    clipped = ""
    if clip_grad_norm is not None:
        clip_gradients(optimizer, clip_grad_norm)
        clipped = f", d clipped to a norm of {clip_grad_norm:g}"
    if clip_grad_value is not None:
        clip_gradient_values(optimizer, clip_grad_value)
        clipped += f", each number of d clipped to {clip_grad_value:g}"
    return clipped


def _update(recorder: Recorder, net: Module, optimizer: Optimizer, take: Callable[[], Any], clipped: str = "") -> Any:
    """Call `take`, which updates, and write down what it did."""
    with recorder.clock.stopped():
        active = [(name, parameter) for name, parameter in net.named_param() if parameter.grad is not None]
        followed = tuple(Numbers.of(f"d_{name}", one.grad) for name, one in active if one.grad is not None)
        before = _values(active)
    began = recorder.clock.now()
    result = take()
    seconds = recorder.clock.now() - began
    with recorder.clock.stopped():
        recorder.add(
            Step(
                "update",
                "optimizer",
                type(optimizer).__name__,
                depth=0,
                use=1,
                summary=f"{optimizer!r}{clipped}",
                formula=formula_of(type(optimizer), "update"),
                inputs=before,
                outputs=_values(active),
                gradients=followed,
                seconds=seconds,
            )
        )
    return result


def _values(named: list[tuple[str, Parameter]]) -> tuple[Numbers, ...]:
    return tuple(Numbers.of(name, parameter.value) for name, parameter in named)
