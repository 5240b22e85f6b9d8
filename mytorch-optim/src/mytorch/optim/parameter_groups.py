"""Groups of a model's parameters with settings of their own, by name or by kind of layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mytorch.core import ArgumentError, Module, Parameter, tree
from mytorch.core.patterns import matches
from mytorch.plugins import nearest, shown

PARAMETERS, LAYERS = "parameters", "layers"
"""What a rule is found by; every other key is a setting."""


def parameter_groups(net: Module, rules: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Groups for an optimizer's constructor: first what no rule fits, with its own settings, then one for each rule.

    rules: mappings of the settings of a group and, to say which parameters are in it, one or both of
        parameters: a pattern, or a list of patterns, of their names, such as "*bias" or "0.*"
        layers: a pattern, or a list, of the class of the layer that holds them, or of one around it, such as "*Norm*"
        Where both are given, both must fit. A parameter belongs to the first rule that fits it. In a pattern, * stands
        for any text and ? for one character.
    A tied parameter has all of its names and layers.
    Raises ArgumentError, with the number of the rule, for a rule without settings, a pattern that fits nothing, and a
    rule that gets no parameter.

    Example:
        >>> from mytorch.nn import LayerNorm, Linear, Sequential
        >>> from mytorch.optim import AdamW, parameter_groups
        >>> net = Sequential(Linear(2, 8), LayerNorm(8), Linear(8, 1))
        >>> rules = [{"parameters": "*bias", "weight_decay": 0}, {"layers": "LayerNorm", "weight_decay": 0}]
        >>> optimizer = AdamW(parameter_groups(net, rules), lr=1e-3, weight_decay=0.1)
        >>> for group in optimizer.param_groups:
        ...     print(group["weight_decay"], group["param_names"])
        0.1 ['0.weight', '2.weight']
        0 ['0.bias', '1.bias', '2.bias']
        0 ['1.weight']
    """
    uses = list(_uses(net))
    left = dict(net.named_param())
    groups = []
    for number, rule in enumerate(rules):
        fitting = _fitting(number, rule, uses)
        taken = {name: parameter for name, parameter in left.items() if parameter in fitting}
        if not taken:
            raise ArgumentError(
                f"parameter_groups: rule {number} must match parameters that no rule before it matches, got "
                f"{_told(rule)}; a parameter belongs to the first rule that matches it"
            )
        settings = {key: value for key, value in rule.items() if key not in (PARAMETERS, LAYERS)}
        groups.append({"params": list(taken.items()), **settings})
        left = {name: parameter for name, parameter in left.items() if name not in taken}
    return [{"params": list(left.items())}, *groups] if left else groups


def _uses(net: Module) -> Iterator[tuple[str, tuple[str, ...], Parameter]]:
    """Every use of every parameter: its name, the classes of the layers from the net to the one that holds it."""
    classes: dict[str, tuple[str, ...]] = {}
    for path, module in tree.walk(net):
        above = next((classes[at] for at in _above(path) if at in classes), ())
        classes[path] = (*above, type(module).__name__)
        for name, parameter in tree.own(module, Parameter):
            yield (f"{path}.{name}" if path else name), classes[path], parameter


def _above(path: str) -> Iterator[str]:
    """The paths of the modules around one, the nearest first; a part of a path may be no module."""
    while path:
        path = path.rpartition(".")[0]
        yield path


def _fitting(
    number: int, rule: Mapping[str, Any], uses: Sequence[tuple[str, tuple[str, ...], Parameter]]
) -> set[Parameter]:
    """The parameters that a rule matches."""
    if not isinstance(rule, Mapping) or not rule.keys() & {PARAMETERS, LAYERS}:
        raise ArgumentError(f"parameter_groups: rule {number} must have parameters, layers or both, got {shown(rule)}")
    if not rule.keys() - {PARAMETERS, LAYERS}:
        raise ArgumentError(
            f"parameter_groups: rule {number} must have a setting such as weight_decay, got {shown(rule)}"
        )
    names = _patterns(number, rule, PARAMETERS, [name for name, _, _ in uses])
    layers = _patterns(number, rule, LAYERS, [name for _, classes, _ in uses for name in classes])
    return {
        parameter
        for name, classes, parameter in uses
        if (names is None or matches(name, names))
        and (layers is None or any(matches(each, layers) for each in classes))
    }


def _patterns(number: int, rule: Mapping[str, Any], key: str, known: Sequence[str]) -> list[str] | None:
    """The patterns of a rule under a key. Raises ArgumentError for one that matches none of the known names."""
    if key not in rule:
        return None
    given = rule[key]
    patterns = [given] if isinstance(given, str) else given
    if not isinstance(patterns, list | tuple) or not patterns or not all(isinstance(each, str) for each in patterns):
        raise ArgumentError(
            f"parameter_groups: {key} of rule {number} must be a pattern or a list of patterns, got {shown(given)}"
        )
    for pattern in patterns:
        if not any(matches(name, pattern) for name in known):
            what = "a parameter of the net" if key == PARAMETERS else "the class of a layer with parameters"
            raise ArgumentError(
                f"parameter_groups: {key} of rule {number} must match {what}, got {shown(pattern)}. "
                f"{nearest(pattern, dict.fromkeys(known))}"
            )
    return list(patterns)


def _told(rule: Mapping[str, Any]) -> str:
    return " and ".join(f"{key} = {rule[key]!r}" for key in (PARAMETERS, LAYERS) if key in rule)
