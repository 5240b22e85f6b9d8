"""Whether a learning rule adds to gradients, and changes nothing else."""

from __future__ import annotations

import torch
from torch import Tensor

from mytorch.core import Module, seed_torch
from mytorch.testing.compare import require_close, same_bits
from mytorch.testing.errors import CheckError
from mytorch.testing.rule.trial import RuleCase, Trial


def result(case: RuleCase) -> None:
    """gradients returns the loss, one finite number, and its weight, at least 0; parameters get finite gradients."""
    trial = Trial(case)
    value, weight = trial.gradients()
    if not isinstance(value, Tensor) or value.dim() or not value.isfinite():
        raise CheckError(f"the loss must be a finite 0-dim tensor, got {value!r}")
    if isinstance(weight, bool) or not isinstance(weight, (int, float, Tensor)) or not float(weight) >= 0:
        raise CheckError(f"the weight of the loss must be a number of at least 0, got {weight!r}")
    grads = {name: held.grad for name, held in trial.named.items() if held.grad is not None}
    if not any(bool(grad.any()) for grad in grads.values()):
        raise CheckError("the gradient of a parameter must be other than zero, got none of any")
    for name, grad in grads.items():
        if not grad.isfinite().all():
            raise CheckError(f"the gradient of {name} must be finite, got {grad}")


def adds(case: RuleCase) -> None:
    """What gradients hold before is kept: the rule adds to it."""
    update, trial = Trial(case).update(), Trial(case)
    before = {name: torch.ones_like(held.value) for name, held in trial.named.items()}
    for name, held in trial.named.items():
        held.grad = before[name].clone()
    trial.gradients()
    for name, held in trial.named.items():
        require_close(f"the gradient of {name}", held.grad, before[name] + update[name], "be added to what is there")


def unchanged(case: RuleCase) -> None:
    """Neither prepare nor gradients changes values, modes or methods of the net, or the random state of the caller."""
    seed_torch(case.seed)
    task, rule = case.build(), case.factory()
    parts = {"net": task.net, "loss": task.loss}
    before = {name: {key: value.clone() for key, value in part.state_dict().items()} for name, part in parts.items()}
    held = {name: _methods(module) for name, module in task.net.named_modules()}
    modes = [module.training for module in task.net.modules()]
    random = torch.get_rng_state()
    rule.prepare(task.net, task.loss)
    for when in ("prepare", "gradients"):
        if when == "gradients":
            rule.gradients(task.net, task.loss, task.inputs, task.targets)
        for name, part in parts.items():
            for key, value in part.state_dict().items():
                if not same_bits(value, before[name][key]):
                    raise CheckError(f"{when} must leave the values of the {name}, got another {key}")
        if modes != [module.training for module in task.net.modules()]:
            raise CheckError(f"{when} must leave the mode of every layer")
        for name, module in task.net.named_modules():
            if new := sorted(_methods(module) ^ held[name]):
                raise CheckError(f"{when} must leave the methods of layers, got another {new[0]} of layer {name!r}")
        if not torch.equal(random, torch.get_rng_state()):
            raise CheckError(
                f"{when} must leave torch's random state, got another one; draw from a torch.Generator of the rule"
            )


def _methods(module: Module) -> set[str]:
    """The methods that stand in place of those of the class."""
    return {name for name in ("forward", "backward") if name in vars(module)}


def repeatable(case: RuleCase) -> None:
    """Two rules that are built alike add the same to the gradients of nets that are alike."""
    first, second = (Trial(case).update() for _ in range(2))
    for name, d in first.items():
        if not same_bits(d, second[name]):
            raise CheckError(f"the update of {name} must be the same for two rules that are built alike")
