"""Does a distribution work with nothing but what it declares?  python -I check_alone.py nn

Run by tox in an environment that holds mytorch-core and one other distribution, before pytest brings its own
dependencies. `-I` keeps the checkout off the module path.
"""

import importlib
import pkgutil
import sys
from importlib.metadata import distributions

PARTS = ("core", "nn", "optim", "data", "train", "testing", "cli")


def main(part: str) -> None:
    """Leave with a message if anything but core and this part is there, or one of their modules fails to import."""
    wanted = {"mytorch-core", f"mytorch-{part}"}
    installed = {d.metadata["Name"] for d in distributions()} & {f"mytorch-{name}" for name in PARTS}
    require(installed == wanted, f"installed must be {sorted(wanted)}, got {sorted(installed)}")

    importlib.import_module("mytorch.plugins")
    if part == "cli":
        importlib.import_module("mytorch.cli")
    require("torch" not in sys.modules, "mytorch.plugins and mytorch.cli must not import torch")

    mytorch = importlib.import_module("mytorch")
    require(mytorch.__file__ is None, f"mytorch must be a namespace, got {mytorch.__file__}: remove that file")
    visible = {module.name for module in pkgutil.iter_modules(mytorch.__path__)} - {"commands"}
    require(visible == {"core", "plugins", part}, f"visible must be core, plugins and {part}, got {sorted(visible)}")

    modules = ["mytorch.core", *(m.name for m in pkgutil.walk_packages(mytorch.__path__, "mytorch."))]
    for name in modules:
        importlib.import_module(name)
    commands = importlib.import_module("mytorch.commands") if part in ("data", "train") else None
    for module in pkgutil.iter_modules(commands.__path__) if commands else ():
        importlib.import_module(f"mytorch.commands.{module.name}")
    print(f"mytorch-{part} alone: {len(modules)} modules imported")


def require(condition: bool, message: str) -> None:
    """Leave with a message unless the condition holds."""
    if not condition:
        sys.exit(f"check_alone: {message}")


if __name__ == "__main__":
    main(sys.argv[1])
