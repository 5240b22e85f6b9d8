"""Do some distributions work with nothing but what they declare?  python -I check_alone.py nn optim

Run by tox in an environment that holds mytorch-core and the named ones, before pytest brings its own dependencies.
It looks at what is there, what is absent, and what a user is told who asks for the absent. `-I` keeps the checkout
off the module path.
"""

import importlib
import os
import pkgutil
import subprocess
import sys
import tempfile
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

PARTS = ("core", "nn", "optim", "data", "train", "testing", "cli")
EXPERIMENTS_NEED = {"nn", "optim", "data", "train"}


def main(parts: set[str]) -> None:
    """Leave with a message if anything but core and these parts is there, or something of theirs does not work."""
    present = {"core", *parts}
    installed = {d.metadata["Name"] for d in distributions()} & {f"mytorch-{name}" for name in PARTS}
    wanted = {f"mytorch-{name}" for name in present}
    require(installed == wanted, f"installed must be {sorted(wanted)}, got {sorted(installed)}")
    check_quick_imports(present)
    count = check_modules(present)
    told = check_absent_parts(present)
    check_program(present)
    if "train" in present:
        check_experiment(present)
    print(f"{', '.join(sorted(present))}: {count} modules imported, {told} absent parts are told with their remedy")


def check_quick_imports(present: set[str]) -> None:
    """What finds the parts, and the command line, work without torch."""
    importlib.import_module("mytorch.plugins")
    if "cli" in present:
        importlib.import_module("mytorch.cli")
    require("torch" not in sys.modules, "mytorch.plugins and mytorch.cli must not import torch")


def check_modules(present: set[str]) -> int:
    """The namespace shows these parts and no others, and every module of theirs can be imported."""
    mytorch = importlib.import_module("mytorch")
    require(mytorch.__file__ is None, f"mytorch must be a namespace, got {mytorch.__file__}: remove that file")
    visible = {module.name for module in pkgutil.iter_modules(mytorch.__path__)} - {"commands", "__main__"}
    wanted = {"plugins", *present}
    require(visible == wanted, f"visible must be {sorted(wanted)}, got {sorted(visible)}")
    for name in set(PARTS) - present:
        require(find_spec(f"mytorch.{name}") is None, f"mytorch.{name} must be absent, but it can be imported")

    modules = [m.name for m in pkgutil.walk_packages(mytorch.__path__, "mytorch.")]
    if find_spec("mytorch.commands"):
        commands = importlib.import_module("mytorch.commands")
        modules += [f"mytorch.commands.{module.name}" for module in pkgutil.iter_modules(commands.__path__)]
    for name in modules:
        importlib.import_module(name)
    return len(modules)


def check_absent_parts(present: set[str]) -> int:
    """Whoever asks for a part of an absent distribution is told which one, and how to install it."""
    from mytorch.plugins import UnknownNameError, catalogue
    from mytorch.plugins.offers import OFFERS

    told = 0
    for distribution, kinds in OFFERS.items():
        for kind, name in ((kind, name) for kind, names in kinds.items() for name in names):
            if distribution.removeprefix("mytorch-") in present:
                require(catalogue().find(kind, name).distribution == distribution, f"{name} must be found")
                continue
            try:
                catalogue().find(kind, name)
            except UnknownNameError as error:
                remedy = f"{distribution} offers it: python -m pip install ./{distribution}"
                require(remedy in str(error), f"the error must say {remedy!r}, got {error}")
                told += 1
            else:
                require(False, f"{kind} {name} must be absent, but it was found")
    return told


def check_program(present: set[str]) -> None:
    """The program is there with mytorch-cli, and tells of commands whose distributions are absent."""
    program = Path(sys.executable).parent / f"mytorch{'.exe' if os.name == 'nt' else ''}"
    require(program.exists() == ("cli" in present), f"{program.name} must be there with mytorch-cli, and only then")
    if "cli" not in present:
        return
    for owner, command in (("train", "train"), ("data", "data"), ("testing", "check")):
        done = subprocess.run([program, command, "--help"], capture_output=True, text=True, check=False)
        if owner in present:
            require(done.returncode == 0 and "Usage: " in done.stdout, f"mytorch {command} --help must work")
        else:
            remedy = f"mytorch-{owner} offers it: python -m pip install ./mytorch-{owner}"
            require(done.returncode == 2 and remedy in done.stderr, f"must say {remedy!r}, got {done.stderr}")


def check_experiment(present: set[str]) -> None:
    """A shipped experiment trains, or says what to install."""
    from mytorch.plugins import MissingRequirementError
    from mytorch.train import train_experiment

    missing = EXPERIMENTS_NEED - present
    with tempfile.TemporaryDirectory() as folder:
        try:
            train_experiment("disk", {"epochs": 1}, output=Path(folder), quiet=True)
        except MissingRequirementError as error:
            named = all(f"./mytorch-{name}" in str(error) for name in missing)
            require(bool(missing) and named, f"the error must say how to install {sorted(missing)}, got {error}")
        else:
            require(not missing, f"an experiment must not train without {sorted(missing)}")


def require(condition: bool, message: str) -> None:
    """Leave with a message unless the condition holds."""
    if not condition:
        sys.exit(f"check_alone: {message}")


if __name__ == "__main__":
    main(set(sys.argv[1:]))
