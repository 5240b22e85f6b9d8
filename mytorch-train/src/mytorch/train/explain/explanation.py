"""One training step as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mytorch.train.explain.numbers_of import Numbers

if TYPE_CHECKING:
    from rich.console import Group

Phase = Literal["forward", "loss", "backward", "update"]


@dataclass(frozen=True)
class Kept:
    """A tensor that a layer saved for its backward."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    counted: int
    """The bytes that it adds to memory: 0 if it is a parameter or buffer, or saved before."""


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
    passes_on: bool = False
    """Whether all of the output comes from layers inside, so that it says nothing new."""

    @property
    def saved_bytes(self) -> int:
        """The memory that this forward keeps for its backward, beside what was kept before it."""
        return sum(kept.counted for kept in self.saved)


@dataclass(frozen=True)
class Explanation:
    """One training step: forward, loss, backward, and update if there is an optimizer. A container comes before
    the layers that it calls. It shows itself where it is printed, by rich and in a notebook.
    """

    title: str
    loss: float
    steps: tuple[Step, ...]

    @property
    def saved_bytes(self) -> int:
        """The memory that is kept between forward and backward."""
        return sum(step.saved_bytes for step in self.steps)

    def of(self, phase: Phase) -> tuple[Step, ...]:
        """The steps of "forward", "loss", "backward" or "update"."""
        return tuple(step for step in self.steps if step.phase == phase)

    def page(self) -> str:
        """One HTML page that needs nothing beside it."""
        from mytorch.train.explain.html_page import page

        return page(self)

    def _repr_html_(self) -> str:
        from mytorch.train.explain.html_page import fragment

        return fragment(self)

    def __rich__(self) -> Group:
        from mytorch.train.explain.terminal import shown

        return shown(self)

    def __str__(self) -> str:
        from mytorch.train.explain.terminal import plain

        return plain(self)
