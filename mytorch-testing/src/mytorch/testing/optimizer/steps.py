"""Whether an optimizer follows its formula, for each parameter by itself, and goes on where it stopped."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from mytorch.core import ArgumentError, StateError, seed_torch
from mytorch.testing.compare import require_close
from mytorch.testing.errors import CheckError, Skip
from mytorch.testing.optimizer.trial import STEPS, OptimizerCase, OptimizerTrial, draw, objective

DESCENT_STEPS = 50
LATE = 1  # which parameter gets its first gradient late, or none


def reference(case: OptimizerCase) -> None:
    """After each step, the parameters equal those of the reference."""
    assert case.reference is not None, "a kit without a reference leaves this check out"
    trial = OptimizerTrial(case)
    theirs = [value.clone().requires_grad_() for value in trial.values]
    seed_torch(case.seed)
    optimizer = case.reference(theirs)
    curved = trial.optimizer.needs_closure

    def evaluate(number: int) -> Tensor:
        value, grads = objective([tensor.detach() for tensor in theirs], case.seed + 100 + number, curved)
        for tensor, grad in zip(theirs, grads, strict=True):
            tensor.grad = grad
        return value

    for number in range(STEPS):
        trial.run([number])
        evaluate(number)
        optimizer.step(*([partial(evaluate, number)] if curved else []))
        trial.require_values([tensor.detach() for tensor in theirs], f"equal the reference's after step {number + 1}")


def descends(case: OptimizerCase) -> None:
    """Steps along the gradients of sum((p - target)^2) / 2 reduce it (with the tag maximizes, increase it)."""
    trial = OptimizerTrial(case)
    targets = draw(case.seed + 1, case.shapes)

    def distance() -> Tensor:
        for parameter, target in zip(trial.parameters, targets, strict=True):
            parameter.grad = parameter.value - target
        pairs = zip(trial.parameters, targets, strict=True)
        return torch.stack([(p.value - target).square().sum() / 2 for p, target in pairs]).sum()

    before = distance()
    for _ in range(DESCENT_STEPS):
        trial.step(distance)
    after = distance()
    up = "maximizes" in case.tags
    if not (after > before if up else after < before):
        rule = "go up" if up else "go down"
        raise CheckError(
            f"sum((p - target)^2) / 2 must {rule} in {DESCENT_STEPS} steps, got {after:.6g} from {before:.6g}; "
            "has the update the wrong sign, or is lr too large?"
        )


def absent_gradient(case: OptimizerCase) -> None:
    """A parameter without a gradient is not changed and gets no state."""
    trial = OptimizerTrial(case)
    before = trial.values[LATE]
    trial.run(without=LATE)
    require_close("a parameter whose grad is None", trial.values[LATE], before, "stay what it is", rtol=0, atol=0)
    if trial.optimizer.state.get(trial.parameters[LATE]):
        raise CheckError("a parameter whose grad is None must get no state, got some")


def not_trainable(case: OptimizerCase) -> None:
    """A parameter with trainable=False is not changed, even if it has a gradient."""
    trial = OptimizerTrial(case)
    before = trial.values[LATE]
    trial.parameters[LATE].trainable = False
    trial.run()
    require_close("a parameter with trainable=False", trial.values[LATE], before, "stay what it is", rtol=0, atol=0)


def parameters_apart(case: OptimizerCase) -> None:
    """Each parameter is updated as it would be by an optimizer of its own."""
    trial = _unmixed(case)
    for number, expected in enumerate(OptimizerTrial(case).run().values):
        alone = trial.case.factory([trial.parameters[number]])
        for step in range(STEPS):
            trial.give_gradients(step)
            alone.step()
        rule = "be the same with an optimizer of its own (tag mixes_parameters otherwise)"
        require_close(f"the parameter of shape {tuple(expected.shape)}", trial.values[number], expected, rule)


def step_only(case: OptimizerCase) -> None:
    """Updating parameters one by one, the last first, equals whole steps to the bit, unless it mixes_parameters."""
    trial = OptimizerTrial(case)
    try:
        trial.optimizer.require_steps_apart()
    except ArgumentError as error:
        raise Skip(str(error)) from None
    seed_torch(case.seed)
    expected = OptimizerTrial(case).run().values
    seed_torch(case.seed)
    for number in range(STEPS):
        trial.give_gradients(number)
        for parameter in reversed(trial.parameters):
            trial.optimizer.step_only([parameter])
    rule = "be the same from step_only for one after the other as from step; if it cannot, set mixes_parameters = True"
    trial.require_values(expected, rule, rtol=0, atol=0)


def elementwise(case: OptimizerCase) -> None:
    """If the class sets elementwise = True, the two halves of a parameter are updated as in the whole."""
    trial = OptimizerTrial(case)
    if not trial.optimizer.elementwise:
        raise Skip("it does not state elementwise = True")
    parts = OptimizerTrial(case), OptimizerTrial(case)
    for half, part in enumerate(parts):
        for parameter in part.parameters:
            parameter.value = _half(parameter.value, half)
    for number in range(STEPS):
        trial.give_gradients(number)
        for half, part in enumerate(parts):
            for parameter, whole in zip(part.parameters, trial.parameters, strict=True):
                assert whole.grad is not None, "every parameter was given a gradient"
                grad = _half(whole.grad, half)
                parameter.grad = grad if len(grad) else None
            part.optimizer.step()
        trial.optimizer.step()
    joined = [torch.cat(halves) for halves in zip(*(part.values for part in parts), strict=True)]
    expected = [flat.view(p.value.shape) for flat, p in zip(joined, trial.parameters, strict=True)]
    rule = "be the same as its halves, each updated apart; if it cannot, set elementwise = False"
    trial.require_values(expected, rule)


def late_parameter(case: OptimizerCase) -> None:
    """A parameter that gets its first gradient later is updated as it would be by a new optimizer."""
    trial = _unmixed(case)
    trial.run(range(2), without=LATE).run(range(2, STEPS))
    other = OptimizerTrial(case)
    alone = case.factory([other.parameters[LATE]])
    for step in range(2, STEPS):
        other.give_gradients(step)
        alone.step()
    rule = "move as with a new optimizer when its first gradient comes at step 3"
    require_close("a parameter", trial.values[LATE], other.values[LATE], rule)


def groups(case: OptimizerCase) -> None:
    """Each group of parameters has its own learning rate."""
    trial = _unmixed(case)
    lr = _lr(trial)
    apart = OptimizerTrial(case)
    split = [{"params": trial.parameters[:2]}, {"params": trial.parameters[2:], "lr": lr / 2}]
    trial.optimizer = case.factory(split)
    for parameters, rate in ((apart.parameters[:2], lr), (apart.parameters[2:], lr / 2)):
        apart.optimizer = case.factory(parameters)
        apart.set_everywhere("lr", rate)
        apart.run()
    trial.run().require_values(apart.values, "be the same in a group with its lr as with an optimizer with that lr")


def setting_zero(case: OptimizerCase) -> None:
    """The learning rate is read at every step: once a schedule sets it to 0, no parameter changes."""
    if "keeps_lr" in case.tags:
        raise Skip("tag keeps_lr")
    trial = OptimizerTrial(case).run([0])
    before = trial.values
    trial.set_everywhere("lr", 0.0)
    trial.run([1]).require_values(before, "stay what it is once lr is 0", rtol=0, atol=0)


def setting_tensor(case: OptimizerCase) -> None:
    """A learning rate that is a 0-dim tensor has the same effect as the number."""
    trial = OptimizerTrial(case)
    trial.set_everywhere("lr", torch.tensor(_lr(trial), dtype=torch.float64))
    trial.run().require_values(OptimizerTrial(case).run().values, "be the same with lr as a tensor of no axes")


def bad_setting(case: OptimizerCase) -> None:
    """A negative learning rate raises an ArgumentError that names the optimizer."""
    trial = OptimizerTrial(case)
    _lr(trial)
    name = type(trial.optimizer).__name__
    try:
        case.factory([{"params": trial.parameters, "lr": -1.0}])
    except ArgumentError as error:
        if name not in str(error):
            raise CheckError(f"the ArgumentError must name {name}, got {str(error)!r}") from None
        return
    raise CheckError(f"lr of -1.0 must raise an ArgumentError that names {name}, got none: write check_settings")


def state_round_trip(case: OptimizerCase) -> None:
    """A new optimizer that loads the state continues like the original."""
    first = OptimizerTrial(case).run(range(3))
    second = OptimizerTrial(case)
    for parameter, value in zip(second.parameters, first.values, strict=True):
        parameter.value.copy_(value)
    seed_torch(case.seed)
    try:
        second.optimizer.load_state_dict(first.optimizer.state_dict())
    except StateError as error:
        raise CheckError(f"it must load its own state, got {type(error).__name__}: {error}") from error
    seed_torch(case.seed)
    expected = first.run(range(3, STEPS + 2)).values
    seed_torch(case.seed)
    second.run(range(3, STEPS + 2)).require_values(expected, "go on the same from loaded state as without a stop")


def _half(value: Tensor, number: int) -> Tensor:
    """A half of the numbers of a tensor, in one axis; of one number, the second half is empty."""
    return value.reshape(-1).tensor_split(2)[number].clone()


def _unmixed(case: OptimizerCase) -> OptimizerTrial:
    trial = OptimizerTrial(case)
    if "mixes_parameters" in case.tags or trial.optimizer.mixes_parameters:
        raise Skip("tag mixes_parameters")
    return trial


def _lr(trial: OptimizerTrial) -> float:
    if "lr" not in trial.optimizer.defaults:
        raise Skip("it has no setting 'lr'")
    lr = trial.optimizer.param_groups[0]["lr"]
    return lr.item() if isinstance(lr, Tensor) else lr
