"""The whole suite: it measures every section and writes results.md, results.json and figures into a folder.

    python benchmarks/suite.py                         about 20 minutes; --quick shows within 3 that it works
    python benchmarks/suite.py --only reference memory some sections
    python benchmarks/suite.py --publish FOLDER        copy a run's results into docs/performance.md; measures nothing

A contestant that is not installed, or does not run here, is named as missing with the way out. `tox -e bench` installs
all of them.
"""

import argparse
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import batches
import engine
import inference_sweep
import memory_sweep
import plugins
import reference_network
import startup
import sweeps
import whole_networks
from contestants import set_up
from publish import publish
from results import Missing, Section, about

OUTPUT = Path("build/benchmarks")
SECTIONS: dict[str, Callable[[bool], list[Section]]] = {
    "startup": startup.sections,
    "plugins": plugins.sections,
    "reference": reference_network.sections,
    "networks": whole_networks.sections,
    "fit": engine.sections,
    "sweeps": sweeps.sections,
    "inference": inference_sweep.sections,
    "batches": batches.sections,
    "memory": memory_sweep.sections,
}
"""What each is measured by, given whether to be quick. A new measurement is a line here."""


def _measured(name: str, quick: bool) -> list[Section]:
    """The sections of a name; one that fails says so in its place, and the others go on."""
    try:
        return SECTIONS[name](quick)
    except Exception as error:
        traceback.print_exc()
        failed = Section(name, name.capitalize(), "This measurement failed.", "")
        failed.missing = [Missing("everybody", f"{type(error).__name__}: {error}")]
        return [failed]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few and short rounds: shows that it works, not figures")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="measure these sections")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="FOLDER", help=f"default {OUTPUT}")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="put a run's results into the documentation")
    options = parser.parse_args()
    if options.publish:
        print(f"Wrote {publish(options.publish)}")
        return
    from write_results import write  # matplotlib is not to be in the processes that measure, which import this file

    facts, found = about(), list[Section]()
    with tempfile.TemporaryDirectory() as cache:
        set_up(cache)
        for name in options.only:
            started = time.perf_counter()
            found += _measured(name, options.quick)
            write(options.output, facts, found)  # after each, so that a run that is cut off leaves what it has
            print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
    print((options.output / "results.md").read_text())


if __name__ == "__main__":
    main()
