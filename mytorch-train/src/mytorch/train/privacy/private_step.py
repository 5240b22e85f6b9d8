"""A training step with differential privacy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, Loss, Module, Optimizer, Parameter, Quantity, SampleGradients
from mytorch.train.batches import count_rows
from mytorch.train.mean_loss import Weight, sums
from mytorch.train.privacy.privacy import Privacy
from mytorch.train.quantities.clipped_samples import ClippedSamples
from mytorch.train.setup import Setup
from mytorch.train.step import update


class PrivateStep:
    """Takes a step along the noisy sum of the clipped gradients of a batch's samples, as `Privacy` states it.

    A batch without rows, as some draws give, makes a step of noise alone.

    privacy: the bound, the noise, and where steps are counted.
    batch_size: the number of rows that a batch has on average, by which the sum is divided if the loss is a mean.
    rows: of the data.
    quantities: what the step shows its gradients to, before they are clipped.
    """

    def __init__(self, privacy: Privacy, batch_size: int, rows: int, quantities: Sequence[Quantity] = ()) -> None:
        self.privacy, self.batch_size, self.share = privacy, batch_size, min(batch_size / rows, 1.0)
        self.quantities = list(quantities)
        self._clipped = ClippedSamples(privacy.max_norm, quantities)
        self._per_sample: float | None = None
        self._known: Module | None = None

    @property
    def keywords(self) -> Mapping[str, Any]:
        """The options of the step, by name."""
        return {"privacy": self.privacy}

    def __call__(
        self, net: Module, loss: Module, optimizer: Optimizer, inputs: Any, targets: Any
    ) -> tuple[Tensor, Weight]:
        """Take the step. Raises ArgumentError, before anything changes, for what would break the promise."""
        rows = count_rows(inputs if targets is None else targets)
        trained = [p for group in optimizer.param_groups for p in group["params"] if p.trainable]
        if self._known is not net:
            _require_private(net, loss, trained)
        result: tuple[Tensor, Weight] = (trained[0].value.new_zeros(()), 0)
        divisor = 1 if sums(loss) else self.batch_size
        found, factors = dict[Parameter, SampleGradients](), torch.zeros(())
        if rows:
            result, found, factors = self._unchanged(net, loss, inputs, targets)
            self._require_equal_weights(loss, result[1], rows)
        deviation = self.privacy.noise_multiplier * self.privacy.max_norm / divisor
        for parameter in trained:
            noise = self.privacy.noise(parameter.value).mul_(deviation)
            samples = found.pop(parameter, None)  # so that its memory is free for what comes after it
            if samples is not None:
                noise += samples.weighted_sum((factors / divisor).to(parameter.value.dtype))
            parameter.grad = noise
        self.privacy.count(self.share)
        update(optimizer)
        return result

    def _unchanged(
        self, net: Module, loss: Module, inputs: Any, targets: Any
    ) -> tuple[tuple[Tensor, Weight], dict[Parameter, SampleGradients], Tensor]:
        """The clipped samples. Raises ArgumentError, with all as before, if the forward wrote something of the rows.

        Buffers are looked at in every step, parameters in the first one of a net.
        """
        held = dict(net.named_state() if self._known is not net else net.named_buffer())
        before = {name: one.value.clone() for name, one in held.items()}
        clipped = self._clipped(net, loss, inputs, targets)
        changed = [name for name, value in before.items() if not torch.equal(held[name].value, value)]
        if changed:
            for name in changed:
                held[name].value.copy_(before[name])
            net.zero_grad()
            raise ArgumentError(
                "privacy: layers must keep nothing of the rows, got one whose forward changes "
                f"{changed[0]!r}, which is saved without noise; leave running statistics and the like out"
            )
        self._known = net
        return clipped

    def _require_equal_weights(self, loss: Module, weight: Weight, rows: int) -> None:
        """Raise ArgumentError if a sample counts for more or less where others are in its batch."""
        if sums(loss):
            return
        per_sample = float(weight) / rows
        whole = abs(per_sample - round(per_sample)) < 1e-6 and round(per_sample) > 0
        if not whole or self._per_sample not in (None, round(per_sample)):
            raise ArgumentError(_weights_differ(loss, f"which counts a batch of {rows} samples as {float(weight):g}"))
        self._per_sample = round(per_sample)


def _require_private(net: Module, loss: Module, trained: Sequence[Parameter]) -> None:
    """Raise ArgumentError for what is known, without any row, to break the promise."""
    if not trained:
        raise ArgumentError("privacy: the optimizer must have parameters that are trained, got none")
    for parameter in trained:
        if parameter.value.dtype not in (torch.float32, torch.float64):
            raise ArgumentError(
                f"privacy: parameters must be float32 or float64, got {parameter.value.dtype}, in which norms are too "
                "coarse to be bounded; convert the model with .to(torch.float32)"
            )
    for name, module in net.named_modules():
        if getattr(module, "max_norm", None) is not None:
            raise ArgumentError(
                f"privacy: layers must keep nothing of the rows, got {type(module).__name__} {name!r}, whose max_norm "
                "changes the rows of its table that are used; leave max_norm out"
            )
    if not isinstance(loss, Loss):
        raise ArgumentError(
            f"privacy: the loss must be a mytorch.core.Loss, which says how samples are weighed, got "
            f"{type(loss).__name__}; derive it from Loss"
        )
    if not sums(loss) and getattr(loss, "weight", None) is not None:
        raise ArgumentError(_weights_differ(loss, "which has a weight"))


def _weights_differ(loss: Module, what: str) -> str:
    return (
        f"privacy: every sample must have the same weight in the loss, got {type(loss).__name__}, {what}, so that one "
        "sample changes the gradients of the others; leave out class weights and ignored targets, or take "
        'reduction="sum" and a learning rate that is smaller by the batch size'
    )


def account_of(take_step: Any) -> list[Privacy]:
    """What counts the privacy that a step spends: one, or nothing."""
    return [take_step.privacy] if isinstance(take_step, PrivateStep) else []


def require_privacy(setup: Setup, steps: int) -> None:
    """Raise ArgumentError if so many more steps would spend more than the privacy of the setup's step allows."""
    if isinstance(setup.step, PrivateStep):
        setup.step.privacy.require_room(setup.step.share, steps, len(setup.batches))
