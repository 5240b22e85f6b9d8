"""What pydantic wants of a value, in the words of who writes an experiment file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mytorch.plugins import nearest

KINDS = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list such as [1, 2]",
    "tuple_type": "a list such as [1, 2]",
    "dict_type": "a table such as { a = 1 }",
    "model_type": 'a table such as { type = "..." }',
    "model_attributes_type": 'a table such as { type = "..." }',
    "none_required": "left out",
    "finite_number": "a finite number",
    "callable_type": "a function",
}
BOUNDS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}
LENGTHS = {
    "string_too_short": ("text of at least {} character{}", "min_length"),
    "string_too_long": ("text of at most {} character{}", "max_length"),
    "too_short": ("a list of at least {} value{}", "min_length"),
    "too_long": ("a list of at most {} value{}", "max_length"),
}


def rule_of(problem: Mapping[str, Any]) -> str:
    """What a value must be, such as "a whole number" or "at least 1"."""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind in KINDS:
        return KINDS[kind]
    if kind in BOUNDS:
        word, name = BOUNDS[kind]
        return f"{word} {context[name]:,}" if isinstance(context[name], int) else f"{word} {context[name]:g}"
    if kind in LENGTHS:
        told, name = LENGTHS[kind]
        return told.format(context[name], "" if context[name] == 1 else "s")
    if kind == "is_instance_of":
        layer = context["class"] == "Module"
        return 'a layer such as { type = "ReLU" }' if layer else f"an instance of {context['class']}"
    return str(problem["msg"].removeprefix("Input should be "))


def way_out(problem: Mapping[str, Any]) -> str:
    """What to write instead, behind what came: the nearest choice, or a number without quotes; "" if nobody knows."""
    if problem["type"] in ("int_type", "float_type") and _is_number(problem["input"]):
        return "; leave out the quotes"
    if problem["type"] != "literal_error" or not isinstance(problem["input"], str):
        return ""
    choices = problem["ctx"]["expected"].replace(" or ", ", ").split(", ")
    told = nearest(problem["input"], [choice.strip("'") for choice in choices])
    return f". {told}" if told.startswith("Nearest") else ""


def _is_number(value: object) -> bool:
    try:
        return isinstance(value, str) and math.isfinite(float(value))
    except ValueError:
        return False
