"""What a layer shows of one of its calls beside inputs, parameters and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from mytorch.core.errors import ArgumentError

STEP = "step"
"""What the name of an axis ends with that runs over the steps of a sequence."""


@dataclass(frozen=True, eq=False)
class Detail:
    """Something about one call of a layer that `explain` and figures show: numbers, or lines of text, or both.

    title: what it is, such as "attention weights of the first sequence".
    values: floating-point numbers with one to three axes; None if there is text alone.
    axes: what each axis of `values` runs over, such as ("head", "query step", "key step"). The entries of an axis
        whose name ends in "step" are the steps of a sequence: where its tokens are known, they stand beside them.
    labels: names for the entries of an axis, by its name, such as {"gate": ("i", "f", "g", "o")}.
    text: lines of at most 76 characters, such as a worked example; terminals show these, and none of `values`.
    Raises ArgumentError for axes or labels that do not fit `values`.

    Example:
        >>> import torch
        >>> detail = Detail("gates of unit 3", torch.rand(2, 5), ("gate", "step"), {"gate": ("reset", "update")})
        >>> detail.axes, detail.labels["gate"]
        (('gate', 'step'), ('reset', 'update'))
    """

    title: str
    values: Tensor | None = None
    axes: tuple[str, ...] = ()
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    text: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = () if self.values is None else tuple(self.values.shape)
        held = self.values
        if held is not None and not (1 <= len(shape) <= 3 and held.numel() and held.is_floating_point()):
            raise ArgumentError(
                f"Detail: values must be floating-point numbers with one to three axes, none empty, got {shape} of "
                f"{held.dtype}"
            )
        if len(self.axes) != len(shape):
            raise ArgumentError(f"Detail: axes must name each axis of values of {shape}, got {self.axes!r}")
        sizes = dict(zip(self.axes, shape, strict=True))
        for axis, names in self.labels.items():
            if sizes.get(axis) != len(names):
                raise ArgumentError(
                    f"Detail: labels must have a name for each entry of an axis of {sizes}, got {len(names)} for "
                    f"{axis!r}"
                )
