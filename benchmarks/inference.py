"""Outputs of a trained network beside PyTorch's, on one thread: the forward pass, and predicting rows as a run does.

The networks are 2-25-25-25-2 and three layers of width 256 and 1024, with ReLU, in evaluation mode. Everybody runs
under torch.inference_mode(), PyTorch as a Sequential, as a Module written plainly, and compiled by torch.compile; ours
eagerly and as machine code (mytorch.train.compiled.CompiledForward). Batches have 1, 32 and 1024 rows. Outputs are
compared before anything is timed.

Predicting is what `mytorch predict` does between reading and writing: standardise, forward pass, softmax and argmax,
for many rows of the reference network in batches of each size. PyTorch's loop does the same, in float64 where ours
does. One call is Run.predict of one row; PyTorch's does not look at what it is given. The last table is `mytorch
predict` from a CSV file to a CSV file, without the start of Python.
"""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from networks import REFERENCE, Plain, Weights, draw, in_sequence, make
from side_by_side import Contestant, Effort, Measured, Report, Target, arguments, in_process, measure, prepare
from torch import Tensor

BATCHES = 1, 32, 1024
PREDICTED = {1: 512, 32: 8192, 1024: 65_536}
"""Rows to predict, by the size of the batches."""
NETWORKS = {"2-25-25-25-2": REFERENCE, "3 layers of 256": (256,) * 4, "3 layers of 1024": (1024,) * 4}
EAGER, COMPILED = "mytorch", "mytorch, compiled"
TORCH, TORCH_COMPILED = ("PyTorch Sequential", "PyTorch Module"), "PyTorch, torch.compile"
CSV_ROWS = 20_000
COLUMNS = ["contestant", "microseconds (quartiles)", f"times {EAGER}"]


def forward(sizes: tuple[int, ...], rows: int) -> dict[str, Contestant]:
    """The forward pass of a network, by everybody."""
    from mytorch.train.compiled import CompiledForward

    weights, (x, _) = draw(sizes, rows)
    net = make(weights)[0].eval()
    modules = [in_sequence(weights).eval(), Plain(weights).eval()]
    nets: dict[str, Callable[[Tensor], Tensor]] = {EAGER: net, COMPILED: CompiledForward(net)}
    nets |= dict(zip(TORCH, modules, strict=True)) | {TORCH_COMPILED: torch.compile(modules[0])}
    return {name: Contestant(lambda net=net: net(x), inference=True) for name, net in nets.items()}


def trained(folder: str, weights: Weights) -> Any:
    """A run of the reference network with these weights, on standardised columns."""
    from mytorch.experiments import train_experiment

    layers = [layer for _ in weights for layer in ({"type": "Linear"}, {"type": "ReLU"})][:-1]
    for layer, (weight, _) in zip(layers[::2], weights, strict=True):
        layer |= {"in_features": weight.shape[1], "out_features": weight.shape[0]}
    experiment = {
        "name": "disk",
        "epochs": 1,
        "batch_size": 100,
        "data": {"standardize": True, "train": {"type": "Disk", "samples": 1000}},
        "model": {"type": "Sequential", "layers": layers},
        "loss": {"type": "CrossEntropyLoss"},
        "optimizer": {"type": "SGD", "lr": 0.01},
    }
    run = train_experiment(experiment, output=folder, quiet=True)
    run.net.load_state_dict(in_sequence(weights).state_dict())
    return run


def torch_loop(run: Any, weights: Weights, x: Tensor, rows: int) -> Callable[[], tuple[Tensor, Tensor]]:
    """What `predict` does, with PyTorch: the probabilities and the class of each row."""
    net = in_sequence(weights).eval()
    mean, std = (torch.tensor(run.data["preparation"]["standardize"][name]).double() for name in ("mean", "std"))

    def call() -> tuple[Tensor, Tensor]:
        probabilities, indices = [], []
        for batch in x.split(rows):
            outputs = net(((batch.double() - mean) / std).float()).double()
            probabilities.append(outputs.softmax(1))
            indices.append(outputs.argmax(1))
        return torch.cat(probabilities), torch.cat(indices)

    return call


