"""What a layer states of the gradients of single samples, checked: anybody may write layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mytorch.core import ArgumentError, Module, Parameter, SampleGradients, ShapeError, kind_of, tree


def stated_by(
    path: str, module: Module, d_output: Any, saved: Any, axis: int, rows: int
) -> dict[str, SampleGradients]:
    """What the layer states, by name; nothing if it leaves them to the caller.

    Raises ArgumentError unless it is of parameters of its own, each of their shape and of all samples.
    """
    stated = module.sample_gradients(d_output, saved, axis)
    if stated is None:
        return {}
    where = f"quantities: sample_gradients of layer {path!r} ({type(module).__name__})"
    if not isinstance(stated, Mapping):
        raise ArgumentError(f"{where} must return a dict of SampleGradients by name, or None, got {kind_of(stated)}")
    own = dict(tree.own(module, Parameter))
    for name, samples in stated.items():
        if name not in own:
            raise ArgumentError(f"{where} must name parameters of the layer, {', '.join(own)}, got {name!r}")
        _require_form(f"{where} must return, for {name!r},", samples, (rows, *own[name].value.shape))
    return dict(stated)


def _require_form(must: str, samples: Any, sizes: tuple[int, ...]) -> None:
    if not isinstance(samples, SampleGradients):
        raise ArgumentError(f"{must} SampleGradients such as EachSample, got {kind_of(samples)}")
    try:
        got = samples.sizes()
    except ShapeError as error:
        raise ArgumentError(f"{must} gradients whose parts fit together: {error}") from error
    if got != sizes:
        raise ArgumentError(f"{must} gradients of the sizes (samples, *shape of the parameter), {sizes}, got {got}")
