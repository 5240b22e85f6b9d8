"""The step of 2-25-25-25-2, batch 100, of everybody: a section of the suite."""

from contestants import BARE, EAGER, JAX, ONE, PEERS, SCAN, SEVERAL, C, Meeting, present
from networks import BATCH, REFERENCE
from results import Section
from side_by_side import Effort, Target

TEXT = (
    "One step (forward, mean squared error, backward, SGD with momentum), float32, from the same weights on the same "
    "batch, one thread. Every loss was found equal before the timing. Each turn takes ten steps, in ten calls unless "
    "the name says otherwise. JAX and tinygrad start threads, so each runs in processes of its own, with mytorch "
    "beside it; a ratio is always to mytorch in the same process."
)
FULL, QUICK = Effort(processes=5, rounds=30, seconds=0.02), Effort(processes=1, rounds=5, seconds=0.01)


def sections(quick: bool) -> list[Section]:
    """Everybody who is there, and the promises about them."""
    names, missing = present(list(PEERS), REFERENCE, BATCH, quick)
    meeting = Meeting(names, REFERENCE, BATCH, (EAGER, ONE, SEVERAL), QUICK if quick else FULL)
    section = Section("reference", "A step of 2-25-25-25-2, batch 100", TEXT, "microseconds a step", missing=missing)
    section.rows = sorted((meeting.row(name) for name in names), key=lambda row: row.figure.median)
    fastest = meeting.fastest_pytorch()
    promises = [
        (fastest, EAGER, 3.0, True),
        (EAGER, BARE, 1.25, False),
        (fastest, SEVERAL, 6.0, True),
        (ONE, JAX, 1.25, False),
        (SEVERAL, SCAN, 1.0, False),
        (SEVERAL, C, 1.5, False),
    ]
    for name, to, limit, at_least in promises:
        if {name, to} <= set(names):
            section.targets.append(Target(f"{name} / {to}", meeting.ratio(name, to), limit, at_least))
    return [section]
