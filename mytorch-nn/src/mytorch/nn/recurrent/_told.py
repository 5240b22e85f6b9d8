"""What recurrent layers show of a call: the gates of one unit through time, and the gradient on its way back.

Both come from the values that a forward keeps of each step; where a kernel keeps none, the steps are taken once more.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mytorch.core import Detail
from mytorch.nn.recurrent._unroll import Flight, State, Step

TOLD = 3
"""Steps whose gates are told in words."""


def gates_detail(step: Step, flights: list[Flight], first: int, where: str) -> Detail:
    """The gates, the memory and h of the unit whose h changes most, in the first sequence, which is that row."""
    rows = [_rows_of(step, flight, first) for flight in flights]
    values = {name: torch.cat([each[name] for each in rows]) for name in rows[0]}
    widths = {name: value.shape[1] for name, value in values.items()}
    changing = values["h"] if len(set(widths.values())) == 1 else values["c"]
    unit = int((changing.amax(0) - changing.amin(0)).argmax())
    shown = {name: value[:, unit] for name, value in values.items() if widths[name] == changing.shape[1]}
    steps = len(changing)
    places = sorted({round(number * (steps - 1) / (TOLD - 1)) for number in range(TOLD)})
    text = [f"step {t}: " + "  ".join(f"{name} {float(row[t]):.3g}" for name, row in shown.items()) for t in places]
    title, axes = f"unit {unit} in the first sequence{where}", ("value", "step")
    return Detail(title, torch.stack(list(shown.values())), axes, {"value": tuple(shown)}, tuple(text))


def gradient_detail(
    step: Step, d_y: Tensor | None, d_state: State, flights: list[Flight], reverse: bool, where: str
) -> Detail:
    """The norm of d_h at each step, all that comes to it: from y, and from the step that was taken after it."""
    norms: list[Tensor] = []
    rows = [len(flight.x) for flight in flights]
    parts = [None] * len(flights) if d_y is None else list(d_y.split(rows))
    for flight, part in list(zip(flights, parts, strict=True))[:: 1 if reverse else -1]:
        d_state, found = _back(step, part, d_state, flight, reverse)
        norms += found
    values = torch.stack(norms if reverse else norms[::-1])
    last = len(values) - 1
    places = sorted({round(number * last / TOLD) for number in range(TOLD + 1)}, reverse=not reverse)
    text = ", ".join(f"{float(values[t]):.2g} at step {t}" for t in places)
    return Detail(f"norm of d_h at each step{where}", values, ("step",), text=(text,))


def _back(step: Step, d_y: Tensor | None, d_state: State, flight: Flight, reverse: bool) -> tuple[State, list[Tensor]]:
    """The gradient of the state before a stretch, and the norms of d_h in the order of the backward."""
    sizes = flight.sizes
    gradients, factors = step.slopes(flight.h, tuple(map(torch.cat, flight.kept)))
    parts = None if d_y is None else d_y.split(sizes)
    norms: list[Tensor] = []
    starts = [sum(sizes[:t]) for t in range(len(sizes))]
    for t in range(len(sizes)) if reverse else reversed(range(len(sizes))):
        rows = slice(starts[t], starts[t] + sizes[t])
        d_h, *d_others = (each[: sizes[t]] for each in d_state)
        d_h = d_h if parts is None else d_h + parts[t]
        norms.append(d_h.norm())
        of_step, by_step = tuple(each[rows] for each in gradients), tuple(each[rows] for each in factors)
        d_after = step.backward((d_h, *d_others), of_step, by_step)
        before = step.before(d_after, of_step, by_step)
        d_state = tuple(torch.cat([new, old[sizes[t] :]]) for new, old in zip(before, d_state, strict=True))
    return d_state, norms


def _rows_of(step: Step, flight: Flight, place: int) -> dict[str, Tensor]:
    """The values of one sequence at each of its steps in a stretch, by name."""
    own = slice(place, place + 1)
    kept = tuple(torch.cat([rows[own] for rows in each]) for each in flight.kept)
    return {**step.gates_of(kept), "h": torch.cat([rows[own] for rows in flight.h.split(flight.sizes)])}
