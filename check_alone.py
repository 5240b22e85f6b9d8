"""Do some distributions work with nothing but what they declare?  python -I check_alone.py nn optim

Run by tox in an environment that holds mytorch-core and the named ones, before pytest brings its own dependencies.
It looks at what is there, what is absent, and what a user is told who asks for the absent. `-I` keeps the checkout
off the module path.
"""

import importlib
import os
import pkgutil
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

PARTS = ("core", "nn", "optim", "data", "train", "experiments", "sklearn", "playground", "testing", "cli")
ONLY_FOR_EXPERIMENTS = ("matplotlib", "PIL", "pydantic", "tomli_w")


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
        check_training(present)
    if "experiments" in present:
        check_experiment()
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
    extras, count = libraries_of_extras(present), 0
    for name in modules:
        try:
            importlib.import_module(name)
            count += 1
        except ModuleNotFoundError as error:
            require(
                (error.name or "").partition(".")[0] in extras,
                f"{name} must be importable without extras, got {error}",
            )
    return count


def libraries_of_extras(present: set[str]) -> set[str]:
    """The modules that only an extra of these parts brings, as they are imported."""
    files = [Path(__file__).parent / f"mytorch-{name}/pyproject.toml" for name in present]
    extras = [tomllib.loads(file.read_text())["project"].get("optional-dependencies", {}) for file in files]
    lines = [line for of_part in extras for lines in of_part.values() for line in lines]
    return {re.match(r"[\w-]+", line)[0].replace("-", "_") for line in lines}


def check_absent_parts(present: set[str]) -> int:
    """Whoever asks for a part of an absent distribution is told which one, and how to install it."""
    from mytorch.plugins import UnknownNameError, catalogue

    count = 0
    for owner, kind, name in parts_of_the_checkout():
        if owner in present:
            require(catalogue().find(kind, name).distribution == f"mytorch-{owner}", f"{name} must be found")
            continue
        try:
            catalogue().find(kind, name)
        except UnknownNameError as error:
            told = names_install(str(error), owner)
            require(told, f"the error must say how to install mytorch-{owner}, got {error}")
            count += 1
        else:
            require(False, f"{kind} {name} must be absent, but it was found")
    return count


def parts_of_the_checkout() -> Iterator[tuple[str, str, str]]:
    """Distribution, kind and name of every part of this project, as the pyproject.toml files say."""
    from mytorch.plugins import KINDS

    for owner in PARTS:
        file = Path(__file__).parent / f"mytorch-{owner}" / "pyproject.toml"
        groups = tomllib.loads(file.read_text())["project"].get("entry-points", {})
        yield from ((owner, kind, name) for kind, group in KINDS.items() for name in groups.get(group, ()))


def names_install(message: str, owner: str) -> bool:
    """Whether a message names an absent distribution and the command that installs it."""
    told = rf"come with .*mytorch-{owner}\b.*pip install .*\./mytorch-{owner}\b"
    return owner == "cli" or bool(re.search(told, message))  # whoever asks for a command has the command line


def check_program(present: set[str]) -> None:
    """The program is there with mytorch-cli, and tells of commands whose distributions are absent."""
    program = Path(sys.executable).parent / f"mytorch{'.exe' if os.name == 'nt' else ''}"
    require(program.exists() == ("cli" in present), f"{program.name} must be there with mytorch-cli, and only then")
    if "cli" not in present:
        return
    for owner, command in (("experiments", "train"), ("data", "data"), ("testing", "check")):
        done = subprocess.run([program, command, "--help"], capture_output=True, text=True, check=False)
        if owner in present:
            require(done.returncode == 0 and "Usage: " in done.stdout, f"mytorch {command} --help must work")
        else:
            told = done.returncode == 2 and names_install(done.stderr, owner)
            require(told, f"mytorch {command} must say how to install mytorch-{owner}, got {done.stderr}")


def check_training(present: set[str]) -> None:
    """`fit` trains a model of its caller's, and what only experiments need is not there without them."""
    import torch

    from mytorch.core import Module, Optimizer, Parameter
    from mytorch.train import fit

    class Scale(Module):
        def __init__(self) -> None:
            self.gain = Parameter(torch.ones(1))

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.gain.value * x, x

        def backward(self, d_y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            self.gain.accumulate((d_y * x).sum().reshape(1))
            return self.gain.value * d_y

    class Squared(Module):
        def forward(self, y: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return (y - target).square().mean(), y - target

        def backward(self, d_value: float, difference: torch.Tensor) -> torch.Tensor:
            return difference * (2 * d_value / difference.numel())

    class Descent(Optimizer):
        def __init__(self, params: object) -> None:
            super().__init__(params, {"lr": 0.1})

        def update(
            self, values: list[torch.Tensor], grads: list[torch.Tensor], _: object, group: dict[str, float]
        ) -> None:
            for value, grad in zip(values, grads, strict=True):
                value -= group["lr"] * grad

    x = torch.randn(40, 1)
    net = Scale()
    history = fit(
        net, Squared(), Descent(net.param()), list(zip(x, 2 * x, strict=True)), epochs=3, batch_size=10, quiet=True
    ).history
    require(history[-1]["train_loss"] < history[0]["train_loss"], f"fit must train, got {history}")
    for name in () if {"experiments", "data"} & present else ONLY_FOR_EXPERIMENTS:
        require(find_spec(name) is None, f"{name} must be absent where there are no experiments")


def check_experiment() -> None:
    """A shipped experiment trains."""
    from mytorch.experiments import train_experiment

    with tempfile.TemporaryDirectory() as folder:
        run = train_experiment("disk", {"epochs": 1}, output=Path(folder), quiet=True)
        require(len(run.history) == 1, f"an experiment must train, got {run.history}")


def require(condition: bool, message: str) -> None:
    """Leave with a message unless the condition holds."""
    if not condition:
        sys.exit(f"check_alone: {message}")


if __name__ == "__main__":
    main(set(sys.argv[1:]))
