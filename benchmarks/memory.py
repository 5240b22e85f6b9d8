"""The largest memory that tensors take during one training step, over depth, width and batch, beside PyTorch's.

Each contestant trains under torch's profiler, which reports every block that torch's allocator hands out or takes
back, with its size, from the first weight on. The running sum of these is the memory that tensors hold; the figure is
its maximum within the third step, so momentum is there and nothing is warming up. Nothing is estimated and malloc
plays no part; what a library takes for itself behind torch's back is not seen.

"in backward" updates each parameter as soon as its gradient is complete and frees it: mytorch's option
`optimizer_in_backward`, and in PyTorch a post-accumulate-grad hook and an optimizer for each parameter. Beside the
peak stands what comes on top of weights, momentum and the batch: gradients, and what the layers keep.
"""

import gc
from collections.abc import Callable
from itertools import product

from networks import TORCH_SGD, draw, ours, ours_in_backward, pytorch, pytorch_in_backward
from side_by_side import Contestant, Report, Spread, Target, arguments, in_process, prepare
from torch.profiler import ProfilerActivity, profile, record_function

DEPTHS, WIDTHS, BATCHES = (2, 8, 32), (256, 1024), (1, 32, 1024)
OURS, OURS_IN_BACKWARD, THEIRS_IN_BACKWARD = "mytorch", "mytorch, in backward", "PyTorch, in backward"
THEIRS = [f"PyTorch, {sgd}" for sgd in TORCH_SGD]
MEASURED = "measured step"
MIB = 2**20


def contestant(name: str, layers: int, width: int, batch_size: int) -> Contestant:
    weights, batch = draw((width,) * (layers + 1), batch_size)
    if name in (OURS, OURS_IN_BACKWARD):
        return (ours if name == OURS else ours_in_backward)(weights, batch)
    if name == THEIRS_IN_BACKWARD:
        return pytorch_in_backward(weights, batch)
    return pytorch(weights, batch, name.split(", ")[1], sequential=False)


def peaks(layers: int, width: int, batch_size: int) -> dict[str, int]:
    """The most bytes that tensors held during the third step of each contestant."""
    prepare()

    def train(name: str) -> None:
        made = contestant(name, layers, width, batch_size)
        with made.mode():
            made.call()
            made.call()
            with record_function(MEASURED):
                made.call()

    found = {}
    for name in (OURS, OURS_IN_BACKWARD, *THEIRS, THEIRS_IN_BACKWARD):
        gc.collect()  # so that nothing of the last one is freed while the next is watched
        found[name] = peak_within(lambda name=name: train(name))  # type: ignore[misc]
    return found


def peak_within(work: Callable[[], None]) -> int:
    """The most bytes that tensors held within what the work has marked as the measured step."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        work()
    events = list(seen.profiler.kineto_results.events())
    marked = next(event for event in events if event.name() == MEASURED)
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    most = held = sum(change for at, change in changes if at < marked.start_ns())
    for at, change in changes:
        if marked.start_ns() <= at <= marked.end_ns():
            held += change
            most = max(most, held)
    return most


def peak_of_call(make: Callable[[], Contestant]) -> int:
    """The most bytes that tensors held within the third call of a contestant, those that it keeps included."""
    gc.collect()  # so that nothing of the last one is freed while this one is watched

    def work() -> None:
        made = make()
        gc.collect()
        with made.mode():
            made.call()
            made.call()
            with record_function(MEASURED):
                made.call()

    return peak_within(work)


def compare(report: Report, layers: int, width: int, batch_size: int) -> None:
    """A table of one size, and what is promised about it."""
    found = in_process(peaks, layers, width, batch_size)
    layer = 4 * (width + 1) * width
    at_rest = 2 * layers * layer + 2 * 4 * batch_size * width
    rows = [
        [name, f"{held / MIB:.2f}", f"{held / found[OURS]:.3f}", f"{(held - at_rest) / MIB:.2f}"]
        for name, held in found.items()
    ]
    size = f"{layers} linear layers of width {width}, batch {batch_size}"
    gradients = f"gradients of a layer {layer / MIB:.2f} MiB, of all {layers * layer / MIB:.2f}"
    report.table(
        f"Peak memory of a step, {size}: {gradients}", ["contestant", "MiB", "times mytorch", "MiB on top"], rows
    )
    least = min(THEIRS, key=lambda name: found[name])
    for one, other in ((OURS, least), (OURS_IN_BACKWARD, THEIRS_IN_BACKWARD)):
        ratio = Spread.of([found[one] / found[other]])
        report.target(Target(f"{size}: {one} / {other}", ratio, 1.0, at_least=False))


def main() -> None:
    options = arguments(__doc__)
    report = Report(options.json)
    depths, widths, batches = (DEPTHS[:2], (128,), BATCHES) if options.quick else (DEPTHS, WIDTHS, BATCHES)
    for layers, width, batch_size in product(depths, widths, batches):
        compare(report, layers, width, batch_size)
    report.end()


if __name__ == "__main__":
    main()
