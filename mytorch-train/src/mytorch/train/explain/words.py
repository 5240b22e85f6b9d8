"""What the terminal and the page say alike."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from mytorch.train.explain.numbers_of import Numbers
from mytorch.train.explain.steps import Phase, Step, bytes_kept, of_phase
from mytorch.train.size import size

PHASES: tuple[Phase, ...] = ("forward", "loss", "backward", "update")


def place(step: Step) -> str:
    """Path and class of a layer, and which use of it this is if there are several."""
    use = f", use {step.use} of {step.uses}" if step.uses > 1 else ""
    return f"{step.path or 'model'}  {step.layer}{use}"


def told(step: Step) -> tuple[str, ...]:
    """What is computed, as the docstring says it."""
    if step.phase == "update":
        return (step.summary, *step.formula)
    if step.formula or step.phase == "backward":
        return step.formula or ("(the docstring has no Backward: line)",)
    return (step.summary or "(the class has no docstring)",)


def rows(step: Step) -> Iterator[Numbers]:
    """The tensors worth showing; none for what was only passed on."""
    if step.phase == "update":
        yield from step.outputs
    elif not step.passes_on:
        yield from (*step.inputs, *step.parameters, *step.gradients, *step.outputs)


def numbers(tensor: Numbers) -> str:
    """All the numbers of a small tensor, else range, mean and norm."""
    if tensor.values is not None:
        return whole(tensor.values)
    span = f"{short(tensor.low)} to {short(tensor.high)}"
    return f"{span}, mean {short(tensor.mean)}, norm {short(tensor.norm)}"


def whole(values: Any) -> str:
    """Nested lists of numbers."""
    return f"[{', '.join(map(whole, values))}]" if isinstance(values, list) else short(values)


def short(value: Any) -> str:
    """A number with four digits."""
    return f"{value + 0:.4g}" if isinstance(value, float) else str(value)  # + 0: no minus before a zero


def keeps(step: Step) -> str:
    """What a forward saves and how many bytes that adds."""
    return ", ".join(
        f"{kept.name} {size(kept.counted)}" if kept.counted else f"{kept.name} (held already)" for kept in step.saved
    )


def duration(seconds: float) -> str:
    """A time in the unit that fits."""
    for unit, factor in (("us", 1e6), ("ms", 1e3)):
        if seconds * factor < 1000:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def heading(loss: float, steps: Sequence[Step]) -> str:
    """The step in a line."""
    total = sum(step.seconds for step in steps if step.depth == 0)
    count = bytes_kept(steps)
    kept = f"{size(count)} kept for the backward" if count else "nothing kept"
    return f"loss {loss:.6g}; {kept}; {duration(total)}"


def bars(steps: Sequence[Step]) -> list[tuple[str, float, float]]:
    """Of each gradient of the backward, in its order: name, norm, and the norm's share of the largest."""
    found = [
        (f"{step.path or 'model'} {tensor.name}", tensor.norm)
        for step in of_phase(steps, "backward")
        if not step.passes_on
        for tensor in (*step.gradients, *step.outputs)
    ]
    largest = max((norm for _, norm in found if math.isfinite(norm)), default=0.0) or 1.0
    return [(name, norm, norm / largest if math.isfinite(norm) else 0.0) for name, norm in found]
