"""Writes docs/layers.md, the index of all layers and losses, from their docstrings.

python docs/write_layers.py
"""

import importlib
import inspect
import re
from itertools import groupby
from pathlib import Path

from mytorch.plugins import catalogue
from mytorch.train.explain.formula import formula_of

HOUSE = Path(__file__).parents[1]
PAGE = HOUSE / "docs/layers.md"
INTRODUCTION = """\
# Layers and losses
Every layer and loss of mytorch.nn, with the formula of its forward. The docstring, such as
`help(mytorch.nn.Conv2d)`, also explains the symbols of the formula, and states the backward, the shapes, the
errors and the source. Arguments, names of weights and results are those of the class of the same name in torch.nn,
if there is one. The column Kernel names torch's function that computes the backward; where it is empty, the
backward is written in tensor operations.

This page is written by `python docs/write_layers.py`."""


def index():
    """The text of the page."""
    classes = [part.load() for kind in ("layer", "loss") for part in catalogue().of_kind(kind) if is_own(part)]
    families = groupby(sorted(classes, key=lambda cls: (family_of(cls), cls.__module__, cls.__name__)), family_of)
    return "\n\n".join([INTRODUCTION, *(section(family, list(members)) for family, members in families)]) + "\n"


def is_own(part):
    return part.distribution == "mytorch-nn"


def family_of(cls):
    return ".".join(cls.__module__.split(".")[:3])


def section(family, classes):
    """A family as a table; classes of one formula, such as the three dimensions of a layer, share a row."""
    rows = groupby(classes, lambda cls: (cls.__module__, formula_of(cls, "forward"), kernel_of(cls)))
    summary = inspect.getdoc(importlib.import_module(family)).partition("\n")[0]
    lines = [f"## {family.rpartition('.')[2].capitalize()}", summary, "", "| Layer | File | Forward | Kernel |"]
    lines.append("|---|---|---|---|")
    for (module, formula, kernel), members in rows:
        path = Path("mytorch-nn/src", *module.split(".")).with_suffix(".py")  # of the checkout, whatever is installed
        names = ", ".join(f"`{cls.__name__}`" for cls in members)
        lines.append(
            f"| {names} | [{path.name}](../{path.as_posix()}) | {'<br>'.join(map(cell, formula))} | {cell(kernel)} |"
        )
    return "\n".join(lines)


def kernel_of(cls):
    """What the docstring says below `Kernel:`."""
    found = re.search(r"(?ms)^Kernel:\s+(.*?)(?=^\w|^$|\Z)", inspect.getdoc(cls))
    return " ".join(found[1].split()) if found else ""


def cell(text):
    """A formula as code, in which a table would take | for its own."""
    return f"`{' '.join(text.split())}`".replace("|", "\\|") if text else ""


if __name__ == "__main__":
    PAGE.write_text(index())
