"""What layers save in a training step, in how much memory, and in what time: within budgets of `fit(memory=...)`.

Three networks: a perceptron of 24 linear layers of width 512, a transformer encoder of six layers and a residual
network of eight blocks of convolutions. The table has, for each budget, the bytes that the plan says layers save, and
the peak of torch's allocator within a step, less what is there before it: weights, the state of Adam, the batch. So
gradients are in it, and the temporary results of the layer at hand. Times are CPU times of one thread, beside a step
without a budget.

Then the same of values that are stored with fewer bits or on disk, with the error of the gradient of one step. And the
error of the gradients of reversible blocks, whose inputs are computed from their outputs, against float64,
and that of the same blocks with everything kept.
"""

import copy
import gc
import time
from collections.abc import Callable
from typing import Any

import torch
from memory import MEASURED, peak_within
from side_by_side import Report, arguments, in_process, prepare

import mytorch.nn as nn
from mytorch.optim import SGD, Adam
from mytorch.train import step
from mytorch.train.memory import least_bytes, measure
from mytorch.train.memory.memory_step import MemoryStep
from mytorch.train.memory.plan import peak_of
from mytorch.train.memory.saved_step import SavedStep

MIB = 2**20
SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)
"""Budgets, between the least that is possible and what is saved without one."""


def perceptron() -> tuple[Any, ...]:
    layers = [layer for _ in range(24) for layer in (nn.Linear(512, 512), nn.GELU())]
    return nn.Sequential(*layers, nn.Linear(512, 10)), torch.randn(1024, 512), torch.randint(10, (1024,))


def transformer() -> tuple[Any, ...]:
    layer = nn.TransformerEncoderLayer(128, 4, 512, dropout=0.1, batch_first=True, norm_first=True)
    parts = [nn.Embedding(64, 128), nn.TransformerEncoder(layer, 6), nn.Linear(128, 64), nn.Permute((0, 2, 1))]
    return nn.Sequential(*parts), torch.randint(64, (16, 64)), torch.randint(64, (16, 64))


def residual() -> tuple[Any, ...]:
    def block() -> Any:
        return nn.Residual(
            nn.Sequential(
                *(nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
                *(nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)),
            )
        )

    blocks = [layer for _ in range(8) for layer in (block(), nn.ReLU())]
    ends = [nn.AvgPool2d(4), nn.Flatten(), nn.Linear(16 * 64, 10)]
    net = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), *blocks, *ends)
    return net, torch.randn(32, 3, 32, 32), torch.randint(10, (32,))


NETWORKS: dict[str, Callable[[], tuple[Any, ...]]] = {
    "24 linear layers of width 512, batch 1024": perceptron,
    "6 transformer layers of width 128, 16 sequences of 64": transformer,
    "8 residual blocks of 16 channels, 32 images of 32 by 32": residual,
}


def taker(build: Callable[[], tuple[Any, ...]], take: Callable[..., Any]) -> Callable[[], float]:
    """A step of a new network, which returns its loss."""
    torch.manual_seed(0)
    net, x, targets = build()
    net.input_grad = False
    optimizer, loss = Adam(net.param(), lr=1e-3), nn.CrossEntropyLoss()

    def one() -> float:
        with torch.inference_mode():
            return float(take(net, loss, optimizer, x, targets)[0])

    return one


def on_top(build: Callable[[], tuple[Any, ...]], take: Callable[..., Any]) -> int:
    """The peak of torch's allocator within the third step, less what is alive before the steps and Adam's state."""
    gc.collect()

    def train() -> None:
        torch.manual_seed(0)
        one = taker(build, take)
        one()
        one()
        with torch.profiler.record_function(MEASURED):
            one()

    net, x, targets = build()
    weights = sum(held.value.nbytes for _, held in net.named_state())
    at_rest = weights + 2 * sum(p.value.nbytes for p in net.param()) + x.nbytes + targets.nbytes
    del net, x, targets
    return peak_within(train) - at_rest


