"""One training step as data that shows itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mytorch.train.explain import html_page
from mytorch.train.explain.steps import Phase, Step, bytes_kept, of_phase

if TYPE_CHECKING:
    from rich.console import Group


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
        return bytes_kept(self.steps)

    def of(self, phase: Phase) -> tuple[Step, ...]:
        """The steps of "forward", "loss", "backward" or "update"."""
        return of_phase(self.steps, phase)

    def page(self) -> str:
        """One HTML page that needs nothing beside it."""
        return html_page.page(self.title, self.loss, self.steps)

    def _repr_html_(self) -> str:
        return html_page.fragment(self.title, self.loss, self.steps)

    def __rich__(self) -> Group:
        from mytorch.train.explain.terminal import shown  # rich takes long to import

        return shown(self.title, self.loss, self.steps)

    def __str__(self) -> str:
        from mytorch.train.explain.terminal import plain

        return plain(self.title, self.loss, self.steps)
