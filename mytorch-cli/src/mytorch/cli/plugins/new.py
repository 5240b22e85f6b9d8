"""`mytorch plugins new`."""

import importlib.util
import keyword
import re
from importlib.metadata import version
from pathlib import Path

import click

from mytorch.plugins import KINDS, OWN, MytorchError

OFFERED = ("layer", "loss", "optimizer", "dataset", "metric", "command", "hook")
TEMPLATES = Path(__file__).parents[1] / "templates"


@click.command()
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
    import_name = import_name_of(name)
    target = folder / name
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise MytorchError(f"plugins new: {target} must not exist yet, or be an empty folder; give another name")
    try:
        from copier import run_copy
    except ImportError as error:
        raise MytorchError(
            "plugins new: copier, which fills in the templates, must be installed: "
            "python -m pip install './mytorch-cli[new]'"
        ) from error
    answers = {
        "name": name,
        "import_name": import_name,
        "class_name": "".join(word.capitalize() for word in import_name.split("_")),
        "kind": kind,
        "group": KINDS[kind],
        "core": core_range(version("mytorch-core")),
    }
    run_copy(str(TEMPLATES), target, answers, defaults=True, quiet=True)
    click.echo(
        f"{target} offers the {kind} {answers['class_name' if kind not in ('command', 'hook') else 'name']}. Next:"
    )
    for line in (f"cd {target}", "python -m pip install -e '.[test]'", "python -m pytest"):
        click.echo(f"  {line}")


def import_name_of(name: str) -> str:
    """The name to import a distribution by. Raises MytorchError if it cannot have one of its own."""
    if not re.fullmatch(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*", name):
        raise MytorchError(
            f"plugins new: the name must be lower-case words with - between them, such as acme-swish, got {name!r}"
        )
    import_name = name.replace("-", "_")
    if name in OWN or import_name == "mytorch":
        raise MytorchError(f"plugins new: {name!r} must not be a name of mytorch itself; give one of your own")
    if keyword.iskeyword(import_name) or importlib.util.find_spec(import_name) is not None:
        raise MytorchError(
            f"plugins new: {import_name!r} must not be taken, got the name of an installed module or of Python's own; "
            f"give another, such as {name}-layers"
        )
    return import_name


def core_range(installed: str) -> str:
    """The versions that keep the contract of an installed one: it breaks with a new minor while the major is 0."""
    major, minor = (int(number) for number in installed.split(".")[:2])
    return f">={major}.{minor},<{major}.{minor + 1}" if major == 0 else f">={major}.{minor},<{major + 1}"
