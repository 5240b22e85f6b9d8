"""Requests that a server answers in a second, and how long they take, beside the model that it asks.

python benchmarks/serving.py [--seconds 2] [--rounds 5]: each contestant in turn, several rounds; the medians.
Every request has one row. The server is a process of its own (two for the last contestants); the clients are this one,
over as many connections as are told. "at half the rate" sends requests at fixed times, half as many in a second as 16
clients got answered, and counts each from the time at which it should have gone out. It needs the extra `serve`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from mytorch.experiments import Run, load, train_experiment

SERVE = "import sys; from mytorch.commands.serve import serve; serve(sys.argv[1:])"
CLIENTS = 16


@dataclass
class Measured:
    """What a contestant came to in each round: answers in a second, and their times in milliseconds."""

    rates: list[float] = field(default_factory=list)
    middle: list[float] = field(default_factory=list)
    slow: list[float] = field(default_factory=list)

    def add(self, times: list[float], seconds: float) -> None:
        """One round."""
        ordered = sorted(times)
        self.rates.append(len(times) / seconds)
        self.middle.append(1000 * ordered[len(ordered) // 2])
        self.slow.append(1000 * ordered[int(0.99 * len(ordered))])

    def cells(self) -> str:
        """The medians of the rounds."""
        found = [statistics.median(values) for values in (self.rates, self.middle, self.slow)]
        return f"{found[0]:>12.0f} {found[1]:>10.2f} {found[2]:>10.2f}"


def runs(folder: Path) -> Iterator[tuple[str, Path, dict[str, float]]]:
    """The runs that are served, each with a row."""
    yield (
        "2-25-25-25-2",
        train_experiment("disk", {"epochs": 1}, output=folder, quiet=True).path,
        {"x": 0.25, "y": 0.7},
    )
    columns = [f"x{number}" for number in range(32)]
    numbers = torch.randn(64, 32, generator=torch.Generator().manual_seed(0)).round(decimals=4).tolist()
    lines = [",".join([*columns, "y"]), *(",".join(map(str, [*row, sum(row[:3])])) for row in numbers)]
    (folder / "wide.csv").write_text("\n".join(lines) + "\n")
    sizes = [32, 1024, 1024, 1024, 1]
    linears = [{"type": "Linear", "in_features": a, "out_features": b} for a, b in pairwise(sizes)]
    layers = [layer for linear in linears for layer in (linear, {"type": "ReLU"})][:-1]
    content = {
        "name": "wide",
        "requires": ["mytorch-nn", "mytorch-optim", "mytorch-data"],
        "threads": 1,
        "epochs": 1,
        "batch_size": 32,
        "data": {"train": {"type": "Table", "path": str(folder / "wide.csv"), "target": "y"}},
        "model": {"type": "Sequential", "layers": layers},
        "loss": {"type": "MSELoss"},
        "optimizer": {"type": "SGD", "lr": 1e-4},
    }
    row = dict(zip(columns, numbers[0], strict=True))
    yield "32-1024-1024-1024-1", train_experiment(content, output=folder, quiet=True).path, row


@contextmanager
def served(path: Path, *options: str) -> Iterator[int]:
    """A server of a run, and its port."""
    command = [sys.executable, "-c", SERVE, str(path), "--port", "0", *options]
    variables = {**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables)
    try:
        assert process.stdout is not None  # which is a pipe
        found = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert found is not None, "the server did not start"
        yield int(found[1])
    finally:
        process.terminate()
        process.communicate()


def request_of(row: dict[str, float]) -> bytes:
    """A request with one row, as it goes over the wire."""
    body = json.dumps({"rows": [row]}).encode()
    head = f"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Content-Type: application/json\r\n\r\n".encode() + body


async def answer_to(request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a request and read its answer, which must be one with predictions."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    assert head.startswith(b"HTTP/1.1 200"), head
    assert length is not None
    await reader.readexactly(int(length[1]))


async def ask(
    port: int, request: bytes, clients: int, seconds: float, rate: float | None
) -> tuple[list[float], float]:
    """The time of each answer, and the seconds of all. rate: of requests at fixed times; None sends on each answer."""
    times: list[float] = []
    began = time.perf_counter() + 0.1

    async def client(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(began - time.perf_counter())
        due = began + number / rate if rate else began
        while due < began + seconds:
            if rate and (left := due - time.perf_counter()) > 0:
                await asyncio.sleep(left)
            start = due if rate else time.perf_counter()
            await answer_to(request, reader, writer)
            times.append(time.perf_counter() - start)
            due = due + clients / rate if rate else time.perf_counter()
        writer.close()

    await asyncio.gather(*map(client, range(clients)))
    return times, time.perf_counter() - began


def called(call: Callable[[], Any], seconds: float) -> tuple[list[float], float]:
    """The time of each call, one after the other."""
    times, began = [], time.perf_counter()
    while (start := time.perf_counter()) < began + seconds:
        call()
        times.append(time.perf_counter() - start)
    return times, time.perf_counter() - began


def measure(run: Run, row: dict[str, float], seconds: float, rounds: int) -> dict[str, Measured]:
    """Every contestant, in turn."""
    found: dict[str, Measured] = {}
    request, x = request_of(row), torch.tensor([list(row.values())])
    with (
        served(run.path) as gathering,
        served(run.path, "--gather", "0") as alone,
        served(run.path, "--workers", "2") as two,
    ):
        for port in (gathering, alone, two):  # until each has answered
            asyncio.run(ask(port, request, CLIENTS, 3, None))
        for _ in range(rounds):

            def add(name: str, times: list[float], took: float) -> None:
                found.setdefault(name, Measured()).add(times, took)

            with torch.inference_mode():
                add("net(x) in this process", *called(lambda: run.net(x), seconds))
            add("Run.predict of a tensor in this process", *called(lambda: run.predict(x), seconds))
            add("1 client", *asyncio.run(ask(gathering, request, 1, seconds, None)))
            for name, port in (("", gathering), (", --gather 0", alone), (", --workers 2", two)):
                name_of_all = f"{CLIENTS} clients{name}"
                add(name_of_all, *asyncio.run(ask(port, request, CLIENTS, seconds, None)))
                rate = found[name_of_all].rates[-1] / 2
                add(f"  at half the rate{name}", *asyncio.run(ask(port, request, CLIENTS, seconds, rate)))
    return found


def processor() -> str:
    """The name of the processor, and its cores."""
    info = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return f"{named[1] if named else platform.processor()}, {os.cpu_count()} cores"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{processor()}; load before: {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        for name, path, row in runs(Path(folder)):
            found = measure(load(path), row, given.seconds, given.rounds)
            print(f"\n{name:<42} {'in a second':>12} {'median ms':>10} {'p99 ms':>10}")
            for contestant, measured in found.items():
                print(f"{contestant:<42} {measured.cells()}", flush=True)


if __name__ == "__main__":
    main()
