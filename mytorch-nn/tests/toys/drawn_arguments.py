"""Arguments for every class that torch.nn has, too: those of an example, one or two of them drawn anew."""

import inspect

import torch
from hypothesis import strategies as st

from mytorch import nn
from mytorch.plugins import catalogue
from mytorch.testing.inputs import drawn
from mytorch.testing.installed.declarations import Told, declarations
from mytorch.testing.structure import is_floating, mapped

PARTS = {
    part.name: part
    for kind in ("layer", "loss")
    for part in catalogue().of_kind(kind)
    if part.distribution == "mytorch-nn" and hasattr(torch.nn, part.name)
}
CONTAINERS = ("ModuleDict", "ModuleList", "Sequential", "TransformerDecoder", "TransformerEncoder")
NOT_DRAWN = ("device", "dtype", "generator", "batch_chunk_size")
DIFFERS = {"CosineSimilarity": {"eps": 1e-8}}
"""An argument that is kept, of a class whose docstring says that torch's gradient is another for other values."""


def shared_arguments(name):
    """The arguments that torch's class has, too."""
    theirs = inspect.signature(getattr(torch.nn, name)).parameters
    ours = inspect.signature(getattr(nn, name)).parameters
    return [each for each in ours if each in theirs or "kwargs" in theirs or "args" in theirs]


NAMES = [name for name in PARTS if name not in CONTAINERS and set(shared_arguments(name)) - set(NOT_DRAWN)]
whole, real = st.integers(-2, 6), st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0, 1.5, 3.0, float("inf"), float("nan")])
several = st.lists(st.integers(-1, 4), min_size=0, max_size=4).map(tuple)
VALUES = {"bool": st.booleans(), "int": whole, "float": real, "Sequence": several, "str": st.sampled_from(["no", ""])}


def of_kind(annotation):
    """Values of the kinds that an annotation names."""
    kinds = [values for kind, values in VALUES.items() if kind in str(annotation)]
    return st.one_of(*kinds) if kinds else st.none()


def example(name):
    """The arguments, inputs and options with which the kit checks a part."""
    _, declaration = next(iter(declarations(PARTS[name], Told())))
    factory, *inputs = declaration.check.args
    options = declaration.check.keywords.get("options") or {}
    inputs = mapped(drawn(tuple(inputs), 0), lambda leaf: leaf.double() if is_floating(leaf) else leaf)
    return factory().arguments(), inputs, options


def replaced(data, name, arguments, values):
    """The arguments that torch's class has, too, with one or two of them drawn anew."""
    parameters = inspect.signature(getattr(nn, name)).parameters
    known = shared_arguments(name)
    names = [each for each in known if each not in NOT_DRAWN]
    for chosen in data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True)):
        arguments = arguments | {chosen: data.draw(values(parameters[chosen].annotation))}
    return {each: value for each, value in arguments.items() if each in known}


def drawn_arguments(data, name, values):
    """Those of the example, one or two of them replaced."""
    arguments, inputs, options = example(name)
    return replaced(data, name, arguments, values), inputs, options
