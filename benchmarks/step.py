"""The time of one training step, eager and on one thread, beside PyTorch's and beside the bare tensor operations.

The reference network is 2-25-25-25-2 with ReLU, MSE and SGD with momentum on batches of 100. PyTorch is built as a
Sequential and as a plain Module, with its three ways to run SGD; its fastest one counts. The bare operations are the
kernels that our step calls, one after the other. The sweep trains three linear layers (two hidden ones) of one width.
"""

from networks import BATCH, REFERENCE, TORCH_SGD, bare, draw, ours, pytorch
from side_by_side import QUICK, Contestant, Effort, Measured, Report, Target, arguments, measure

OURS, BARE = "mytorch", "bare operations"
WIDTHS, BATCHES = (25, 256, 1024), (32, 256, 1024)
SWEEP = Effort(processes=5, rounds=20, seconds=0.02)
QUICK_SWEEP = Effort(processes=2, rounds=4, seconds=0.005)


def reference() -> dict[str, Contestant]:
    weights, batch = draw(REFERENCE, BATCH)
    contestants = {OURS: ours(weights, batch), BARE: bare(weights, batch)}
    for sgd in TORCH_SGD:
        contestants[f"PyTorch Sequential, {sgd}"] = pytorch(weights, batch, sgd)
        contestants[f"PyTorch Module, {sgd}"] = pytorch(weights, batch, sgd, sequential=False)
    return contestants


def sweep(width: int, batch_size: int) -> dict[str, Contestant]:
    weights, batch = draw((width,) * 4, batch_size)
    return {OURS: ours(weights, batch)} | {
        f"PyTorch, {sgd}": pytorch(weights, batch, sgd, sequential=False) for sgd in TORCH_SGD
    }


def fastest_pytorch(measured: Measured) -> str:
    return measured.fastest([name for name in measured.processes[0] if name.startswith("PyTorch")])


def report_reference(report: Report, effort: Effort) -> None:
    measured = measure(reference, effort=effort)
    fastest = fastest_pytorch(measured)
    columns = ["contestant", "microseconds (quartiles)", "times mytorch"]
    report.table("One step of 2-25-25-25-2, batch 100", columns, measured.rows(OURS))
    report.target(Target(f"{fastest} / {OURS}", measured.ratio(fastest, OURS), 3.0, at_least=True))
    report.target(Target(f"{OURS} / {BARE}", measured.ratio(OURS, BARE), 1.25, at_least=False))


def report_sweep(report: Report, effort: Effort) -> None:
    rows, targets = [], []
    for width in WIDTHS:
        for batch in BATCHES:
            measured = measure(sweep, width, batch, effort=effort)
            fastest = fastest_pytorch(measured)
            ratio = measured.ratio(fastest, OURS)
            seconds = [measured.seconds(name).text(0, 1e6) for name in (OURS, fastest)]
            rows.append([str(width), str(batch), *seconds, fastest.split(", ")[1], ratio.text(3)])
            what = f"width {width}, batch {batch}: PyTorch / {OURS}"
            targets.append(Target(what, ratio, 1.0, at_least=True, equal_in_quartiles=True))
    columns = ["width", "batch", "mytorch, microseconds", "PyTorch, microseconds", "its SGD", "PyTorch / mytorch"]
    report.table("One step of three linear layers of one width", columns, rows)
    for target in targets:
        report.target(target)


def main() -> None:
    options = arguments(__doc__)
    report = Report(options.json)
    report_reference(report, QUICK if options.quick else Effort())
    report_sweep(report, QUICK_SWEEP if options.quick else SWEEP)
    report.end()


if __name__ == "__main__":
    main()
