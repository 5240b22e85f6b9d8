"""A step inside whole runs of mytorch.train.fit, by either engine: the fastest epoch, since the first ones compile."""

import sys

from alone import run_alone
from networks import BATCH, REFERENCE, draw, make
from results import Section, rows_of
from side_by_side import Measured, in_process, prepare
from torch.nn import functional as F

EAGER, COMPILED = "mytorch, eager", "mytorch, compiled"
ROWS, EPOCHS = 10_000, 12
TEXT = f"The reference network on {ROWS} rows in batches of {BATCH}, with the history and all checks of the loop."


def measure_here(rounds: int) -> dict[str, list[float]]:
    """Seconds a step of whole runs, a value a run."""
    from mytorch.data import Disk, TensorDataSet
    from mytorch.train import fit

    prepare()
    disk = Disk(ROWS)
    data = TensorDataSet(disk.inputs, F.one_hot(disk.targets).float())
    taken: dict[str, list[float]] = {EAGER: [], COMPILED: []}
    for _ in range(rounds):
        for name, seconds in taken.items():
            engine = name.split(", ")[1]
            net, loss, optimizer = make(draw(REFERENCE, BATCH)[0])
            training = fit(net, loss, optimizer, data, epochs=EPOCHS, batch_size=BATCH, engine=engine, quiet=True)
            seconds.append(min(record["seconds"] for record in training.history) / len(training.batches))
    return taken


def sections(quick: bool) -> list[Section]:
    """Runs of either engine."""
    rounds = 1 if quick else 6
    measured = Measured([in_process(measure_here, rounds) for _ in range(1 if quick else 3)])
    section = Section("fit", "A step inside fit", TEXT, "microseconds a step")
    section.rows = rows_of(measured, EAGER, 1e6)
    return [section]


if __name__ == "__main__":
    sys.exit(run_alone(sections, __doc__))
