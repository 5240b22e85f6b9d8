"""An explanation as a piece of HTML that needs nothing beside it, for notebooks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from mytorch.train.explain import words
from mytorch.train.explain.html_pictures import LEGEND, detail, gallery
from mytorch.train.explain.numbers_of import Numbers
from mytorch.train.explain.steps import Step, of_phase

# Greys and blues that can be read on white and on black, since a notebook does not tell which it has.
STYLE = """
.explained {font: 15px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 0 auto}
.explained h1 {font-size: 1.35rem; margin: 0.4rem 0}
.explained h2 {font-size: 1.1rem; margin: 1.6rem 0 0.4rem; border-bottom: 2px solid #5596c8}
.explained h2::first-letter {text-transform: capitalize}
.explained details {border-left: 3px solid #8886; margin: 0.5rem 0; padding: 0.1rem 0 0.1rem 0.7rem}
.explained summary {cursor: pointer; font-weight: 600}
.explained summary span {font-weight: 400; opacity: 0.7; margin-left: 0.6rem}
.explained .formula {font: 0.9em/1.4 ui-monospace, monospace; white-space: pre-wrap; margin: 0.3rem 0; color: #4a8cc0}
.explained .wide {overflow-x: auto}
.explained table {border-collapse: collapse; background: none}
.explained td {padding: 0.12rem 0.9rem 0.12rem 0; text-align: left; vertical-align: top; border: 0}
.explained td.numbers {font: 0.9em/1.4 ui-monospace, monospace; white-space: pre-wrap; min-width: 9rem}
.explained td.matrix {white-space: pre}
.explained td.shape {opacity: 0.7; white-space: nowrap}
.explained .kept {opacity: 0.7}
.explained td.bar {width: 45%; min-width: 6rem}
.explained .pictures {display: flex; flex-wrap: wrap; gap: 0.5rem 1rem; margin: 0.5rem 0; align-items: flex-end}
.explained figure {margin: 0; max-width: 100%}
.explained figure img {display: block; max-width: 100%; image-rendering: pixelated; outline: 1px solid #8886}
.explained figure svg {display: block; width: 100%; fill: currentColor}
.explained figure image {image-rendering: pixelated}
.explained figure.named {flex: 1 1 19rem; max-width: 30rem}
.explained figcaption {font-size: 0.8em; opacity: 0.8; margin-top: 0.15rem}
.explained .title {margin-top: 0.5rem}
.explained pre {font: 0.85em/1.35 ui-monospace, monospace; margin: 0.2rem 0; overflow-x: auto; background: none}
.explained .columns {display: flex; align-items: flex-end; height: 5rem; gap: 1px; max-width: 40rem}
.explained .columns div {flex: 1; background: #5596c8; min-height: 1px}
.explained td.bar div {background: #5596c8; height: 0.8rem; border-radius: 2px; margin-top: 0.3rem; min-width: 1px}
"""


def fragment(title: str, loss: float, steps: Sequence[Step]) -> str:
    """What a notebook shows."""
    return "\n".join([f'<div class="explained"><style>{STYLE}</style>', *_parts(title, loss, steps), "</div>"])


def _parts(title: str, loss: float, steps: Sequence[Step]) -> Iterator[str]:
    yield f"<h1>{escape(title)}</h1>"
    yield f"<p>{escape(words.heading(loss, steps))}</p>"
    if any(tensor.picture is not None for step in steps for tensor in words.rows(step)):
        yield f"<p>{LEGEND}</p>"
    for phase in words.PHASES:
        if found := of_phase(steps, phase):
            yield f"<h2>{phase}</h2>"
            yield from map(_step, found)
        if phase == "backward":
            yield from _bars(steps)


def _step(step: Step) -> str:
    formula = escape("\n".join(words.told(step)))
    rows = "\n".join(map(_row, words.rows(step)))
    table = f'<div class="wide"><table>\n{rows}\n</table></div>' if rows else ""
    pictures = gallery([tensor.picture for tensor in words.rows(step) if tensor.picture is not None])
    pictures += "".join(map(detail, step.details))
    kept = f'<div class="kept">keeps {escape(words.keeps(step))}</div>' if step.saved else ""
    return (
        f'<details open style="margin-left: {step.depth * 0.8:g}rem">'
        f"<summary>{escape(words.place(step))}<span>{words.duration(step.seconds)}</span></summary>\n"
        f'<div class="formula">{formula}</div>\n{table}{kept}{pictures}</details>'
    )


def _row(tensor: Numbers) -> str:
    matrix = tensor.values is not None and len(tensor.shape) == 2  # which has a line for each of its rows
    numbers = "\n".join(map(words.whole, tensor.values)) if matrix else words.numbers(tensor)
    return (
        f'<tr><td>{escape(tensor.name)}</td><td class="shape" title="{tensor.dtype}">{tensor.shape}</td>'
        f'<td class="numbers{" matrix" if matrix else ""}">{escape(numbers)}</td></tr>'
    )


def _bars(steps: Sequence[Step]) -> Iterator[str]:
    if rows := words.bars(steps):
        yield '<h2>norms of the gradients</h2>\n<table style="width: 100%">'
        for name, norm, share in rows:
            bar = f'<td class="bar"><div style="width: {share:.2%}"></div></td>'
            yield f"<tr><td>{escape(name)}</td>{bar}<td>{words.short(norm)}</td></tr>"
        yield "</table>"