def seconds(takes: list[Callable[[], float]], rounds: int) -> list[float]:
    """The median user CPU time of a step of each, taken in turn, as a share of the first one's in the same round."""
    for one in takes:
        one()
    shares: list[list[float]] = [[] for _ in takes]
    for _ in range(rounds):
        times = []
        for one in takes:
            began = time.process_time()
            one()
            times.append(time.process_time() - began)
        for found, passed in zip(shares, times, strict=True):
            found.append(passed / times[0])
    return [sorted(found)[len(found) // 2] for found in shares]


def budgets(name: str, rounds: int) -> list[list[str]]:
    """The rows of a table: of no budget, and of each."""
    prepare()
    torch.manual_seed(0)
    net, x, _ = NETWORKS[name]()
    measured = measure(net, x)
    least, most = least_bytes(measured), peak_of(measured, ())
    takes: list[Any] = [step, *(MemoryStep(step, int(least + share * (most - least))) for share in SHARES[1:])]
    runners = [taker(NETWORKS[name], take) for take in takes]
    losses = [_losses(one) for one in runners]
    assert all(found == losses[0] for found in losses)  # equal to the bit
    shares = seconds(runners, rounds)
    del runners
    rows = []
    for take, share in zip(takes, shares, strict=True):
        plan = getattr(take, "plan", None)
        planned = most if plan is None else plan.peak
        again = 0 if plan is None else sum(end - begin for begin, end in plan.runs)
        budget = "none" if plan is None else f"{take.budget / MIB:.2f}"
        fresh = step if plan is None else MemoryStep(step, take.budget)
        rows.append(
            [
                budget,
                f"{again} of {len(measured.layers)}",
                f"{planned / MIB:.2f}",
                f"{on_top(NETWORKS[name], fresh) / MIB:.2f}",
                f"{share:.2f}",
            ]
        )
    return rows


def _losses(one: Callable[[], float]) -> list[float]:
    torch.manual_seed(1)  # of dropout
    return [one() for _ in range(3)]


def angle(build: Callable[[], tuple[Any, ...]], saved: str) -> tuple[float, float]:
    """The relative error of the gradient of a step, and its cosine with the exact one."""
    found = []
    for take in (step, SavedStep(step, saved)):
        torch.manual_seed(0)
        net, x, targets = build()
        before = [parameter.value.clone() for parameter in net.param()]
        with torch.inference_mode():
            take(net, nn.CrossEntropyLoss(), SGD(net.param(), lr=1.0), x, targets)
        pairs = zip(net.param(), before, strict=True)
        found.append(torch.cat([(start - after.value).flatten() for after, start in pairs]).double())
    exact, other = found
    cosine = torch.nn.functional.cosine_similarity(exact, other, 0)
    return float((other - exact).norm() / exact.norm()), float(cosine)


def stored(name: str, rounds: int) -> list[list[str]]:
    """The rows of a table: of each way to store what layers save."""
    prepare()
    ways = [None, "bfloat16", "int8", "disk"]
    runners = [taker(NETWORKS[name], step if saved is None else SavedStep(step, saved)) for saved in ways]
    shares = seconds(runners, rounds)
    del runners
    rows = []
    for saved, share in zip(ways, shares, strict=True):
        error, cosine = (0.0, 1.0) if saved is None else angle(NETWORKS[name], saved)
        take = step if saved is None else SavedStep(step, saved)
        peak = on_top(NETWORKS[name], take) / MIB
        rows.append([saved or "as they are", f"{peak:.2f}", f"{error:.1e}", f"{cosine:.6f}", f"{share:.2f}"])
    return rows


def branch(width: int) -> Any:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))


def anew(net: Any, x: torch.Tensor, d_y: torch.Tensor) -> torch.Tensor:
    """The gradients of reversible blocks, as one vector."""
    net.zero_grad()
    _, saved = net.forward(x)
    return _joined(net, net.backward(d_y, saved))


def kept(net: Any, x: torch.Tensor, d_y: torch.Tensor) -> torch.Tensor:
    """The same with everything kept that f and g save."""
    net.zero_grad()
    (x1, x2), (d1, d2), calls = x.chunk(2, 1), d_y.chunk(2, 1), []
    for block in net:
        of_x2, saved_f = block.f.forward(x2)
        x1 = x1 + of_x2
        of_y1, saved_g = block.g.forward(x1)
        x2 = x2 + of_y1
        calls.append((block, saved_f, saved_g))
    for block, saved_f, saved_g in reversed(calls):
        d1 = d1 + block.g.backward(d2, saved_g)
        d2 = d2 + block.f.backward(d1, saved_f)
    return _joined(net, torch.cat([d1, d2], 1))


def _joined(net: Any, d_x: torch.Tensor) -> torch.Tensor:
    return torch.cat([d_x.flatten(), *(parameter.grad.flatten() for parameter in net.param())]).double()


def rounding() -> list[list[str]]:
    """The relative errors of gradients, of several depths."""
    rows = []
    for depth in (1, 10, 100):
        row = [str(depth)]
        for dtype in (torch.float32, torch.bfloat16):
            torch.manual_seed(1)
            net = nn.ReversibleSequence(*(nn.Reversible(branch(64), branch(64)) for _ in range(depth))).to(dtype)
            x, d_y = torch.randn(64, 128).to(dtype), torch.randn(64, 128).to(dtype)
            exact = kept(copy.deepcopy(net).double(), x.double(), d_y.double())
            row += [f"{float((way(net, x, d_y) - exact).norm() / exact.norm()):.1e}" for way in (anew, kept)]
        rows.append(row)
    return rows


def main() -> None:
    options = arguments(__doc__)
    report = Report(options.json)
    columns = ["budget, MiB", "computed twice", "saved, MiB", "peak of a step on top, MiB", "time of a step"]
    for name in NETWORKS:
        report.table(name, columns, in_process(budgets, name, 3 if options.quick else 15))
    columns = ["saved values", "peak of a step on top, MiB", "error of the gradient", "cosine", "time of a step"]
    for name in NETWORKS:
        report.table(f"{name}, stored", columns, in_process(stored, name, 3 if options.quick else 15))
    found = ["blocks", "float32, anew", "float32, kept", "bfloat16, anew", "bfloat16, kept"]
    report.table("Relative error of the gradients of reversible blocks", found, in_process(rounding))
    report.end()


if __name__ == "__main__":
    main()
