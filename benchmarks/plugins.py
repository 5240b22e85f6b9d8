"""How long the command takes to start with many plugins installed:  python benchmarks/plugins.py [--rounds 15]

The plugins are folders of metadata and a module each, on the module path, as pip leaves them; each offers a layer, a
command and a hook. Each round starts every command once with every number of plugins, one after the other.
Exits with status 1 if a median at the largest number is above LIMIT seconds.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 0.5
NUMBERS = (0, 10, 50, 100)
COMMANDS = {"mytorch --help": ["--help"], "mytorch plugins list": ["plugins", "list"]}
METADATA = "Metadata-Version: 2.1\nName: acme-{0}\nVersion: 1.0\nRequires-Dist: mytorch-core>=0.1,<0.2\n"
ENTRIES = "".join(
    f"[mytorch.{group}]\n{entry}\n"
    for group, entry in (
        ("layers", "Gate{0} = acme_{0}:Gate"),
        ("commands", "go{0} = acme_{0}:go"),
        ("hooks", "log = acme_{0}"),
    )
)
MODULE = 'def go():\n    """Go there."""\n'


def install(folder: Path, count: int) -> Path:
    """Write so many distributions into a folder."""
    for number in range(count):
        info = folder / f"acme_{number}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(METADATA.format(number))
        (info / "entry_points.txt").write_text(ENTRIES.format(number))
        (folder / f"acme_{number}.py").write_text(MODULE)
    return folder


def seconds(arguments: list[str], folder: Path) -> float:
    """The wall time of one process."""
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", "from mytorch.cli import main; main()", *arguments],
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - start


def main() -> int:
    """Measure, print a table, and tell by the exit status whether the limit is kept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="how often each command is started (default 15)")
    rounds = parser.parse_args().rounds
    times: dict[tuple[str, int], list[float]] = {(name, count): [] for name in COMMANDS for count in NUMBERS}
    with tempfile.TemporaryDirectory() as root:
        folders = {count: install(Path(root) / str(count), count) for count in NUMBERS}
        for number in range(rounds + 1):
            for (name, count), taken in times.items():
                spent = seconds(COMMANDS[name], folders[count])
                if number:  # the first round fills the file cache
                    taken.append(spent)
    medians = {key: statistics.median(taken) for key, taken in times.items()}
    for name in COMMANDS:
        for count in NUMBERS:
            low, _, high = statistics.quantiles(times[name, count], n=4)
            each = f"{(medians[name, count] - medians[name, 0]) / count * 1e3:8.2f} ms a plugin" if count else ""
            middle = f"{medians[name, count] * 1e3:6.0f} ms{low * 1e3:8.0f} .. {high * 1e3:.0f} ms"
            print(f"{name:22}{count:4} plugins{middle}{each}")
    kept = all(medians[name, NUMBERS[-1]] <= LIMIT for name in COMMANDS)
    print(f"limit with {NUMBERS[-1]} plugins: {LIMIT} s, {'kept' if kept else 'NOT KEPT'}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
