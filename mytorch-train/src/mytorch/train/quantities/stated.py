"""What a layer states of the gradients of single samples, checked: anybody may write layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mytorch.core import (
    ArgumentError,
    Module,
    Parameter,
    SampleGradients,
    ShapeError,
    kind_of,
    tree,
)
from mytorch.train.quantities.column_products import ColumnProducts


def stated_by(
    path: str, module: Module, d_output: Any, saved: Any, axis: int, rows: int, columns: int = 1
) -> dict[str, SampleGradients]:
    """What the layer states, by name; nothing if it leaves them to the caller.

    columns: how many entries in turn `d_output` has for each sample, where `saved` has one.
    Raises ArgumentError unless it is of parameters of its own, each of their shape and of all samples.
    """
    stated = module.sample_gradients(d_output, saved, axis)
    if stated is None:
        return {}
    if not isinstance(stated, Mapping):
        raise ArgumentError(
            f"{_owner(path, module)} must return a dict of SampleGradients by name, or None, got {kind_of(stated)}"
        )
    own, found = vars(module), dict[str, SampleGradients]()
    for name, samples in stated.items():
        parameter = own.get(name)
        if not isinstance(parameter, Parameter):
            names = ", ".join(name for name, _ in tree.own(module, Parameter))
            raise ArgumentError(f"{_owner(path, module)} must name parameters of the layer, {names}, got {name!r}")
        found[name] = samples if columns == 1 else _of_columns(samples, columns)
        sizes = (rows * columns, *parameter.value.shape)
        if wrong := _misfit(found[name], sizes):
            raise ArgumentError(f"{_owner(path, module)} must return, for {name!r}, {wrong}")
    return found


def _of_columns(samples: Any, columns: int) -> Any:
    """Outer products with the number of columns; any other form, or what is none, as it is."""
    if not isinstance(samples, SampleGradients):
        return samples
    products = samples.outer_products()
    return samples if products is None else ColumnProducts(products, columns)


def _owner(path: str, module: Module) -> str:
    return f"quantities: sample_gradients of layer {path!r} ({type(module).__name__})"


def _misfit(samples: Any, sizes: tuple[int, ...]) -> str | None:
    """What they must be and are not; None if they are."""
    if not isinstance(samples, SampleGradients):
        return f"SampleGradients such as EachSample, got {kind_of(samples)}"
    try:
        got = samples.sizes()
    except ShapeError as error:
        return f"gradients whose parts fit together: {error}"
    if got == sizes:
        return None
    return f"gradients of the sizes (samples, *shape of the parameter), {sizes}, got {got}"
