"""An explanation in the terminal."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from mytorch.train.explain import words
from mytorch.train.explain.steps import Step, of_phase

WIDTH = 80
BAR = 24


def plain(title: str, loss: float, steps: Sequence[Step]) -> str:
    """As text of 80 columns, without colours."""
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(shown(title, loss, steps))
    return "\n".join(line.rstrip() for line in capture.get().splitlines())


def shown(title: str, loss: float, steps: Sequence[Step]) -> Group:
    """As rich shows it."""
    return Group(*_parts(title, loss, steps))


def _parts(title: str, loss: float, steps: Sequence[Step]) -> Iterator[RenderableType]:
    yield Text(title, style="bold")
    yield Text(words.heading(loss, steps))
    for phase in words.PHASES:
        if found := of_phase(steps, phase):
            yield Text()
            yield Rule(Text(phase, style="bold"), style="dim")
        first: dict[tuple[str, ...], Step] = {}
        for step in found:
            before = first.setdefault(words.told(step), step)
            long = before is not step and len(words.told(step)) > 1
            yield from _step(step, (f"as for {words.place(before)}",) if long else words.told(step))
        if phase == "backward":
            yield from _bars(steps)


def _step(step: Step, formula: Sequence[str]) -> Iterator[RenderableType]:
    head = Table.grid(expand=True)
    head.add_column(ratio=1)
    head.add_column(justify="right", no_wrap=True)
    head.add_row(Text(words.place(step), style="bold cyan"), Text(words.duration(step.seconds), style="dim"))
    yield head
    for line in formula:
        yield Padding(Text(line, style="italic"), (0, 0, 0, 2))
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, min_width=8)
    table.add_column(no_wrap=True, min_width=10)
    table.add_column()
    for tensor in words.rows(step):
        table.add_row(Text(tensor.name), Text(str(tensor.shape), style="dim"), Text(words.numbers(tensor)))
    if step.saved:
        table.add_row(Text("keeps", style="dim"), Text(), Text(words.keeps(step), style="dim"))
    if table.row_count:
        yield Padding(table, (0, 0, 0, 4))
    for shown in step.details:
        yield Padding(Text(shown.title), (0, 0, 0, 4))
        for line in shown.text:
            yield Padding(Text(line), (0, 0, 0, 4))


def _bars(steps: Sequence[Step]) -> Iterator[RenderableType]:
    table = Table.grid(padding=(0, 2))
    for name, norm, share in words.bars(steps):
        table.add_row(Text(name), ProgressBar(total=1.0, completed=share, width=BAR), Text(words.short(norm)))
    if table.row_count:
        yield Text()
        yield Rule(Text("norms of the gradients", style="bold"), style="dim")
        yield table
