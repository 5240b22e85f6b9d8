"""The norm of each parameter's gradient, measured beside a training."""

from __future__ import annotations

import torch

from mytorch.train.choose_step import is_in_backward, is_plain
from mytorch.train.gradients import gradients
from mytorch.train.rules.rule_step import rules_of, unchanged_rule
from mytorch.train.setup import Setup
from mytorch.train.unchanged import unchanged


def gradient_norms(setup: Setup) -> dict[str, float]:
    """The Euclidean norm of each parameter's gradient, by name, on the first batch of the next epoch.

    It costs one forward and one backward, without an update. Model, loss, order of the batches and random state are
    afterwards as before. Under a learning rule, it is the norm of what the rule adds to the gradient. Empty for a step
    of the user's own, of which nobody knows how it makes its gradients.
    """
    rules = rules_of(setup.step)
    if not (rules or is_plain(setup.step) or is_in_backward(setup.step)):
        return {}
    inputs, targets = setup.batches.peek(1)
    if setup.batches.accumulate > 1:
        inputs, targets = inputs[0], targets[0]
    take = rules[0].gradients if rules else gradients
    with (
        unchanged_rule(setup.step, setup.net, setup.loss, setup.optimizer),
        unchanged(setup.net, setup.loss),
    ):
        setup.net.train()
        take(setup.net, setup.loss, inputs, targets)
        named = [(name, one.grad) for name, one in setup.net.named_param() if one.grad is not None]
        if not named:
            return {}
        norms = torch.stack([torch.linalg.vector_norm(gradient).float() for _, gradient in named]).cpu().tolist()
    return {name: norm for (name, _), norm in zip(named, norms, strict=True)}
