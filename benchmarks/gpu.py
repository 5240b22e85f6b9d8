"""One training step on a GPU beside PyTorch's, and beside both as CUDA graphs, which launch a whole step at once.

A multi-layer perceptron, ResNet-18 for images of 32 by 32 and a GPT, each small, where Python and launches take the
time, and larger, where kernels do; SGD with momentum, float32 and bfloat16-mixed (PyTorch: autocast). The contestants
alternate in one process; a turn is several steps, ended by waiting for the GPU. All must first give the same losses
for five steps in float32. It needs a GPU, and takes two minutes.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from models import resnet
from side_by_side import require_known
from torch import Tensor

from mytorch import nn, optim
from mytorch.train import step
from mytorch.train.half_precision import make_precision

ROUNDS, SECONDS = 7, 0.15
LR, MOMENTUM = 0.01, 0.9
Contestants = dict[str, Callable[[], Tensor]]


def perceptron(width: int, kit: Any) -> Any:
    """Three layers of one width between inputs and ten classes."""
    hidden = [each for _ in range(2) for each in (kit.Linear(width, width), kit.ReLU())]
    return kit.Sequential(kit.Linear(width, width), kit.ReLU(), *hidden, kit.Linear(width, 10))


class CausalEncoder(torch.nn.TransformerEncoder):
    """torch's encoder in which each token looks back only."""

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        mask = torch.nn.Transformer.generate_square_subsequent_mask(x.shape[1], device=x.device)
        return super().forward(x, mask=mask, is_causal=True)


def gpt(width: int, layers: int, vocabulary: int, kit: Any) -> Any:
    """Pre-norm blocks without dropout, and scores of each next token."""
    causal = {"is_causal": True} if kit is nn else {}
    arguments = width, max(1, width // 64), 4 * width, 0.0, "gelu"
    layer = kit.TransformerEncoderLayer(*arguments, batch_first=True, norm_first=True, **causal)
    if kit is nn:
        encoder = kit.TransformerEncoder(layer, layers, kit.LayerNorm(width))
    else:
        encoder = CausalEncoder(layer, layers, kit.LayerNorm(width), enable_nested_tensor=False)
    return kit.Sequential(kit.Embedding(vocabulary, width), encoder, kit.Linear(width, vocabulary), kit.Flatten(0, 1))


def tokens(rows: int, steps: int, vocabulary: int) -> tuple[Tensor, Tensor]:
    """Inputs, and the next token of each."""
    drawn = torch.randint(vocabulary, (rows, steps + 1))
    return drawn[:, :-1].contiguous(), drawn[:, 1:].flatten()


def images(rows: int, *shape: int) -> tuple[Tensor, Tensor]:
    """Rows of a shape, and ten classes."""
    return torch.randn(rows, *shape), torch.randint(10, (rows,))


NETWORKS: dict[str, tuple[Callable[[Any], Any], Callable[[], tuple[Tensor, Tensor]]]] = {
    "MLP, width 256, batch 128": (partial(perceptron, 256), partial(images, 128, 256)),
    "MLP, width 4096, batch 1024": (partial(perceptron, 4096), partial(images, 1024, 4096)),
    "ResNet-18, batch 32": (resnet, partial(images, 32, 3, 32, 32)),
    "ResNet-18, batch 512": (resnet, partial(images, 512, 3, 32, 32)),
    "GPT, 4 layers of 64, 8 x 64 tokens": (partial(gpt, 64, 4, 256), partial(tokens, 8, 64, 256)),
    "GPT, 12 layers of 768, 8 x 512 tokens": (partial(gpt, 768, 12, 32000), partial(tokens, 8, 512, 32000)),
}


def ours(net: Any, batch: tuple[Tensor, Tensor], precision: str | None) -> Callable[[], Tensor]:
    """Our step, as the loop takes it."""
    net.input_grad = False
    loss, optimizer = nn.CrossEntropyLoss(), optim.SGD(net.param(), lr=LR, momentum=MOMENTUM)
    made = make_precision(precision)

    def train() -> Tensor:
        with torch.inference_mode():
            return step(net, loss, optimizer, *batch, precision=made)[0]

    return train


def pytorch(net: Any, batch: tuple[Tensor, Tensor], precision: str | None, **settings: bool) -> Callable[[], Tensor]:
    """PyTorch's step."""
    loss = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=LR, momentum=MOMENTUM, **settings)
    inputs, targets = batch

    def train() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16, enabled=precision is not None):
            value: Tensor = loss(net(inputs), targets)
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return value.detach()

    return train


