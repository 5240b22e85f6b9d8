"""What one training step consists of, as data."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from mytorch.train.explain.numbers_of import Numbers
from mytorch.train.explain.shown import Shown

Phase = Literal["forward", "loss", "backward", "update"]


@dataclass(frozen=True)
class Kept:
    """A tensor that a layer saved for its backward."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    counted: int
    """The bytes that it adds to memory until the backward pass: 0 if it is a parameter or buffer, or saved before, or
    saved within the backward pass.
    """


@dataclass(frozen=True)
class View:
    """The gradient of a layer's output for the first row, as levels of a picture for each unit."""

    shape: tuple[int, ...]
    """(units, height, width)"""
    levels: str
    """In base64: 127 for 0, 1 to 253 around it, up to the largest magnitude."""

    @classmethod
    def of(cls, pictures: Tensor) -> View:
        """As it is kept. pictures: (units, height, width), uint8."""
        packed = base64.b64encode(pictures.contiguous().numpy().tobytes()).decode()
        return cls(tuple(pictures.shape), packed)


@dataclass(frozen=True)
class Step:
    """What one call of a layer's forward or backward did, or the optimizer's update."""

    phase: Phase
    path: str
    """Where the layer stands, such as "2.inner"; "" for the model, "loss" for the loss, "optimizer" for it."""
    layer: str
    """The name of its class."""
    depth: int
    """How many layers it was called from within."""
    use: int
    """Which use of this layer it is, from 1."""
    uses: int = 1
    """How often the layer is used in the step."""
    summary: str = ""
    """The first line of the docstring; the settings of an optimizer."""
    formula: tuple[str, ...] = ()
    """The lines of the docstring that say what is computed; empty if it says nothing."""
    inputs: tuple[Numbers, ...] = ()
    """Of a backward: the gradients of the outputs. Of an update: the parameters before."""
    outputs: tuple[Numbers, ...] = ()
    """Of a backward: the gradients of the inputs. Of an update: the parameters after."""
    parameters: tuple[Numbers, ...] = ()
    """The layer's own, in a forward."""
    gradients: tuple[Numbers, ...] = ()
    """What a backward adds to the gradients of the layer's own parameters; what an update follows."""
    saved: tuple[Kept, ...] = ()
    """What a forward keeps for its backward; of a container, beside what the layers inside keep."""
    seconds: float = 0.0
    """Layers inside are included."""
    details: tuple[Shown, ...] = ()
    """What the layer itself tells of the call, such as weights of attention."""
    view: View | None = None
    """Of a backward whose gradient can be drawn."""
    passes_on: bool = False
    """Whether all of the output comes from layers inside, so that it says nothing new."""

    @property
    def saved_bytes(self) -> int:
        """The memory that this forward keeps for its backward, beside what was kept before it."""
        return sum(kept.counted for kept in self.saved)


def of_phase(steps: Iterable[Step], phase: Phase) -> tuple[Step, ...]:
    """The steps of one phase, in their order."""
    return tuple(step for step in steps if step.phase == phase)


def bytes_kept(steps: Iterable[Step]) -> int:
    """The memory that is kept between forward and backward."""
    return sum(step.saved_bytes for step in steps)
