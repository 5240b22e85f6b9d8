"""How long the command takes to start, beside `import torch`:  python benchmarks/startup.py [--rounds 15]

Each round starts every command once, one after the other, so that a slow moment of the machine meets all of them.
Exits with status 1 if a median is above LIMIT times that of `import torch`.
"""

import argparse
import statistics
import subprocess
import sys
import time

LIMIT = 0.12
MYTORCH = "from mytorch.cli import main; main()"
COMMANDS = {
    'python -c "import torch"': ["import torch"],
    'python -c "pass"': ["pass"],
    "mytorch --help": [MYTORCH, "--help"],
    "mytorch plugins list": [MYTORCH, "plugins", "list"],
    "mytorch train --help": [MYTORCH, "train", "--help"],
}
LIMITED = ("mytorch --help", "mytorch plugins list")


def seconds(command: list[str]) -> float:
    """The wall time of one process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", *command], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def main() -> int:
    """Measure, print a table, and tell by the exit status whether the limit is kept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="how often each command is started (default 15)")
    rounds = parser.parse_args().rounds
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(rounds + 1):
        for name, command in COMMANDS.items():
            taken = seconds(command)
            if number:  # the first round fills the file cache
                times[name].append(taken)
    torch = times['python -c "import torch"']
    print(f"{'':26}{'median':>9}{'quartiles':>18}   of import torch")
    medians = {}
    for name, taken in times.items():
        low, _, high = statistics.quantiles(taken, n=4)
        medians[name] = statistics.median(taken) / statistics.median(torch)
        middle = statistics.median(taken)
        print(f"{name:26}{middle * 1e3:6.0f} ms{low * 1e3:8.0f} .. {high * 1e3:.0f} ms{medians[name]:12.1%}")
    kept = all(medians[name] <= LIMIT for name in LIMITED)
    print(f"limit for {' and '.join(LIMITED)}: {LIMIT:.0%}, {'kept' if kept else 'NOT KEPT'}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
