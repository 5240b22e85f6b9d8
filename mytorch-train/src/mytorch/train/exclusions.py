"""Which options of a training step exclude each other, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mytorch.core import ArgumentError
from mytorch.plugins import shown

ITSELF = "which has to do this itself"
PASSES = "which may take any number of passes"
PARTS = "whose backwards each see a part of the gradient"
VALUES = "whose layers are given other values"
RANKS = "of which each sees the gradients of its own rows"
LATE = "since the norms of samples are known when the backward pass has ended, and bound the gradient"
SEVERAL = "which evaluates the loss several times in a step"
SAVED = "which is computed from what layers save"
UNSEEN = "whose layers are not seen while their backward runs"
BACKWARD = "which needs the backward pass of backpropagation"
WHOLE = "since it must be shown the backward pass of the whole batch in every step"

SHOWN = {
    "step": PASSES,
    "accumulate": PARTS,
    "precision": VALUES,
    "parallel": RANKS,
    "engine": UNSEEN,
}
BOUNDED = {
    **SHOWN,
    "clip_grad_norm": LATE,
    "clip_grad_value": LATE,
    "optimizer_in_backward": LATE,
    "closure": SEVERAL,
}
STORED = {
    "step": PASSES,
    "precision": VALUES,
    "parallel": "which exchange gradients while the backward runs",
    "engine": "which chooses itself what a step keeps",
    "quantities": "which look at what layers save",
    "clip_sample_norm": SAVED,
    "privacy": SAVED,
    "rule": "which calls layers in its own way",
}

EARLY = {
    "clip_grad_norm": "since the norm over all gradients is not known before the backward pass has ended",
    "accumulate": "since a gradient is complete only after the last of the batches",
    "precision": "since the values that are updated may not be those that the backward pass computes with",
}

EXCLUSIONS: Mapping[str, Mapping[str, str]] = {
    "step": {
        "parallel": "whose gradients are added up within the step",
        "compiled": "which compiles its own",
    },
    "accumulate": {"step": ITSELF},
    "clip_grad_norm": {"step": ITSELF},
    "clip_grad_value": {"step": ITSELF, "clip_grad_norm": "which clips the same gradients"},
    "precision": {"step": ITSELF, "stages": "between which numbers travel as they are"},
    "shard": {"stages": "of which each has the optimizer's state of its own layers alone"},
    "optimizer_in_backward": {
        "step": ITSELF,
        **EARLY,
        "parallel": 'whose gradients are complete after the backward pass (shard = "gradients" updates within it)',
        "compiled": "whose step is one function of all gradients",
    },
    "optimizer": {
        **dict.fromkeys(("step", "accumulate", "precision", "parallel", "memory", "saved", "rule"), WHOLE),
        **dict.fromkeys(("clip_sample_norm", "privacy"), WHOLE),
        "engine": UNSEEN,
    },
    "quantities": SHOWN,
    "clip_sample_norm": BOUNDED,
    "privacy": {**BOUNDED, "clip_sample_norm": LATE},
    "memory": {**STORED, "saved": "which stores what is measured in another size"},
    "saved": STORED,
    "weights": {
        "step": ITSELF,
        **EARLY,
        "parallel": 'which may divide the weights among them (shard = "parameters")',
        "engine": "whose step is one function of all gradients",
        **dict.fromkeys(("clip_sample_norm", "privacy"), LATE),
        "rule": "which makes gradients in its own way",
        "closure": SEVERAL,
    },
    "rule": {
        "step": "which makes its own gradients",
        "parallel": "which add up the gradients of a backward pass",
        "compiled": "which compiles backpropagation",
        **dict.fromkeys(("quantities", "clip_sample_norm", "privacy", "optimizer_in_backward"), BACKWARD),
        "closure": SEVERAL,
    },
}
"""By the name of an option, the options that it excludes, with the words that follow their names in an error.

`optimizer` is one that needs quantities, and `closure` one that evaluates the loss itself; `parallel` is several
processes; `engine` is any but the eager one, and `compiled` one that compiles from the first step on.
"""
WAYS_OUT = {
    "closure": "take another optimizer",
    "compiled": 'use engine="eager"',
    "engine": 'use engine="eager"',
    "optimizer": "take another optimizer, or leave this out",
}


def require_together(given: Mapping[str, Any]) -> None:
    """Raise ArgumentError for the first two of these options that exclude each other.

    given: by the names in EXCLUSIONS, the values of those that were asked for; the rest is left out.
    """
    of_rule = {"rule": _of_rule(given["rule"], given.get("precision"))} if "rule" in given else {}
    for name, others in {**EXCLUSIONS, **of_rule}.items():
        for other, why in others.items():
            if name in given and other in given:
                subject = _class(given[name]) if name == "optimizer" else name
                got = "" if name == "optimizer" else f", got {_value(name, given[name])}"
                way_out = WAYS_OUT.get(other) or WAYS_OUT.get(name, "leave one of the two out")
                raise ArgumentError(
                    f"{subject}: must be left out with {_told(other, given[other])}, {why}{got}; {way_out}"
                )


def _of_rule(rule: Any, precision: str | None) -> dict[str, str]:
    """What every rule excludes, and what this one says that it refuses: an option, or a precision by its own name."""
    refuses: Mapping[str, str] = rule.refuses
    own = {"precision": refuses[precision]} if precision is not None and precision in refuses else {}
    return {**EXCLUSIONS["rule"], **refuses, **own}


def name_of(take_step: Any) -> str:
    """The name of a step, for errors."""
    return getattr(take_step, "__name__", type(take_step).__name__)


def _told(name: str, value: Any) -> str:
    """An option as an error names it."""
    if name in ("accumulate", "clip_grad_norm", "clip_grad_value", "clip_sample_norm", "memory", "precision", "saved"):
        return f"{name} = {shown(value)}"
    names = {
        "step": f"a step of your own ({name_of(value)})",
        "parallel": "several processes",
        "rule": "a learning rule",
        "closure": _class(value),
        "engine": f"an engine that compiles steps ({_class(value)})",
        "compiled": "the compiled engine",
    }
    return names.get(name, name)


def _value(name: str, value: Any) -> str:
    """The value of an option, for the end of an error."""
    if name == "quantities":
        return ", ".join(map(_class, value))
    if name == "step":
        return name_of(value)
    return _class(value) if name == "rule" else shown(value)


def _class(value: Any) -> str:
    return type(value).__name__