def predicting(folder: str, rows: int, count: int) -> dict[str, Contestant]:
    """Run.predict of so many rows in batches of so many, and the same with PyTorch."""
    weights, _ = draw(REFERENCE, 1)
    run, x = trained(folder, weights), torch.rand(count, 2)
    loop = torch_loop(run, weights, x, rows)

    def ours(engine: str) -> Callable[[], Any]:
        def call() -> Any:
            predictions = run.predict(x, batch_size=rows, engine=engine)
            return predictions.probabilities, predictions.indices

        return call

    return {
        EAGER: Contestant(ours("eager")),
        COMPILED: Contestant(ours("compiled")),
        TORCH[0]: Contestant(loop, inference=True),
    }


def measure_whole(folder: str, rounds: int) -> dict[str, list[float]]:
    """Seconds from a CSV file to a CSV file, and of what is in between."""
    from mytorch.experiments.runs.write_predictions import write_predictions

    prepare()
    run, place = trained(folder, draw(REFERENCE, 1)[0]), Path(folder)
    x, output = torch.rand(CSV_ROWS, 2), place / "out.csv"
    source = place / "rows.csv"
    names = ",".join(run.data["columns"])
    source.write_text("\n".join([names, *(",".join(map(str, row)) for row in x.tolist())]), encoding="utf-8")
    taken: dict[str, list[float]] = {"whole": [], "reading": [], "predicting": []}
    works = (
        lambda: write_predictions(run, source, output, force=True),
        lambda: run.rows_of(source),
        lambda: run.predict(x),
    )
    for _ in range(rounds):
        for seconds, work in zip(taken.values(), works, strict=True):
            started = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - started)
    return taken


def promised(measured: Measured, theirs: Sequence[str], what: str) -> list[Target]:
    """That ours, eager and compiled, are not slower than the fastest of theirs."""
    fastest = measured.fastest(theirs)
    ratios = {f"{fastest} / {name}, {what}": measured.ratio(fastest, name) for name in (EAGER, COMPILED)}
    return [Target(what, ratio, 1.0, at_least=True, equal_in_quartiles=True) for what, ratio in ratios.items()]


def report_forward(report: Report, effort: Effort) -> None:
    for network, sizes in NETWORKS.items():
        for rows in BATCHES:
            measured = measure(forward, sizes, rows, effort=effort)
            report.table(f"Forward pass of {network}, batch {rows}", COLUMNS, measured.rows(EAGER))
            for target in promised(measured, TORCH, f"{network}, batch {rows}"):
                report.target(target)


def report_predict(report: Report, effort: Effort, folder: str) -> None:
    for rows in BATCHES:
        measured = measure(predicting, folder, rows, PREDICTED[rows], effort=effort)
        report.table(f"Predicting {PREDICTED[rows]} rows in batches of {rows}", COLUMNS, measured.rows(EAGER))
        for target in promised(measured, TORCH[:1], f"predicting in batches of {rows}"):
            report.target(target)
    one = measure(predicting, folder, 1, 1, effort=effort)
    report.table("Predicting one row in one call", COLUMNS, one.rows(EAGER))


def main() -> None:
    options = arguments(__doc__)
    report = Report(options.json)
    effort = Effort(processes=1, rounds=10, seconds=0.01) if options.quick else Effort(processes=3)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MYTORCH_CACHE"] = folder
        report_predict(report, effort, folder)
        report_forward(report, effort)
        whole = in_process(measure_whole, folder, 3 if options.quick else 10)
        rows = [[what, f"{1000 * min(seconds):.0f}"] for what, seconds in whole.items()]
        report.table(f"{CSV_ROWS} rows from CSV to CSV", ["part", "milliseconds (fastest)"], rows)
    report.end()


if __name__ == "__main__":
    main()
