"""The largest memory that tensors take during one training step, at width 1024 and batch 1024, beside PyTorch's.

Each contestant trains under torch's profiler, which reports every block that torch's
allocator hands out or takes back, with its size, from the first weight on. The running sum of these is the memory
that tensors hold; the figure is its maximum within the third step, so momentum is there and nothing is warming up.
Nothing is estimated and malloc plays no part; what a library takes for itself behind torch's back is not seen.
The memory at rest (weights, momentum, the batch; for PyTorch also the gradients, which are freed when the next step
begins) and what comes on top of weights, momentum and batch are shown beside it.
"""

import gc
from collections.abc import Callable
from functools import partial

from networks import TORCH_SGD, draw, ours, pytorch
from side_by_side import Contestant, Report, Spread, Target, arguments, in_process, prepare
from torch.profiler import ProfilerActivity, profile, record_function

WIDTH, BATCH = 1024, 1024
DEPTHS = (2, 8)
OURS, THEIRS = "mytorch", [f"PyTorch, {sgd}" for sgd in TORCH_SGD]
MEASURED = "measured step"
MIB = 2**20


def contestant(name: str, layers: int, width: int, batch_size: int) -> Contestant:
    weights, batch = draw((width,) * (layers + 1), batch_size)
    return ours(weights, batch) if name == OURS else pytorch(weights, batch, name.split(", ")[1], sequential=False)


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
    for name in (OURS, *THEIRS):
        gc.collect()  # so that nothing of the last one is freed while the next is watched
        found[name] = _peak_within(partial(train, name))
    return found


def _peak_within(work: Callable[[], None]) -> int:
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        work()
    events = list(seen.profiler.kineto_results.events())
    marked = next(event for event in events if event.name() == MEASURED)
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    held = most = 0
    for at, change in changes:
        if marked.start_ns() <= at <= marked.end_ns():
            most = max(most, held)
        held += change
        if marked.start_ns() <= at <= marked.end_ns():
            most = max(most, held)
    return most


def main() -> None:
    options = arguments(__doc__)
    report = Report(options.json)
    size = 256 if options.quick else WIDTH
    for layers in DEPTHS:
        found = in_process(peaks, layers, size, size)
        rows = [[name, f"{held / MIB:.2f}", f"{held / found[OURS]:.3f}"] for name, held in found.items()]
        title = f"Peak memory of a step, {layers} linear layers of width {size}, batch {size}"
        report.table(title, ["contestant", "MiB", "times mytorch"], rows)
        least = min(THEIRS, key=found.__getitem__)
        ratio = Spread.of([found[OURS] / found[least]])
        report.target(Target(f"{layers} layers: mytorch / {least}", ratio, 1.0, at_least=False))
    report.end()


if __name__ == "__main__":
    main()
