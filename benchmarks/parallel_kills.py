"""Trainings in several processes, of which one is killed at a random moment, again and again, until they end.

`torchrun --max-restarts` starts the processes of a training. At a moment drawn over their life (they import, meet,
train, write a checkpoint, evaluate, draw figures) one of them, drawn as well, is ended by SIGKILL, or held by SIGSTOP,
which looks to the others like a machine that hangs. torchrun starts all of them again; with some chance they are hit
again. The run that ends must be, to the bit, the one that was never hit: weights, optimizer, random state, history and
results. No process may be left, none may wait longer for another than the timeout of `join`, and the error of who
waited for one that was held must name it.

    python benchmarks/parallel_kills.py                   30 kills, 3 holds, 2 processes
    python benchmarks/parallel_kills.py --processes 4 --kills 10 --holds 0

Exit status 1 if anything was found; what the processes said is left in the folder that is named.
"""

import argparse
import faulthandler
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise, repeat
from pathlib import Path
from typing import Any

from crash import SETTINGS, same, state_of

from mytorch.experiments import list_runs
from mytorch.experiments.training import train_experiment as training
from mytorch.train.parallel import join

MARK = "MYTORCH_KILLS"
"""A variable of the environment by which the processes of one run are found, whoever started them."""
SLACK = 45.0
"""Seconds that torchrun takes to end and start the processes: 30 of them for one that does not listen to SIGTERM."""
WIDTHS = (2, 25, 25, 2)
MODEL = [
    part
    for rows, columns in pairwise(WIDTHS)
    for part in (
        {"type": "Linear", "in_features": rows, "out_features": columns},
        {"type": "Dropout", "p": 0.1},
        {"type": "ReLU"},
    )
][:-2]
"""It draws random numbers, other ones in each process."""
EPOCHS = 60
OURS = {**SETTINGS, "epochs": EPOCHS, "model.layers": MODEL}


@dataclass
class Story:
    """What happened to one training.

    hits: for each hit, the signal and the rank; waited: the seconds from each to the end of all processes of then.
    """

    code: int | None
    seconds: float
    said: str
    hits: list[tuple[int, int]] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)


def work(folder: Path, timeout: float) -> None:
    """Train in this process, as one of several."""
    with (folder.parent / f"stacks-{os.getpid()}.txt").open("w") as stacks:
        faulthandler.register(signal.SIGUSR1, stacks)  # where it is, if it hangs
        training.join = partial(join, timeout=timeout)  # type: ignore[attr-defined]
        training.train_experiment("disk", OURS, output=folder, quiet=True)


