"""Gives each part of mytorch-nn the saved values of others of its class, and prints as JSON what came of it.

It runs in a process of its own, since a kernel that reads beyond its memory may end it.
"""

import json

import torch

from mytorch.core import MytorchError
from mytorch.plugins import catalogue
from mytorch.testing.inputs import drawn
from mytorch.testing.installed.declarations import Told, declarations
from mytorch.testing.structure import is_floating, mapped, tensors

SIZES = (1, 2, 3, 6)


def other_arguments(arguments):
    """Arguments that differ in one, beside those that there are: other numbers, switches and weights of classes."""
    yield {}
    for name, value in arguments.items():
        if isinstance(value, bool):
            yield {name: not value}
        elif isinstance(value, int):
            yield from ({name: size} for size in SIZES if size != value)
        elif isinstance(value, tuple) and value and all(type(size) is int for size in value):
            yield {name: tuple(size + 1 for size in value)}
        elif name in ("weight", "pos_weight"):
            yield from ({name: torch.rand(size)} for size in SIZES)


def other_inputs(inputs):
    """The inputs, and such as are longer or shorter along one of their axes."""
    yield inputs
    for axis in range(max((tensor.dim() for tensor in tensors(inputs, "").values()), default=0)):
        for size in SIZES:
            yield mapped(inputs, lambda leaf, axis=axis, size=size: resized(leaf, axis, size))


def resized(leaf, axis, size):
    if not isinstance(leaf, torch.Tensor) or leaf.dim() <= axis or not leaf.shape[axis] or leaf.numel() > 10**4:
        return leaf
    return leaf.repeat_interleave(-(-size // leaf.shape[axis]), axis).narrow(axis, 0, size)


def upstream(output):
    return mapped(output, lambda leaf: torch.rand_like(leaf) if is_floating(leaf) else None)


def flights(part, factory, inputs, options):
    """Forwards of other parts of the class: what is different, the inputs, and what forward returned."""
    settings = factory().arguments()
    for changed in other_arguments(settings):
        try:
            other = (part(**{**settings, **changed}) if changed else factory()).double()
        except Exception:
            continue
        for given in other_inputs(inputs):
            try:
                output, saved = other.forward(*given, **options)
            except Exception:
                continue
            yield changed, given, output, saved


def receivers(part, factory, inputs, options):
    """The part, and one for each argument that gives it other parameters or buffers and takes the inputs, too."""
    own = factory().double()
    own.forward(*inputs, **options)  # which gives lazy ones their weights
    yield own
    settings, plain, seen = factory().arguments(), shapes_of(own), set()
    for changed in other_arguments(settings):
        try:
            other = part(**{**settings, **changed}).double()
            other.forward(*inputs, **options)
        except Exception:
            continue
        if changed and shapes_of(other) != plain and seen.isdisjoint(changed):
            seen |= set(changed)
            yield other


def shapes_of(module):
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def faults(part, factory, inputs, options):
    """What is no error of the project, by its text."""
    found = {}
    for own in receivers(part, factory, inputs, options):
        for changed, given, output, saved in flights(part, factory, inputs, options):
            try:
                own.backward(upstream(output), saved)
            except MytorchError:
                pass
            except Exception as error:
                shapes = [tuple(tensor.shape) for tensor in tensors(given, "").values()]
                found[f"{type(error).__name__}: {error}"[:200]] = (
                    f"saved by {changed} for inputs of {shapes}, to {own!r}"
                )
    return found


def main():
    for kind in ("layer", "loss"):
        for part in catalogue().of_kind(kind):
            if part.distribution != "mytorch-nn":
                continue
            found = {}
            for _, declaration in declarations(part, Told()):
                factory, *inputs = declaration.check.args
                options = declaration.check.keywords.get("options") or {}
                with torch.no_grad():
                    found |= faults(part.load(), factory, drawn(tuple(inputs), 0), options)
            print(json.dumps({"part": part.name, "faults": found}), flush=True)


if __name__ == "__main__":
    main()
