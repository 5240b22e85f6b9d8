"""The time of an optimizer's step alone, on one thread, beside the fastest of torch.optim's ways to take it.

Three sets of parameters: (a) the sixteen tensors of a net of eight layers of width 25, (b) two hundred tensors of a
transformer of width 256, (c) one matrix of 2048 rows and columns. Gradients are drawn once and stay. torch takes a
step tensor by tensor, with its list-wise kernels (foreach) and, where it has one, with its fused kernel. Muon has
matrices alone; SparseAdam has gradients of which the half is 0, which torch is given as sparse ones. LBFGS, whose step
is mostly the closure that it calls, is left out, and so are Lion and LAMB, which torch does not have.
"""

import inspect
import statistics
from typing import Any

import torch
from side_by_side import Contestant, Effort, Report, Spread, Target, arguments, measure

import mytorch.optim
from mytorch.core import Parameter

OURS = "mytorch"
WAYS: dict[str, dict[str, bool]] = {
    "one by one": {"foreach": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}
NAMES = (
    "SGD",
    "Adam",
    "AdamW",
    "RMSprop",
    "Adagrad",
    "Adadelta",
    "Adamax",
    "NAdam",
    "RAdam",
    "ASGD",
    "Rprop",
    "SparseAdam",
    "Adafactor",
    "Muon",
)
SETTINGS: dict[str, dict[str, float]] = {"SGD": {"momentum": 0.9}}
EFFORT = {"a": Effort(3, 20, 0.02), "b": Effort(3, 7, 0.1), "c": Effort(3, 10, 0.05)}
QUICK = {"a": Effort(1, 6, 0.01), "b": Effort(1, 2, 0.01), "c": Effort(1, 2, 0.01)}
TITLES = {
    "a": "Sixteen tensors of a net of width 25",
    "b": "Two hundred tensors of a transformer of width 256",
    "c": "One matrix of 2048 rows and columns",
}


def shapes(case: str) -> list[tuple[int, ...]]:
    """Those of the parameters."""
    if case == "a":
        return [(25, 2), (25,), *[(25, 25), (25,)] * 6, (2, 25), (2,)]
    if case == "c":
        return [(2048, 2048)]
    width = 256
    attention = [(3 * width, width), (3 * width,), (width, width), (width,)]
    feed_forward = [(4 * width, width), (4 * width,), (width, 4 * width), (width,)]
    block = [*attention, *feed_forward, *[(width,)] * 4]
    return [*block * 16, (1000, width), (width, width), *[(width,)] * 5, (1000, width)]


def contestants(name: str, case: str) -> dict[str, Contestant]:
    """Ours, and torch's ways. A call takes a step and returns the first value."""
    generator = torch.Generator().manual_seed(0)
    taken = [shape for shape in shapes(case) if name != "Muon" or len(shape) == 2]
    values = [torch.randn(shape, generator=generator) for shape in taken]
    grads = [0.01 * torch.randn(shape, generator=generator) for shape in taken]
    if name == "SparseAdam":
        grads = [grad * (torch.rand(grad.shape, generator=generator) < 0.5) for grad in grads]
    found = {OURS: Contestant(_ours(name, values, grads), inference=True)}
    known = inspect.signature(getattr(torch.optim, name)).parameters
    for way, options in WAYS.items():
        if options.keys() <= known.keys() or way == "one by one":
            given = options if options.keys() <= known.keys() else {}
            found[f"PyTorch, {way}"] = Contestant(_torchs(name, values, grads, given))
    return found


def _ours(name: str, values: list[torch.Tensor], grads: list[torch.Tensor]) -> Any:
    parameters = [Parameter(value.clone()) for value in values]
    for parameter, grad in zip(parameters, grads, strict=True):
        parameter.grad = grad
    optimizer = getattr(mytorch.optim, name)(parameters, lr=1e-3, **SETTINGS.get(name, {}))

    def call() -> torch.Tensor:
        optimizer.step()
        return parameters[0].value

    return call


def _torchs(name: str, values: list[torch.Tensor], grads: list[torch.Tensor], options: dict[str, bool]) -> Any:
    parameters = [torch.nn.Parameter(value.clone()) for value in values]
    for parameter, grad in zip(parameters, grads, strict=True):
        parameter.grad = grad.to_sparse() if name == "SparseAdam" else grad.clone()
    optimizer = getattr(torch.optim, name)(parameters, lr=1e-3, **SETTINGS.get(name, {}), **options)

    def call() -> torch.Tensor:
        optimizer.step()
        return parameters[0].data

    return call


def report_case(report: Report, case: str, effort: Effort) -> None:
    rows, ratios, targets = [], [], []
    for name in NAMES:
        measured = measure(contestants, name, case, effort=effort)
        fastest = measured.fastest([one for one in measured.processes[0] if one != OURS])
        ratio = measured.ratio(fastest, OURS)
        seconds = [measured.seconds(one).text(0, 1e6) for one in (OURS, fastest)]
        rows.append([name, *seconds, fastest.removeprefix("PyTorch, "), ratio.text()])
        ratios.append(ratio.median)
        what = f"({case}) {name}: PyTorch / {OURS}"
        targets.append(Target(what, ratio, 1.0, at_least=True, equal_in_quartiles=True))
    columns = ["optimizer", "mytorch, microseconds", "PyTorch, microseconds", "its way", "PyTorch / mytorch"]
    report.table(f"({case}) {TITLES[case]}", columns, rows)
    for target in targets:
        report.target(target)
    if case == "a":
        median = Spread.of([statistics.median(ratios)])
        report.target(Target(f"(a) median of the optimizers: PyTorch / {OURS}", median, 2.0, at_least=True))


def main() -> None:
    options = arguments(__doc__)
    report = Report(options.json)
    for case, effort in (QUICK if options.quick else EFFORT).items():
        report_case(report, case, effort)
    report.end()


if __name__ == "__main__":
    main()