def marked(mark: str) -> dict[int, dict[str, str]]:
    """The environments of the processes that have a mark, by their number."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            pairs = (entry / "environ").read_bytes().split(b"\0") if entry.name.isdecimal() else []
            zombie = bool(pairs) and "\nState:\tZ" in (entry / "status").read_text()
        except OSError:
            continue  # it has ended, or is another user's
        told = dict(pair.decode(errors="replace").partition("=")[::2] for pair in pairs)
        if told.get(MARK) == mark and not zombie:
            found[int(entry.name)] = told
    return found


def workers(mark: str) -> dict[int, int]:
    """The processes that train, by rank."""
    return {int(told["RANK"]): pid for pid, told in marked(mark).items() if "RANK" in told}


def train(place: Path, processes: int, timeout: float, hits: list[tuple[float, int, int]], life: float) -> Story:
    """Train in several processes; after so many seconds of their lives, one after the other, send signals to ranks."""
    mark, log = uuid.uuid4().hex, place / "said.txt"
    place.mkdir(exist_ok=True)
    options = ["--standalone", "--nproc-per-node", processes, "--max-restarts", len(hits), "--monitor-interval", 0.1]
    script = [__file__, "--work", place / "runs", "--timeout", timeout]
    command = [sys.executable, "-m", "torch.distributed.run", *options, *script]
    started = time.monotonic()
    longest = life + len(hits) * (2 * life + timeout + SLACK) + 60
    with log.open("w") as out:
        agent = subprocess.Popen(
            list(map(str, command)), stdout=out, stderr=subprocess.STDOUT, env={**os.environ, MARK: mark}
        )
        story = Story(None, 0.0, "")
        for after, number, rank in hits:
            if not hit(agent, mark, processes, after, number, rank, story, longest):
                break
        try:
            story.code = agent.wait(max(1.0, started + longest - time.monotonic()))
        except subprocess.TimeoutExpired:
            for pid in workers(mark).values():
                os.kill(pid, signal.SIGUSR1)
            time.sleep(1)
    story.seconds = time.monotonic() - started
    story.said = log.read_text()
    until = time.monotonic() + 5
    while (left := marked(mark)) and time.monotonic() < until:
        time.sleep(0.1)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    if story.code is None:
        raise SystemExit(f"a training hangs for {story.seconds:.0f} s; its stacks are in {place}")
    if left:
        raise SystemExit(f"{len(left)} processes were left after a training that ended with {story.code}: {place}")
    return story


def hit(
    agent: "subprocess.Popen[bytes]",
    mark: str,
    processes: int,
    after: float,
    number: int,
    rank: int,
    story: Story,
    longest: float,
) -> bool:
    """Send a signal to a rank after so many seconds of its life, and wait until the others have ended as well."""
    found = await_workers(agent, mark, processes, longest)
    with suppress(subprocess.TimeoutExpired):
        agent.wait(after)
    if len(found) < processes or agent.poll() is not None or rank not in workers(mark):
        return False  # it had ended by then
    os.kill(found[rank], number)
    sent = time.monotonic()
    story.hits.append((number, rank))
    while set(workers(mark).values()) & set(found.values()) and time.monotonic() < sent + longest:
        time.sleep(0.05)
    story.waited.append(time.monotonic() - sent)
    return True


def await_workers(agent: "subprocess.Popen[bytes]", mark: str, processes: int, longest: float) -> dict[int, int]:
    """All processes of an attempt, once they are there; fewer if torchrun has ended."""
    until = time.monotonic() + longest
    while len(found := workers(mark)) < processes and agent.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    return found


def check(story: Story, place: Path, expected: Any, timeout: float) -> None:
    """Exit where a training that was hit did not end as it should."""
    if story.code:
        raise SystemExit(f"a training ended with {story.code} after {story.hits}: {place}")
    (path,) = (run.path for run in list_runs(place / "runs") if run.status == "finished")
    if not all(map(same, state_of(path), expected, repeat(False))):
        raise SystemExit(f"the run {path}, which was hit by {story.hits}, is not the one that never was")
    for (number, rank), waited in zip(story.hits, story.waited, strict=True):
        if waited > timeout + SLACK:
            raise SystemExit(f"rank {rank} was hit by signal {number}, and others lived for {waited:.0f} s: {place}")
        if number == signal.SIGSTOP and not re.search(rf"got (no sign|none) of rank {rank}\b", story.said):
            raise SystemExit(f"rank {rank} was held, and no error names it: {place}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30, help="how many times a process is killed")
    parser.add_argument("--holds", type=int, default=3, help="how many times one is held")
    parser.add_argument("--processes", type=int, default=2, help="of each training")
    parser.add_argument("--timeout", type=float, default=15.0, help="seconds that one waits for the others")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and ranks")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work is not None:
        work(options.work, options.timeout)
        return
    draw = random.Random(options.seed)
    place = Path(tempfile.mkdtemp(prefix="mytorch-kills-"))
    print(f"what is found stays in {place}", flush=True)
    whole = train(place / "whole", options.processes, options.timeout, [], 600.0)
    if whole.code:
        raise SystemExit(f"the training that was never hit ended with {whole.code}:\n{whole.said[-3000:]}")
    (run,) = list_runs(place / "whole" / "runs")
    expected = state_of(run.path)
    for number, wanted in ((signal.SIGKILL, options.kills), (signal.SIGSTOP, options.holds)):
        ranks: Counter[int] = Counter()
        waited: list[float] = []
        runs = 0
        while ranks.total() < wanted:
            count = min(1 + sum(draw.random() < 0.4 for _ in range(2)), wanted - ranks.total())
            hits = [(draw.uniform(0, whole.seconds), number, draw.randrange(options.processes)) for _ in range(count)]
            story = train(place / "one", options.processes, options.timeout, hits, whole.seconds)
            check(story, place / "one", expected, options.timeout)
            ranks.update(rank for _, rank in story.hits)
            waited += story.waited
            runs += 1
            shutil.rmtree(place / "one")
        if wanted:
            where = ", ".join(f"{ranks[rank]} of rank {rank}" for rank in sorted(ranks))
            print(
                f"{signal.Signals(number).name}: {ranks.total()} ({where}) in {runs} trainings of {options.processes} "
                f"processes, each ended to the bit as one that was not hit; the others had ended at most "
                f"{max(waited):.1f} s later (timeout {options.timeout:g} s); no process is left",
                flush=True,
            )
    shutil.rmtree(place)


if __name__ == "__main__":
    main()