def captured(train: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """A step as one CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            train()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        value = train()

    def replay() -> Tensor:
        graph.replay()
        return value

    replay.__dict__["keeps"] = train  # the graph writes where its tensors lie
    return replay


def memory(name: str, precision: str | None) -> dict[str, float]:
    """The most that ours and PyTorch's hold, above what lay there before."""
    found = {}
    gc.collect()
    before = torch.cuda.memory_allocated() / 1e6
    for words, kit, build in (("mytorch", nn, ours), ("PyTorch", torch.nn, partial(pytorch, foreach=True))):
        make, draw = NETWORKS[name]
        torch.manual_seed(0)
        inputs, targets = draw()
        train = build(make(kit).to("cuda"), (inputs.cuda(), targets.cuda()), precision)
        found[words] = memory_of(train) - before
        del train
        gc.collect()
    return found


def contestants(name: str, precision: str | None) -> Contestants:
    """From the same weights, on the same batch."""
    make, draw = NETWORKS[name]
    torch.manual_seed(0)
    first = make(torch.nn)
    inputs, targets = draw()
    batch = inputs.cuda(), targets.cuda()

    def fresh(kit: Any) -> Any:
        net = make(kit)
        values = net.param() if kit is nn else list(net.parameters())
        with torch.no_grad():
            for value, start in zip(values, first.parameters(), strict=True):
                (value.value if kit is nn else value).copy_(start)
        return net.to("cuda")

    found: Contestants = {"mytorch": ours(fresh(nn), batch, precision)}
    for words in ("foreach", "fused"):
        found[f"PyTorch, {words}"] = pytorch(fresh(torch.nn), batch, precision, **{words: True})
    for words, build in (
        ("mytorch, graph", partial(ours, fresh(nn))),
        ("PyTorch, graph", partial(pytorch, fresh(torch.nn), foreach=True)),
    ):
        try:
            found[words] = captured(build(batch, precision))
        except Exception as error:
            print(f"{name}, {precision}: {words}: {type(error).__name__}: {str(error).splitlines()[0]}", flush=True)
            torch.cuda.synchronize()
    return found


def memory_of(train: Callable[[], Tensor]) -> float:
    """The most that tensors hold during a step, in MB."""
    torch.cuda.synchronize()
    train()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    train()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() / 1e6


def seconds_a_step(train: Callable[[], Tensor], count: int) -> float:
    """Of so many steps, with the wait for the last."""
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(count):
        train()
    torch.cuda.synchronize()
    return (time.perf_counter() - began) / count


def measure(name: str, precision: str | None) -> None:
    """Print a line of the table for a network."""
    used = memory(name, precision)
    found = contestants(name, precision)
    eager = [each for each in found if "graph" not in each]
    losses = {each: [found[each]().item() for _ in range(5)] for each in eager}
    for each in eager:
        worst = max(abs(a - b) / abs(b) for a, b in zip(losses[each], losses["PyTorch, foreach"], strict=True))
        if worst > (2e-3 if precision is None else 5e-2):
            print(f"{name}, {precision}: {each} differs: {losses[each]} {losses['PyTorch, foreach']}")
    count = max(3, int(SECONDS / seconds_a_step(found["mytorch"], 5)))
    times: dict[str, list[float]] = {each: [] for each in found}
    for _ in range(ROUNDS):
        for each, train in found.items():
            times[each].append(seconds_a_step(train, count))
    median = {each: statistics.median(one) * 1e3 for each, one in times.items()}
    ratios = sorted(
        min(a, b) / c
        for a, b, c in zip(times["PyTorch, foreach"], times["PyTorch, fused"], times["mytorch"], strict=True)
    )
    shown = " | ".join(f"{median.get(each, float('nan')):.3f}" for each in ALL)
    quartiles = f"{statistics.median(ratios):.2f} ({ratios[1]:.2f} to {ratios[-2]:.2f})"
    print(
        f"| {name} | {precision or 'float32'} | {shown} | {quartiles} | {used['mytorch']:.0f} | "
        f"{used['PyTorch']:.0f} |",
        flush=True,
    )


ALL = ["mytorch", "PyTorch, foreach", "PyTorch, fused", "mytorch, graph", "PyTorch, graph"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", help="beginnings of names of networks")
    only = tuple(parser.parse_args().only) or ("",)
    require_known(only, NETWORKS, "network", beginnings=True)
    print(torch.cuda.get_device_name(), "torch", torch.__version__)
    print(f"| network | precision | {', ms | '.join(ALL)}, ms | PyTorch / mytorch | mytorch, MB | PyTorch, MB |")
    print("|---" * (len(ALL) + 5) + "|")
    for name in NETWORKS:
        if name.startswith(only):
            for precision in (None, "bfloat16-mixed"):
                measure(name, precision)
                torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
