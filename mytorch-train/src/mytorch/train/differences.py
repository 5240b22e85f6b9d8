"""In what two descriptions differ, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def differences(stored: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Each entry that differs, in words."""
    names = [name for name in {**stored, **found} if stored.get(name) != found.get(name)]
    return [f"{name} must be {_shown(stored.get(name))}, got {_shown(found.get(name))}" for name in names]


def _shown(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
