"""Whether a learning rule uses no more of the layers above than it says, and learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Parameter
from mytorch.testing.compare import require_close
from mytorch.testing.errors import CheckError, Skip
from mytorch.testing.rule.trial import RuleCase, Trial, recorded

SCALE = 8.0
"""By what `scaled_loss` multiplies, as float16 does."""


def no_weight_transport(case: RuleCase) -> None:
    """Where weights change so that every output stays, the update of the layers below stays; not if `transposes`."""
    flags = type(case.factory())
    if flags.transposes:
        raise Skip("it says that it transposes weights")
    if flags.forward_only:
        raise Skip("it calls no backward, through which weights would be transposed")
    plain = Trial(case).update()
    for path, _ in Trial(case).layers()[1:]:
        trial = Trial(case)
        inputs: dict[str, Tensor] = {}
        with recorded(trial.layers(), inputs):
            before = trial.net(trial.task.inputs)
        weight: Parameter = vars(dict(trial.layers())[path])["weight"]
        _move_unseen(weight.value, inputs[path])
        require_close("an output", trial.net(trial.task.inputs), before, "stay: this is a fault of the kit")
        moved = trial.update()
        _require_same(trial.below(path, plain), moved, f"weights of layer {path!r} that leave its outputs as they are")


def locality(case: RuleCase) -> None:
    """Where the layers above have other weights, the update of a layer stays, if `local`."""
    if not type(case.factory()).local:
        raise Skip("it does not say that it is local")
    plain = Trial(case).update()
    for path, _ in Trial(case).layers()[1:]:
        trial = Trial(case)
        paths = [path for path, _ in trial.layers()]
        for above in paths[paths.index(path) :]:
            for held in dict(trial.layers())[above].param():
                held.value.copy_(torch.randn_like(held.value))
        _require_same(trial.below(path, plain), trial.update(), f"the layers from {path!r} on")


def no_backward(case: RuleCase) -> None:
    """No backward of a layer or of the loss is called, if `forward_only`."""
    if not type(case.factory()).forward_only:
        raise Skip("it does not say that it needs forward passes alone")
    trial = Trial(case)

    def refuse(*_: Any) -> None:
        raise CheckError("no backward must be called by a rule that is forward_only")

    for module in (*trial.net.modules(), *trial.loss.modules()):
        vars(module)["backward"] = refuse
    trial.update()


def several_batches(case: RuleCase) -> None:
    """The updates of two parts of a batch average to that of the whole batch; not if it refuses `accumulate`."""
    if "accumulate" in type(case.factory()).refuses:
        raise Skip("it refuses accumulate")
    trial = Trial(case)
    if not isinstance(trial.task.inputs, Tensor) or not isinstance(trial.task.targets, Tensor):
        raise Skip("inputs and targets must be tensors, of which parts can be taken")
    whole, rows = trial.update(), len(trial.task.targets)
    parts = [slice(0, rows // 3), slice(rows // 3, rows)]
    if callable(getattr(trial.rule, "gradients_of_several", None)):
        found = Trial(case).update_of_several(parts)
    else:
        (first, one), (second, other) = (Trial(case).update_of(part) for part in parts)
        if getattr(trial.loss, "reduction", "mean") == "sum":
            found = {name: first[name] + second[name] for name in whole}
        else:
            found = {name: (one * first[name] + other * second[name]) / (one + other) for name in whole}
    for name, d in whole.items():
        scale = float(d.abs().max()) or 1.0
        said = "be the mean over two parts of the batch, since `refuses` does not name accumulate"
        require_close(f"the update of {name}", d / scale, found[name] / scale, said, rtol=0, atol=1e-9)


def scaled_loss(case: RuleCase) -> None:
    """Where the loss sends back a multiple, the update is that multiple; not if it refuses `precision` or float16."""
    refuses = type(case.factory()).refuses
    if refused := [name for name in ("precision", "float16-mixed") if name in refuses]:
        raise Skip(f"it refuses {refused[0]}")
    plain, trial = Trial(case).update(), Trial(case)
    backward = trial.loss.backward
    vars(trial.loss)["backward"] = lambda d_value, saved: backward(d_value * SCALE, saved)
    found = trial.update()
    for name, d in plain.items():
        scale = float(d.abs().max()) or 1.0
        said = f"be {SCALE:g} times as large where the loss sends that back, since `refuses` does not name precision"
        require_close(f"the update of {name}", found[name] / scale, SCALE * d / scale, said, rtol=0, atol=1e-9)


def learns(case: RuleCase) -> None:
    """A small training lowers the loss, and its updates agree with the gradients of backpropagation on the mean."""
    trial = Trial(case)
    first, cosines = trial.value(), []
    for _ in range(case.steps):
        true, update = trial.backpropagated(), trial.update()
        cosines.append(_cosine(update, true))
        for name, d in update.items():
            trial.named[name].value.sub_(case.lr * d)
    last, mean = trial.value(), sum(cosines) / len(cosines)
    if not last < first:
        raise CheckError(
            f"the loss must be lower after {case.steps} steps of SGD with lr={case.lr:g}, got {last:.4g} from "
            f"{first:.4g}; give other steps=... or lr=... if they do not suit the rule"
        )
    if not mean > 0:
        raise CheckError(
            f"the mean cosine between update and gradient must be above 0 over {case.steps} steps, got {mean:.3g}; "
            "opt out with a reason if the rule descends something else than the loss"
        )


def _cosine(update: Mapping[str, Tensor], true: Mapping[str, Tensor]) -> float:
    one, other = (torch.cat([each[name].flatten() for name in true]) for each in (update, true))
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))


def _move_unseen(weight: Tensor, x: Tensor) -> None:
    """Change a weight, in place, by a matrix that takes every row of x to zero."""
    if len(x) >= weight.shape[1]:
        raise Skip(f"rows must be fewer than the inputs of each layer, got {len(x)} for {weight.shape[1]}")
    basis, _ = torch.linalg.qr(x.T)
    change = torch.randn_like(weight)
    weight.add_(change - change @ basis @ basis.T)


def _require_same(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], changed: str) -> None:
    for name, d in expected.items():
        scale = float(d.abs().max()) or 1.0
        require_close(
            f"the update of {name}", found[name] / scale, d / scale, f"not depend on {changed}", rtol=0, atol=1e-9
        )
