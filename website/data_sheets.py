"""An extension of griffe, which mkdocstrings reads sources with: docstrings become Markdown.

The rows of a data sheet (`Forward:`, `Shapes:`, ...) and the explanations of arguments become lists of definitions,
formulas are typeset, examples become code, and errors are links. The sources keep their plain text. A class without a
docstring, such as one of the dimensions of a layer, gets that of the body it shares.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import griffe

sys.path.insert(0, str(Path(__file__).parent))

from formulas import escaped, typeset
from public import public_names

FORMULAS = ("Forward", "Backward", "Wanted", "Step", "Settings", "Formula", "Initial")
"""Rows that hold formulas; in others a letter is likelier an article or an axis."""
ROW = re.compile(r"([A-Z][a-z]+):(?: +|$)(.*)")
ARGUMENTS = re.compile(r"(\*{0,2}[a-z_]\w*(?:, \*{0,2}[a-z_]\w*)*): (.*)", re.DOTALL)
BEGINS = re.compile(r"\S+( \S+)? = |[\w.]+(, [\w.]+)*: ")
"""A line that is a statement of its own, although the one before it does not end."""
PROSE = ("Raises", "Source")
"""Rows whose lines are broken anywhere; where a statement ends, there is a semicolon."""
WIDTH, INDENT = 119, 15
"""Of a line in the source, and of what stands in front of a row's text there."""
IDENTIFIER = re.compile(r"(?<![\w.`])(?:(?:[A-Za-z_]\w*\.)+\w+|\w*_\w+)(?![\w`])")
LINKED = {public.name: public.identifier for public in public_names() if public.name.endswith(("Error", "Warning"))}


class DataSheets(griffe.Extension):
    """Called by griffe for every object that it has read."""

    def on_function_instance(self, *, func: griffe.Function, **_: Any) -> None:
        rewrite(func, {parameter.name for parameter in func.parameters})

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        names = set(cls.members)
        if "__init__" in cls.members and isinstance(cls.members["__init__"], griffe.Function):
            names |= {parameter.name for parameter in cls.members["__init__"].parameters}
        rewrite(cls, names)

    def on_attribute_instance(self, *, attr: griffe.Attribute, **_: Any) -> None:
        rewrite(attr, set())

    def on_module_members(self, *, mod: griffe.Module, **_: Any) -> None:
        rewrite(mod, set(mod.members))

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        inherit(pkg)


def inherit(owner: griffe.Object) -> None:
    """Give every class below without a docstring that of the nearest private base that has one, as `help` does."""
    for member in owner.members.values():
        if isinstance(member, griffe.Class) and not member.docstring:
            bodies = [base for base in member.mro() if is_private(base) and base.docstring]
            if bodies and (shared := bodies[0].docstring):
                member.docstring = griffe.Docstring(shared.value, parent=member)
        if isinstance(member, griffe.Class | griffe.Module):
            inherit(member)


def is_private(cls: griffe.Class) -> bool:
    """Whether a class has no page of its own."""
    return any(part.startswith("_") for part in cls.path.split("."))


def rewrite(owner: griffe.Object, names: set[str]) -> None:
    if owner.docstring:
        owner.docstring.value = markdown(owner.docstring.value, names)


def markdown(docstring: str, names: set[str] = frozenset()) -> str:  # type: ignore[assignment]
    """A docstring as Markdown; `names` are those of its arguments and attributes."""
    summary, *rest = blocks(inspect.cleandoc(docstring))
    first = [text(" ".join(summary))] if ROW.match(summary[0]) and len(rest) else parts(summary, names)
    return "\n\n".join([*first, *(part for block in rest for part in parts(block, names))])


def blocks(text: str) -> Iterator[list[str]]:
    """The paragraphs, rows and pieces of code of a docstring, each as its lines."""
    block: list[str] = []
    for line in text.splitlines():
        begins = not line[:1].isspace() and (ROW.match(line) or (block and ends_hanging(block, line)))
        if block and (begins or not line.strip()) and not is_example(block, line):
            yield block
            block = []
        if line.strip() or block:
            block.append(line)
    if block:
        yield block


def ends_hanging(block: list[str], line: str) -> bool:
    """Whether a line begins the explanation of an argument, or ends that of another one."""
    return bool(ARGUMENTS.match(line)) or (block[-1][:1].isspace() and not block[0][:1].isspace())


def is_example(block: list[str], line: str) -> bool:
    return block[0].startswith("Example:") and (line[:1].isspace() or not line.strip())


def parts(block: list[str], names: set[str]) -> Iterator[str]:
    """A block as Markdown."""
    first = block[0]
    if first.startswith("Example:"):
        code = inspect.cleandoc("\n" + "\n".join([first.removeprefix("Example:").strip(), *block[1:]]))
        yield f"**Example**\n\n{fence(code)}"
    elif first.startswith("    "):
        yield fence(inspect.cleandoc("\n" + "\n".join(block)))
    elif row := ROW.fullmatch(first):
        yield definition(row[1], lines_of_row(row[1], [row[2], *block[1:]]))
    elif (found := ARGUMENTS.fullmatch("\n".join(block))) and names.issuperset(found[1].replace("*", "").split(", ")):
        yield definition(f"`{found[1]}`", [text(" ".join(found[2].split()))])
    else:
        yield text("\n".join(line.strip() for line in block))


def fence(code: str) -> str:
    return f"```{'pycon' if code.startswith('>>>') else 'python'}\n{code}\n```"


def definition(term: str, lines: list[str]) -> str:
    return f"{term}\n:   " + "<br>\n    ".join(lines)


def lines_of_row(label: str, lines: list[str]) -> list[str]:
    """The statements of a row, one a line, whatever the width of the source made of them."""
    shown: list[str] = []
    for before, line in pairwise(["", *map(str.strip, lines)]):
        is_broken = before and (label in PROSE or INDENT + len(before) + 1 + len(line.partition(" ")[0]) > WIDTH)
        if is_broken and not (label == "Step" or before[-1] in ";:" or BEGINS.match(line)):
            shown[-1] += " " + line
        elif line:
            shown.append(line)
    statements = [part for line in shown for part in re.split(r"(?<=;)  +", line)]
    if label not in FORMULAS:
        return [text(statement) for statement in statements]
    return [" &emsp; ".join(map(typeset, re.split(r"  +", statement))) for statement in statements]


def text(plain: str) -> str:
    """Prose as Markdown, in which identifiers are code and the names of errors are links."""
    pieces = re.split(r"(`[^`]*`)", plain)
    pieces[::2] = [IDENTIFIER.sub(lambda found: f"`{found[0]}`", piece) for piece in pieces[::2]]
    return re.sub(r"\b\w+(?:Error|Warning)\b(?!`)", linked, escaped("".join(pieces)))


def linked(found: re.Match[str]) -> str:
    return f"[`{found[0]}`][{LINKED[found[0]]}]" if found[0] in LINKED else found[0]
