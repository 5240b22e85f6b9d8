"""The most memory that loading a table and training one epoch on it take, from CSV and from Parquet.

The table has 10 million rows (`--rows`) of 20 float columns and a target of two classes; it is written into a
temporary folder first, by a process of its own, a part at a time. Then a process for each format loads it with
mytorch.data.Table and trains a linear layer for one epoch with mytorch.train.fit, and reports its peak resident memory
as the system counts it (ru_maxrss): libraries, file buffers and everything else included.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from side_by_side import Report, Spread, Target, in_process, prepare

COLUMNS, PART = 20, 250_000
LIMIT_GIB = 4.0


def write(folder: Path, rows: int) -> None:
    """The same table as table.csv and table.parquet."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    names = [f"x{number}" for number in range(COLUMNS)]
    schema = pa.schema([*((name, pa.float32()) for name in names), ("y", pa.int8())])
    generator = np.random.default_rng(0)
    with (
        csv.CSVWriter(folder / "table.csv", schema) as text,
        parquet.ParquetWriter(folder / "table.parquet", schema) as binary,
    ):
        for at in range(0, rows, PART):
            x = generator.standard_normal((min(PART, rows - at), COLUMNS), dtype=np.float32).round(4)
            part = pa.table([*(pa.array(column) for column in x.T), pa.array((x[:, 0] > 0).astype(np.int8))], schema)
            text.write_table(part)
            binary.write_table(part)


def load_and_train(path: Path) -> tuple[float, float, float, int]:
    """Seconds to load and to train one epoch, the peak in GiB, and the rows."""
    from mytorch.data import Table
    from mytorch.nn import CrossEntropyLoss, Linear
    from mytorch.optim import SGD
    from mytorch.train import fit

    prepare()
    started = time.perf_counter()
    data = Table(path, "y")
    loaded = time.perf_counter()
    net = Linear(COLUMNS, 2)
    fit(net, CrossEntropyLoss(), SGD(net.param(), lr=0.1), data, epochs=1, batch_size=4096, quiet=True)
    trained = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return loaded - started, trained - loaded, peak, len(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of the table")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    report = Report(options.json)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        in_process(write, folder, options.rows)
        found = {suffix: in_process(load_and_train, folder / f"table.{suffix}") for suffix in ("csv", "parquet")}
    assert all(figures[3] == options.rows for figures in found.values())
    rows = [[suffix, *(f"{value:.2f}" for value in figures[:3])] for suffix, figures in found.items()]
    title = f"{options.rows} rows of {COLUMNS} columns, torch {torch.__version__}"
    report.table(title, ["format", "seconds to load", "seconds of an epoch", "peak GiB"], rows)
    for suffix, figures in found.items():
        report.target(Target(f"{suffix}: peak GiB", Spread.of([figures[2]]), LIMIT_GIB, at_least=False))
    report.end()


if __name__ == "__main__":
    main()
