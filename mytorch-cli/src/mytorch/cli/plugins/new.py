"""`mytorch plugins new`."""

import builtins
import importlib.util
import keyword
import re
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

import click

from mytorch.plugins import KINDS, ArgumentError, FileError, MissingRequirementError, catalogue, shown

OFFERED = ("layer", "loss", "optimizer", "dataset", "metric", "callback", "rule", "command", "hook")
TEMPLATES = Path(__file__).parents[1] / "templates"

COMMANDS = ("completion", "plugins")
"""The commands of the command line itself, which no entry point names."""

USED_BY_TEMPLATES = {
    "Any",
    "ArgumentError",
    "Callback",
    "ClassVar",
    "DataSet",
    "F",
    "Formula",
    "Hooks",
    "Iterable",
    "Loss",
    "Mapping",
    "Metric",
    "Module",
    "Optimizer",
    "Parameter",
    "Rule",
    "Scale",
    "ShapeError",
    "Squares",
    "StopTraining",
    "Tensor",
}
"""A class of such a name would hide what its own file imports."""


@click.command(short_help="Write a plugin of your own, with a working part.")
@click.argument("name")
@click.option("--kind", type=click.Choice(OFFERED), required=True, help="What the distribution offers.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Where its own folder, of the same name, is made; the current folder otherwise.",
)
def new(name: str, kind: str, folder: Path) -> None:
    """Write a distribution of your own, NAME, with a part that works and its tests.

    Nothing is fetched, and no file that is there is changed.

    \b
    Example:
      mytorch plugins new acme-swish --kind layer
      mytorch plugins new acme-spirals --kind dataset --folder ~/src
    """
    import_name, part = import_name_of(name), part_name(name, kind)
    target = folder / name
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileError(f"{target}: must not exist yet, or be an empty folder; give another name or --folder")
    fill_in(
        target,
        {
            "name": name,
            "import_name": import_name,
            "class_name": class_name_of(name),
            "kind": kind,
            "group": KINDS[kind],
            "core": core_range(version("mytorch-core")),
        },
    )
    click.echo(f"{target} offers the {kind} {part}. Next:")
    for line in (f"cd {shlex.quote(str(target))}", "python -m pip install -e '.[test]'", "python -m pytest"):
        click.echo(f"  {line}")


def fill_in(target: Path, answers: dict[str, str]) -> None:
    """Write the templates, filled in, into a folder. Raises MissingRequirementError if the extra is not installed."""
    try:
        from copier import run_copy
    except ImportError as error:
        raise MissingRequirementError(
            "plugins new: copier, which fills in the templates, must be installed: "
            "python -m pip install './mytorch-cli[new]'"
        ) from error
    run_copy(str(TEMPLATES), target, answers, defaults=True, quiet=True)


def import_name_of(name: str) -> str:
    """The name to import a distribution by. Raises ArgumentError if it cannot have one of its own."""
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name):
        raise ArgumentError(
            "plugins new: the name must be lower-case words with - between them, such as acme-swish, "
            f"got {shown(name)}"
        )
    if name.startswith(("mytorch", "test")):
        raise ArgumentError(
            f"plugins new: the name must not begin with mytorch or test, got {shown(name)}; "
            f"give another, such as acme-{name}"
        )
    import_name, class_name = name.replace("-", "_"), class_name_of(name)
    if (
        any(keyword.iskeyword(word) or hasattr(builtins, word) for word in (import_name, class_name))
        or class_name in USED_BY_TEMPLATES
        or import_name in sys.stdlib_module_names
        or importlib.util.find_spec(import_name) is not None
    ):
        raise ArgumentError(
            f"plugins new: the name must not be taken, got {shown(name)}, which Python, an installed module or the "
            f"templates use already; give another, such as acme-{name}"
        )
    return import_name


def class_name_of(name: str) -> str:
    """The name of a distribution's class: AcmeSwish for acme-swish."""
    return "".join(word.capitalize() for word in re.split("[-_]", name))


def part_name(name: str, kind: str) -> str:
    """The name that a part has for its users. Raises ArgumentError if a part of another distribution has it."""
    part = name if kind in ("command", "hook") else class_name_of(name)
    owners = [other.distribution for other in catalogue().of_kind(kind) if other.name == part]
    owners += ["mytorch-cli"] * (kind == "command" and part in COMMANDS)
    if others := sorted({owner for owner in owners if owner != name}):
        raise ArgumentError(
            f"plugins new: the {kind} {part} must not be offered already, got that of {', '.join(others)}; "
            f"give another name, such as acme-{name}"
        )
    return part


def core_range(installed: str) -> str:
    """The versions that keep the contract of an installed one: it breaks with a new minor while the major is 0."""
    major, minor = (int(number) for number in installed.split(".")[:2])
    return f">={major}.{minor},<{major}.{minor + 1}" if major == 0 else f">={major}.{minor},<{major + 1}"
