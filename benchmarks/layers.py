"""Forward and backward of every layer and loss of the catalogue beside torch.nn's under autograd, on one thread.

Each is fed at three sizes (layer_cases.py says what), as training runs it: our side under inference mode, forward and
backward, gradients of the input and of all parameters, which are then set to None; PyTorch's side forward and
backward() of the module of the same name with the same weights. Both first give the same output and gradient of the
first input (but for layers that draw). A ratio is PyTorch's time by ours, so that above 1 is faster.

Memory is the most that tensors hold during a third such call, weights and inputs included, as memory.py measures it:
the running sum of what torch's allocator hands out and takes back, by torch's profiler. A KiB more or less, such as a
number that is made a tensor, counts as equal.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Any

import torch
from layer_cases import CASES, LOSSES, NOT_COMPARED, NOT_MEASURED, SIZES, fed
from memory import peak_of_call
from side_by_side import (
    Contestant,
    Effort,
    Measured,
    Report,
    Spread,
    Target,
    arguments,
    in_process,
    measure_here,
    prepare,
    require_known,
)
from torch import Tensor

from mytorch import nn
from mytorch.plugins import catalogue

OURS, THEIRS = "mytorch", "PyTorch"
FULL = Effort(processes=5, rounds=12, seconds=0.008)
QUICK = Effort(processes=2, rounds=6, seconds=0.002)
KIB = 1024
PREDICTIONS = {"CosineEmbeddingLoss": 2, "GaussianNLLLoss": 2, "MarginRankingLoss": 2, "TripletMarginLoss": 3}
PREDICTIONS["TripletMarginWithDistanceLoss"] = 3
"""Losses of several predictions."""

Result = Any
Case = tuple[str, str]
"""A part and a size."""


def ours(name: str, size: str) -> Contestant:
    """Our layer, as a training step runs it."""
    arguments, inputs = fed(name, size)
    layer: Any = getattr(nn, name)(**arguments)
    layer.load_state_dict(_twin(name, arguments).state_dict())
    parameters = layer.param()
    d_output = 1.0 if name in LOSSES else _upstream(layer.forward(*inputs)[0])

    def call() -> Result:
        output, *saved = layer.forward(*inputs)
        d_inputs = layer.backward(d_output, saved.pop())
        for parameter in parameters:
            parameter.grad = None
        return _compared(name, output, d_inputs[0] if isinstance(d_inputs, tuple) else d_inputs)

    return Contestant(call, inference=True)


def theirs(name: str, size: str) -> Contestant:
    """PyTorch's module of the same name, forward and backward()."""
    arguments, inputs = fed(name, size)
    layer = _twin(name, arguments)
    differentiated = inputs[: PREDICTIONS.get(name, 1)] if name in LOSSES else inputs
    watched = [value for value in differentiated if isinstance(value, Tensor) and value.is_floating_point()]
    for value in watched:
        value.requires_grad_()
    given = (inputs[0], inputs[2], inputs[1]) if name == "GaussianNLLLoss" else inputs
    parameters = list(layer.parameters())
    with torch.no_grad():
        d_outputs = list(_tensors(_upstream(layer(*given))))

    def call() -> Result:
        output = layer(*given)
        if isinstance(output, Tensor):
            output.backward(None if name in LOSSES else d_outputs[0])
        else:
            torch.autograd.backward(list(_tensors(output)), d_outputs)
        d_input = watched[0].grad if watched else None
        for value in (*watched, *parameters):
            value.grad = None
        return _compared(name, output, d_input)

    return Contestant(call)


def _twin(name: str, arguments: dict[str, Any]) -> Any:
    torch.manual_seed(1)
    return getattr(torch.nn, name)(**arguments)


def _upstream(output: Any) -> Any:
    """A random upstream gradient of each output, the same for both."""
    torch.manual_seed(2)
    if isinstance(output, tuple):
        return tuple(map(_upstream, output))
    return torch.randn_like(output)


def _tensors(value: Any) -> Iterator[Tensor]:
    for entry in value if isinstance(value, tuple) else (value,):
        yield from _tensors(entry) if isinstance(entry, tuple) else (entry,)


