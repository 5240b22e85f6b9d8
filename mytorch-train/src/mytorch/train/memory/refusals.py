"""What options of memory do not go together with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mytorch.core import ArgumentError
from mytorch.plugins import shown

REASONS = {
    "quantities": "which look at what layers save",
    "clip_sample_norm": "which is computed from what layers save",
    "privacy": "which is computed from what layers save",
    "saved": "which stores what is measured in another size",
    "rule": "which calls layers in its own way",
    "precision": "whose layers compute with other values when they are measured",
    "parallel": "which exchange gradients while the backward runs",
}


def require_no_other(name: str, asked: Any, own: Any, others: Mapping[str, Any]) -> None:
    """Raise ArgumentError if an option of memory is given with what it does not go together with.

    asked: its value. own: a step of the user's own. others: by name. None is what was not given.
    """
    if asked is None:
        return
    reasons = {_told(option, value): REASONS[option] for option, value in others.items() if value is not None}
    if own is not None:
        reasons["a step of your own"] = "which may take any number of forwards"
    for option, why in reasons.items():
        raise ArgumentError(
            f"{name}: must be left out with {option}, {why}, got {shown(asked)}; leave one of the two out"
        )


def _told(option: str, value: Any) -> str:
    if option == "parallel":
        return "several processes"
    return f"precision = {value!r}" if option == "precision" else option
