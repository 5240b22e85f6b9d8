"""The time of a step over width, batch size and depth: sections of the suite.

Compiling the engine's step takes 10 to 40 seconds of a core a point, so it takes part at some points only; where it
does not, the line in the figure has no mark.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from contestants import EAGER, EAGER_PYTORCH, FASTEST, JAX, ONE, C, Meeting, present
from networks import BATCH
from results import Missing, Row, Section
from side_by_side import Effort

FULL, QUICK = Effort(processes=2, rounds=9, seconds=0.02), Effort(processes=1, rounds=3, seconds=0.005)
WIDTH, LAYERS = 25, 3


@dataclass(frozen=True)
class Sweep:
    """One quantity that grows while the others stay; `sizes` and `batch` say what a point is."""

    name: str
    axis: str
    points: tuple[int, ...]
    compiled: tuple[int, ...]
    """The points at which the compiled engine takes part."""
    quick: tuple[int, ...]
    text: str

    def network(self, at: int) -> tuple[tuple[int, ...], int]:
        """The sizes of the layers, and of the batch."""
        match self.name:
            case "width":
                return (at,) * (LAYERS + 1), BATCH
            case "batch":
                return (WIDTH,) * (LAYERS + 1), at
            case _:
                return (WIDTH,) * (at + 1), BATCH


SWEEPS = (
    Sweep(
        "width",
        "width of the layers",
        (25, 64, 128, 256, 512, 1024),
        (25, 64, 256, 1024),
        (25, 256),
        f"{LAYERS} linear layers of one width, batch {BATCH}.",
    ),
    Sweep(
        "batch",
        "rows in a batch",
        (1, 8, 64, 256, 1024),
        (1, 64, 1024),
        (256,),
        f"{LAYERS} linear layers of width {WIDTH}.",
    ),
    Sweep(
        "depth",
        "linear layers",
        (2, 4, 8, 16, 32, 64),
        (2, 8, 32, 64),
        (32,),
        f"Linear layers of width {WIDTH} with ReLU between them, batch {BATCH}.",
    ),
)


def sections(quick: bool) -> list[Section]:
    """A section a sweep."""
    return [_measure(sweep, quick) for sweep in SWEEPS]


def _measure(sweep: Sweep, quick: bool) -> Section:
    title = f"A step over {sweep.axis}"
    section = Section(sweep.name, title, sweep.text, "microseconds a step", axis=sweep.axis)
    wanted = [EAGER, *EAGER_PYTORCH, C, JAX, ONE]
    names, section.missing = present(wanted, *sweep.network(sweep.points[0]), quick)
    for at in sweep.quick if quick else sweep.points:
        here = [name for name in names if name != ONE or at in sweep.compiled]
        meeting = Meeting(here, *sweep.network(at), (EAGER,), QUICK if quick else FULL)
        section.rows += _rows(meeting, here, at)
    if ONE in names:
        section.missing.append(Missing(ONE, _why_few(sweep)))
    return section


def _rows(meeting: Meeting, names: Sequence[str], at: int) -> list[Row]:
    fastest = meeting.fastest_pytorch()
    rows = [meeting.row(name, at) for name in names if name not in EAGER_PYTORCH]
    pytorch = replace(meeting.row(fastest, at), contestant=FASTEST, note=fastest)
    return [replace(row, note="") for row in rows[:1]] + [pytorch] + [replace(row, note="") for row in rows[1:]]


def _why_few(sweep: Sweep) -> str:
    points = ", ".join(map(str, sweep.compiled))
    return f"measured at {points} only: compiling takes 10 to 40 seconds a point"
