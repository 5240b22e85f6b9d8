"""How long the command takes to start with many plugins installed.

The plugins are folders of metadata and a module each, on the module path, as pip leaves them; each offers a layer, a
command and a hook. Exits with status 1 if a median at the largest number is above LIMIT milliseconds.
"""

import sys
import tempfile
from pathlib import Path

from alone import run_alone
from commands import MYTORCH, in_turn
from results import Row, Section
from side_by_side import Target

LIMIT = 600
NUMBERS = (0, 10, 50, 100, 500)
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
TEXT = "The wall time of the whole process; each plugin is a distribution with a layer, a command and a hook."


def install(folder: Path, count: int) -> Path:
    """Write so many distributions into a folder."""
    folder.mkdir()
    for number in range(count):
        info = folder / f"acme_{number}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(METADATA.format(number))
        (info / "entry_points.txt").write_text(ENTRIES.format(number))
        (folder / f"acme_{number}.py").write_text(MODULE)
    return folder


def sections(quick: bool) -> list[Section]:
    """The command's start with each number of plugins."""
    with tempfile.TemporaryDirectory() as root:
        paths = {count: {"PYTHONPATH": str(install(Path(root) / str(count), count))} for count in NUMBERS}
        commands = {
            f"{name}, {count}": ([MYTORCH, *arguments], paths[count])
            for name, arguments in COMMANDS.items()
            for count in NUMBERS
        }
        measured = in_turn(commands, 3 if quick else 15)
    axis = "plugins installed"
    section = Section("plugins", f"Start over {axis}", TEXT, "milliseconds", axis=axis, logarithmic=False)
    for name in COMMANDS:
        for count in NUMBERS:
            seconds = measured.seconds(f"{name}, {count}")
            section.rows.append(Row(name, seconds.scaled(1e3), at=count))
        most = section.rows[-1].figure
        section.targets.append(Target(f"{name}, {NUMBERS[-1]} plugins, ms", most, LIMIT, at_least=False))
    return [section]


if __name__ == "__main__":
    sys.exit(run_alone(sections, __doc__))