def _compared(name: str, output: Any, d_input: Any) -> Result:
    """What both must give: the first output and gradient."""
    if name in NOT_COMPARED:
        return 0.0
    first = next(_tensors(output)).detach()
    return (first,) if d_input is None else (first, d_input)


def build(name: str, size: str) -> dict[str, Contestant]:
    return {OURS: ours(name, size), THEIRS: theirs(name, size)}


def times_here(cases: list[Case], effort: Effort) -> dict[Case, dict[str, list[float]]]:
    """The seconds of each case, one after the other in this process; a case that fails is named."""
    found = {}
    for name, size in cases:
        try:
            found[name, size] = measure_here(build, (name, size), effort)
        except Exception as error:
            error.add_note(f"{name}, {size}")
            raise
    return found


def peaks_here(cases: list[Case]) -> dict[Case, float]:
    """Our peak memory by PyTorch's, of each case."""
    prepare()
    found = {}
    for name, size in cases:
        own, other = (peak_of_call(partial(make, name, size)) for make in (ours, theirs))
        found[name, size] = 1.0 if abs(own - other) <= KIB else own / other
    return found


def installed(chosen: list[str]) -> list[str]:
    """The parts of the catalogue that torch.nn has, too, or those of them that are chosen.

    Raises ValueError if one of them has no case; SystemExit for a chosen one that is not measured.
    """
    parts = [part for kind in ("layer", "loss") for part in catalogue().of_kind(kind)]
    names = [part.name for part in parts if part.distribution == "mytorch-nn" and hasattr(torch.nn, part.name)]
    names = [name for name in names if name not in NOT_MEASURED and not name.startswith("Lazy")]
    without = [name for name in names if name not in CASES]
    if without:
        raise ValueError(f"layer_cases.py must say what is fed to {', '.join(without)}")
    for name in chosen:
        if name in NOT_MEASURED:
            raise SystemExit(f"{name} has no figures of its own: {NOT_MEASURED[name]}")
    require_known(chosen, names, "part")
    return [name for name in names if name in chosen] if chosen else names


def report_on(report: Report, names: list[str], effort: Effort) -> None:
    cases = list(product(names, SIZES))
    processes = [in_process(times_here, cases, effort) for _ in range(effort.processes)]
    measured = {case: Measured([found[case] for found in processes]) for case in cases}
    ratios = {case: measured[case].ratio(THEIRS, OURS) for case in cases}
    peaks = in_process(peaks_here, cases)
    rows = []
    for name in names:
        of_size = [ratios[name, size].text() for size in SIZES]
        seconds = measured[name, SIZES[0]].seconds(OURS).text(1, 1e6)
        rows.append([name, *of_size, seconds, " ".join(f"{peaks[name, size]:.2f}" for size in SIZES)])
    columns = ["part", *(f"{THEIRS} / {OURS}, {size}" for size in SIZES), "our microseconds, small", "memory"]
    report.table("Forward and backward", columns, rows)
    small = Spread.of([ratios[name, SIZES[0]].median for name in names])
    report.target(Target("the small sizes, median over the parts", small, 1.5, at_least=True))
    for case in cases:
        what = f"{case[0]}, {case[1]}: {THEIRS} / {OURS}"
        _missed(report, Target(what, ratios[case], 1.0, at_least=True, equal_in_quartiles=True))
        peak = Spread.of([peaks[case]])
        _missed(report, Target(f"{case[0]}, {case[1]}: peak memory", peak, 1.0, at_least=False))
    faster = statistics.mean(ratios[case].median >= 1 for case in cases)
    report.table("All together", ["cases", "not slower in the median"], [[str(len(cases)), f"{faster:.0%}"]])


def _missed(report: Report, target: Target) -> None:
    """Of hundreds of promises, those that are not kept are shown."""
    if not target.met:
        report.target(target)


def main() -> None:
    options = arguments(__doc__, names="parts to measure, such as Linear; all if none is named")
    report = Report(options.json)
    report_on(report, installed(options.names), QUICK if options.quick else FULL)
    report.end()


if __name__ == "__main__":
    main()
