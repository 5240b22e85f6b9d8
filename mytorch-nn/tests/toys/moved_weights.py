"""Moves the weights of each part of mytorch-nn to the meta device in the middle of a step, and prints what came of it.

Where a kernel meets tensors of two devices, it may answer in torch's text, or with whatever stood in memory: torch's
matrix product does, if one of its factors is on the meta device. Each part must refuse by its name, or return tensors
on the meta device.
"""

import json
import warnings

import torch
from odd_inputs import cases, upstream

from mytorch.core import MytorchError
from mytorch.plugins import catalogue
from mytorch.testing.installed.declarations import Gain
from mytorch.testing.structure import mapped, tensors


def moved(inputs):
    return mapped(inputs, lambda leaf: leaf.to("meta"))


def between_forward_and_backward(layer, inputs, options):
    output, saved = layer.forward(*inputs, **options)
    return layer.to("meta").backward(upstream(output), saved)


def before_forward(layer, inputs, options):
    layer.forward(*inputs, **options)  # a lazy one takes its shapes
    return layer.to("meta").forward(*inputs, **options)[0]


def inputs_alone(layer, inputs, options):
    layer.forward(*inputs, **options)
    return layer.forward(*moved(inputs), **options)[0]


def upstream_alone(layer, inputs, options):
    output, saved = layer.forward(*inputs, **options)
    return layer.backward(moved(upstream(output)), saved)


TRIES = (between_forward_and_backward, before_forward, inputs_alone, upstream_alone)


def fault(name, layer, attempt, inputs, options):
    """What is wrong with what a part does with tensors of two devices, or None."""
    try:
        result = attempt(layer, inputs, options)
    except MytorchError as error:
        named = name.removeprefix("Lazy") in str(error) or any(True for _ in layer.children())
        return None if named else f"names no {name}: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    numbers = [place for place, leaf in tensors(result, "").items() if not leaf.is_meta]
    return f"numbers of nothing at {numbers}" if numbers else None


def main():
    warnings.simplefilter("ignore")
    for kind in ("layer", "loss"):
        for part in catalogue().of_kind(kind):
            if part.distribution != "mytorch-nn":
                continue
            found = {}
            for factory, (inputs, options) in cases(part, 0):
                layer = factory()
                if not list(layer.named_state()) or any(isinstance(child, Gain) for child in layer.modules()):
                    continue  # nothing to move, or of the layer that the kit gives to those that hold one
                for attempt in TRIES:
                    with torch.no_grad():
                        wrong = fault(part.name, factory(), attempt, inputs, options)
                    if wrong:
                        found[attempt.__name__] = wrong[:300]
            print(json.dumps({"part": part.name, "faults": found}), flush=True)


if __name__ == "__main__":
    main()
