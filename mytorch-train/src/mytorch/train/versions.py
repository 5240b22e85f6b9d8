"""The versions of the distributions whose code a training runs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version

import torch

from mytorch.core import Wrapped
from mytorch.plugins import OWN, catalogue


def versions_of(parts: Iterable[object]) -> dict[str, str]:
    """Those of Python, without its last number, of torch, of the distributions of mytorch that were imported, and of
    each distribution that offers parts to mytorch and has the class of one of `parts`, or a class from which it is
    derived. A data set is looked at within its views, too.
    """
    offered: dict[str, dict[str, str]] = {}
    for part in catalogue():
        offered.setdefault(_package(part.target.partition(":")[0]), {})[part.distribution] = part.version
    found = {"python": ".".join(platform.python_version().split(".")[:2]), "torch": str(torch.__version__)}
    for name in sorted({_package(name) for name in sys.modules if name.startswith("mytorch.")}):
        if (own := name.replace(".", "-")) in OWN:
            found |= _installed(own)
    kinds = {kind for part in parts for within in _unwrapped(part) for kind in type(within).__mro__}
    for package in {_package(kind.__module__) for kind in kinds}:
        found |= offered.get(package, {})
    return found


def _unwrapped(part: object) -> Iterator[object]:
    yield part
    while isinstance(part, Wrapped):
        part = part.data
        yield part


def _package(module: str) -> str:
    """The package that one distribution has for its own."""
    return ".".join(module.split(".")[: 2 if module.startswith("mytorch.") else 1])


def _installed(distribution: str) -> dict[str, str]:
    try:
        return {distribution: version(distribution)}
    except PackageNotFoundError:
        return {}
