"""The parts of a checkpoint: what a `Setup` holds, and under which conditions it was trained."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from mytorch.core import Buffer, Module, Parameter
from mytorch.train.exclusions import name_of
from mytorch.train.rules.rule_step import rule_name, rule_settings, rules_of
from mytorch.train.setup import Setup


def setup_state(setup: Setup) -> dict[str, Any]:
    """Everything that a training step may change, beside the random state."""
    known = {id(held) for module in (setup.net, setup.loss) for _, held in module.named_state()}
    trained = [held for group in setup.optimizer.param_groups for held in group["params"]]
    return {
        "net": _values(setup.net),
        "loss": _values(setup.loss),
        "others": {number: held.value for number, held in enumerate(trained) if id(held) not in known},
        "frozen": [name for name, held in setup.net.named_param() if not held.trainable],
        "evaluating": [number for number, module in enumerate(setup.net.modules()) if not module.training],
        "optimizer": setup.optimizer_state(),
        "schedule": None if setup.schedule is None else setup.schedule.state_dict(),
        "precision": {} if setup.precision is None else setup.precision.state_dict(),
        "rule": [rule.state_dict() for rule in rules_of(setup.step)],
    }


def load_setup_state(setup: Setup, state: Mapping[str, Any]) -> None:
    """Put everything back. Raises StateError for a state that does not fit; of what fits, some may have changed."""
    setup.net.load_state_dict(state["net"])
    setup.loss.load_state_dict(state["loss"])
    trained = [held for group in setup.optimizer.param_groups for held in group["params"]]
    for number, value in state["others"].items():
        trained[number].value.copy_(value)
    frozen, evaluating = set(state["frozen"]), set(state["evaluating"])
    for name, held in setup.net.named_param():
        held.trainable = name not in frozen
    for number, module in enumerate(setup.net.modules()):
        module.training = number not in evaluating
    setup.optimizer.zero_grad()
    setup.optimizer.load_state_dict(state["optimizer"])
    if setup.schedule is not None and state["schedule"] is not None:
        setup.schedule.load_state_dict(state["schedule"])
    if setup.precision is not None:
        setup.precision.load_state_dict(state["precision"])
    for rule, of_rule in zip(rules_of(setup.step), state.get("rule", ()), strict=True):
        rule.load_state_dict(of_rule)


def _values(module: Module) -> dict[str, Tensor]:
    """Every parameter and buffer under one of its names."""
    seen: dict[Parameter | Buffer, str] = {}
    for name, held in module.named_state():
        seen.setdefault(held, name)
    return {name: held.value for held, name in seen.items()}


def parts_of(setup: Setup) -> dict[str, Any]:
    """What must be the same when a training is resumed, in words and numbers."""
    batches, schedule = setup.batches, setup.schedule
    return {
        "model": type(setup.net).__name__,
        "loss": type(setup.loss).__name__,
        "optimizer": type(setup.optimizer).__name__,
        "schedule": None if schedule is None else type(schedule).__name__,
        "rule": rule_name(setup.step),
        **rule_settings(setup.step),
        "precision": None if setup.precision is None else setup.precision.name,
        "dtype": ", ".join(sorted({str(held.value.dtype) for _, held in setup.net.named_param()})),
        "batch_size": batches.batch_size,
        "accumulate": batches.accumulate,
        "shuffle": batches.shuffle,
        "drop_last": batches.drop_last,
        "seed": None if batches.poisson else batches.generator.initial_seed(),  # privacy may take one of the system
    }


def conditions_of(setup: Setup) -> dict[str, Any]:
    """What decides rounding, and is the same unless somebody accepts a difference."""
    return {
        "mytorch-train": version_of_train(),
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "threads": torch.get_num_threads(),
        "device": str(setup.device),
        "step": _described(setup.step),
    }


@cache
def version_of_train() -> str:
    """The version of mytorch-train, read once: a process may run out of handles for files later."""
    return version("mytorch-train")


def _described(take_step: Any) -> str:
    options = getattr(take_step, "keywords", {})
    name = name_of(getattr(take_step, "func", take_step))
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in sorted(options.items()))})"
