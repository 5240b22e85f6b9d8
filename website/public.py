"""The public names of the distributions: those of `__all__`, wherever a package offers them."""

from __future__ import annotations

import importlib
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from mytorch.core import Optimizer, Schedule

HOUSE = Path(__file__).parents[1]
ORDER = ("core", "plugins", "nn", "optim", "data", "train", "experiments", "sklearn", "testing", "cli")
"""The order in which the reference shows the packages; others come behind them."""
MERE_VALUES = (int, float, str, tuple, frozenset, dict)
KINDS = ((Exception, "Errors and warnings"), (Optimizer, "Optimizers"), (Schedule, "Schedules"), (object, "Classes"))


@dataclass(frozen=True)
class Public:
    """A public name: the package that offers it, and what it stands for."""

    package: str
    name: str
    value: Any

    @property
    def path(self) -> str:
        return f"{self.package}.{self.name}"

    @property
    def identifier(self) -> str:
        """What mkdocstrings is asked for: where it is defined, if a module of the same name hides the name itself."""
        hidden = self.path in sys.modules and not isinstance(self.value, ModuleType)
        return f"{self.value.__module__}.{self.value.__qualname__}" if hidden else self.path

    @property
    def page(self) -> str:
        """Its page, without the suffix. Names that differ only in case share one, as some file systems demand."""
        return f"reference/{self.package.removeprefix('mytorch.')}/{self.name.lower()}"

    @property
    def group(self) -> str:
        """The heading under which it stands on the page of its package."""
        inner = getattr(self.value, "__module__", None) or ""
        if inspect.isclass(self.value) and issubclass(self.value, Exception):
            return KINDS[0][1]
        family = ".".join(inner.split(".")[:3])
        if family != self.package and inner.startswith(self.package) and is_package(family):
            return family.rpartition(".")[2].replace("_", " ").capitalize()
        if inspect.isclass(self.value):
            return next(kind for base, kind in KINDS if issubclass(self.value, base))
        if isinstance(self.value, ModuleType):
            return "Modules"
        return "Values" if isinstance(self.value, MERE_VALUES) else "Functions"

    @property
    def summary(self) -> str:
        """The first line of its docstring; empty for a value, which has none of its own."""
        is_mere = isinstance(self.value, MERE_VALUES)
        return "" if is_mere else (inspect.getdoc(self.value) or "").partition("\n")[0]


def is_package(name: str) -> bool:
    return hasattr(sys.modules.get(name), "__path__")


def public_names() -> list[Public]:
    """Every public name once: by the package nearest to the top that offers it."""
    found: list[Public] = []
    known: set[int] = set()
    for package in packages():
        for name in sorted(vars_of(package), key=str.lower):
            value = vars_of(package)[name]
            if isinstance(value, MERE_VALUES) or id(value) not in known:
                known.add(id(value))
                found.append(Public(package, name, value))
    return found


def vars_of(package: str) -> dict[str, Any]:
    module = importlib.import_module(package)
    return {name: getattr(module, name) for name in getattr(module, "__all__", ())}


def packages() -> list[str]:
    """Packages and, behind each, those inside of it; what begins with an underscore is not public."""
    found = []
    homes = {init.parent.name: init.parent for init in sorted(HOUSE.glob("mytorch-*/src/mytorch/*/__init__.py"))}
    for name in dict.fromkeys([*ORDER, *homes]):
        home = homes[name]
        inside = sorted(".".join(init.parent.parts[len(home.parts) - 2 :]) for init in home.rglob("__init__.py"))
        found += [package for package in inside if "._" not in package]
    return found
