"""One training step as data that shows itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mytorch.train.explain import html_page, step_page
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
    network: Mapping[str, Any] | None = field(default=None, repr=False)
    """The network as the page draws it, for the first row of the batch; None where that cannot be drawn."""

    @property
    def saved_bytes(self) -> int:
        """The memory that is kept between forward and backward."""
        return bytes_kept(self.steps)

    def of(self, phase: Phase) -> tuple[Step, ...]:
        """The steps of "forward", "loss", "backward" or "update"."""
        return of_phase(self.steps, phase)

    def page(self) -> str:
        """One HTML page that needs nothing beside it."""
        return step_page.page(self.title, [(self.title, self.loss, self.steps, self.network)])

    def _repr_html_(self) -> str:
        return html_page.fragment(self.title, self.loss, self.steps)

    def __rich__(self) -> Group:
        from mytorch.train.explain.terminal import shown  # rich takes long to import

        return shown(self.title, self.loss, self.steps)

    def __str__(self) -> str:
        from mytorch.train.explain.terminal import plain

        return plain(self.title, self.loss, self.steps)


def page_of(explanations: Sequence[Explanation]) -> str:
    """One HTML page about several steps, with a slider from the first to the last."""
    told = [(each.title, each.loss, each.steps, each.network) for each in explanations]
    return step_page.page(explanations[0].title, told)
