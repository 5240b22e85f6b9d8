"""How fast the playground is with the reference network, in headless Chromium: frames, their way to the screen, and
what being watched costs the training.

python benchmarks/playground.py [--rounds 5] [--seconds 5]; it needs mytorch-playground, Playwright and Chromium.
Exits with status 1 if a goal is missed. "frame to screen" is the time in the page from the arrival of a message until
the browser has painted what was drawn of it. Steps a second are those of "as fast as it goes", with a page that shows
each frame and, in turn, with a client that never says that it has seen one, so that none is drawn; once by the
clock, which on a busy machine counts what others and the browser take of the cores, too, and once by the processor
time of the training alone. The first frame is that of a page which is opened as soon as the command has printed its
address, less the time of `import torch` alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands import MYTORCH, seconds
from playwright.sync_api import Browser, Page, expect, sync_playwright
from websockets.sync.client import connect

WATCH = """
const Own = WebSocket;
window.frames_ = [];
WebSocket = class extends Own {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", ({ data }) => {
      if (typeof data === "string" || !new TextDecoder().decode(data.slice(4, 40)).includes('"frame"')) return;
      const came = performance.now();
      requestAnimationFrame(() => {
        const channel = new MessageChannel();  // whose message comes when the picture is painted
        channel.port1.onmessage = () => window.frames_.push([came, performance.now(), data.byteLength]);
        channel.port2.postMessage(null);
      });
    });
  }
};
"""
BATCHES = 10
"""Of an epoch of the reference network."""
SPENT = "share of processor time that watching takes, %"
GOALS = {
    "frames per second, 5 steps each": (12.0, True),
    "processor time of a frame with its steps, of both cores, ms": (2000 / 12, False),
    "frame to screen, median, ms": (50.0, False),
    "bytes a frame": (64_000.0, False),
    SPENT: (20.0, False),
    "slowdown while watched, %": (20.0, False),
    "first frame beyond import torch, s": (3.0, False),
}


@contextmanager
def served() -> Iterator[tuple[str, int]]:
    """The command with the reference network: its address, and the number of its process."""
    command = [sys.executable, "-c", MYTORCH, "playground", "--no-browser", "disk"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found is not None
            yield found[0], process.pid
        finally:
            os.killpg(process.pid, signal.SIGINT)


@contextmanager
def opened(browser: Browser, address: str) -> Iterator[Page]:
    """A page that has shown its first frame."""
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.add_init_script(WATCH)
    page.goto(address)
    expect(page.locator("#at-lr")).to_have_text("0.1", timeout=120_000)
    yield page
    page.close()


def frames(page: Page, length: float) -> list[float]:
    """Frames per second at 5 steps each, milliseconds that all processes compute for one, the median milliseconds from
    the arrival of a frame to the screen, and bytes a frame.
    """
    page.select_option("#speed", "5")
    page.click("#play")
    page.wait_for_timeout(1000)
    spent = processor(os.getpid())
    page.evaluate("window.frames_.length = 0")
    page.wait_for_timeout(length * 1000)
    seen: list[list[float]] = page.evaluate("window.frames_")
    spent = processor(os.getpid()) - spent
    page.click("#play")
    came, shown, size = zip(*seen, strict=True)
    waits = [after - before for before, after in zip(came, shown, strict=True)]
    rate = (len(seen) - 1) / (came[-1] - came[0]) * 1000
    return [rate, spent / len(seen) * 1000, statistics.median(waits), statistics.median(size)]


@dataclass(frozen=True)
class Speed:
    """Steps a second, by the clock and by the processor time of the training."""

    clock: float
    processor: float

    @classmethod
    def of(cls, steps: int, took: float, spent: float) -> Speed:
        """So many steps."""
        return cls(steps / took, steps / spent)


def processor(root: int) -> float:
    """Seconds that the processes begun by one, and by those, have computed."""
    told = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True)
    parents = dict(tuple(map(int, line.split())) for line in told.stdout.splitlines())
    ticks = 0
    for process in parents:
        above = process
        while above in parents and above != root:
            above = parents[above]
        if above == root != process:
            with suppress(FileNotFoundError):  # ps itself has ended
                words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
                ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def watched(page: Page, length: float, server: int) -> Speed:
    """The speed with a page that shows each frame, as fast as it goes."""
    page.select_option("#speed", "0")
    page.click("#play")
    page.wait_for_timeout(1000)
    first, began, spent = _step(page), time.perf_counter(), processor(server)
    page.wait_for_timeout(length * 1000)
    found = Speed.of(_step(page) - first, time.perf_counter() - began, processor(server) - spent)
    page.click("#play")
    return found


def _step(page: Page) -> int:
    return int(page.locator("#at-step").inner_text())


def unwatched(address: str, length: float, server: int) -> Speed:
    """The speed of a session whose frames nobody sees, so that it draws one."""
    host, token = re.findall(r"http://([^/]+)/#token=(\S+)", address)[0]
    with connect(f"ws://{host}/session?token={token}&session=", origin=f"http://{host}", max_size=None) as client:
        _until(client, "frame")
        client.send(json.dumps({"do": "speed", "every": 0}))
        client.send(json.dumps({"do": "play"}))
        wait = time.perf_counter() + 1
        while time.perf_counter() < wait:
            first = _until(client, "epoch")["record"]["epoch"]
        began, spent = time.perf_counter(), processor(server)
        while time.perf_counter() - began < length:
            last = _until(client, "epoch")["record"]["epoch"]
        found = Speed.of((last - first) * BATCHES, time.perf_counter() - began, processor(server) - spent)
        client.send(json.dumps({"do": "pause"}))
        return found


def _until(client: Any, kind: str) -> Any:
    """The header of the next message of a kind."""
    while True:
        message = client.recv(timeout=120)
        if isinstance(message, bytes):
            header = json.loads(message[4 : 4 + int.from_bytes(message[:4], "little")])
            if header["kind"] == kind:
                return header


def first_frame(browser: Browser) -> float:
    """Seconds from the command to the first frame of a page."""
    began = time.perf_counter()
    with served() as (address, _), opened(browser, address):
        return time.perf_counter() - began


def measure(rounds: int, length: float) -> dict[str, list[float]]:
    """Each figure in each round."""
    found: dict[str, list[float]] = {name: [] for name in GOALS}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for _ in range(rounds):
            with served() as (address, server):
                free = unwatched(address, length, server)
                with opened(browser, address) as page:
                    figures = frames(page, length)
                    seen = watched(page, length, server)
                figures += [100 * (1 - seen.processor / free.processor), 100 * (1 - seen.clock / free.clock)]
            started = first_frame(browser) - seconds(["import torch"])
            for name, figure in zip(GOALS, (*figures, started), strict=True):
                found[name].append(figure)
        browser.close()
    return found


def main() -> None:
    """Measure, print, and say whether each goal was reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    found = measure(options.rounds, options.seconds)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    missed = False
    for name, (goal, at_least) in GOALS.items():
        middle = statistics.median(found[name])
        reached = middle >= goal if at_least else middle <= goal
        missed |= not reached
        bound = "at least" if at_least else "at most"
        span = f"{min(found[name]):.3g} to {max(found[name]):.3g}"
        print(f"{name:<60} {middle:>9.4g}  ({span}), {bound} {goal:g}{'' if reached else '  MISSED'}")
    sys.exit(missed)


if __name__ == "__main__":
    main()
