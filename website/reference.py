"""The pages of the reference: one a public name, filled by mkdocstrings, and one a package, which lists its names."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from itertools import groupby
from typing import Any

from data_sheets import markdown, text
from formulas import typeset
from public import Public, packages, public_names, vars_of

NAV = list[dict[str, Any] | str]
NOTATION = r"""In formulas, \(\mathrm{d}x\) is the gradient of the loss with respect to \(x\), the `d_x` of the code. A
product without a sign, such as \(x \, W^{\top}\), is one of matrices, `x @ W.T`. The source of every class shows its
formulas as plain text."""


def reference() -> tuple[dict[str, str], NAV]:
    """The text of every page by its path, and the part of the navigation that leads there."""
    names = public_names()
    texts: dict[str, str] = {}
    for page, members in groupby(sorted(names, key=lambda public: public.page), key=lambda public: public.page):
        texts[f"{page}.md"] = page_of(list(members))
    nav: NAV = []
    for package in packages():
        own = [public for public in names if public.package == package]
        if own:  # a family whose names the package above it offers has no page of its own
            path = f"reference/{package.removeprefix('mytorch.')}/index.md"
            texts[path] = index_of(package, own, {id(public.value): public for public in names})
            nav.append({package: [path, *nav_of(own)]})
    return texts, nav


def page_of(members: list[Public]) -> str:
    """A page with the headings of its names."""
    title = ", ".join(public.name for public in members)
    return f"---\ntitle: {title}\n---\n\n" + "\n\n".join(map(directive, members)) + "\n"


def directive(public: Public) -> str:
    """What mkdocstrings replaces by the documentation of a name."""
    if public.identifier == public.path:
        return f"::: {public.path}"
    return f"::: {public.identifier}\n    options:\n      heading: {public.path}\n      toc_label: {public.name}"


def in_groups(names: list[Public]) -> Iterator[tuple[str, list[Public]]]:
    for group, members in groupby(sorted(names, key=lambda public: public.group), key=lambda public: public.group):
        yield group, list(members)


def nav_of(names: list[Public]) -> NAV:
    groups = list(in_groups(names))
    entries = {group: [{title: f"{page}.md"} for page, title in titles(members).items()] for group, members in groups}
    return entries[groups[0][0]] if len(groups) == 1 else [{group: entries[group]} for group, _ in groups]


def titles(members: list[Public]) -> dict[str, str]:
    """Pages with the names that each shows."""
    found: dict[str, str] = {}
    for public in members:
        found[public.page] = ", ".join(filter(None, [found.get(public.page), public.name]))
    return found


def index_of(package: str, own: list[Public], places: dict[int, Public]) -> str:
    """The page of a package."""
    parts = [f"# {package}", markdown(import_module(package).__doc__ or "")]
    if any(re.search(r"(?m)^(Forward|Step|Formula):", inspect.getdoc(public.value) or "") for public in own):
        parts.append(NOTATION)
    groups = list(in_groups(own))
    for group, members in groups:
        heading = [f"## {group}"] if len(groups) > 1 else []
        parts += [*heading, "\n".join(["| Name | What it is |", "|---|---|", *map(row, members)])]
    known = {public.name for public in own}
    others = [places[id(value)] for name, value in vars_of(package).items() if name not in known]
    if others:
        links = ", ".join(f"[`{public.name}`][{public.identifier}]" for public in others)
        parts.append(f"It also offers {links}.")
    return "\n\n".join(parts) + "\n"


def row(public: Public) -> str:
    return f"| [`{public.name}`][{public.identifier}] | {text(public.summary)} |".replace("\\|", "&#124;")


def layer_index(page: str) -> str:
    """The index of layers, docs/layers.md, with links to the pages of the classes and with typeset formulas."""
    names = {public.name: public.identifier for public in public_names() if public.package == "mytorch.nn"}

    def typeset_row(found: re.Match[str]) -> str:
        classes = re.sub(r"`(\w+)`", lambda name: f"[`{name[1]}`][{names[name[1]]}]", found[1])
        formulas = "<br>".join(typeset(line.strip("`").replace("\\|", "|")) for line in found[3].split("<br>"))
        kernel = found[4].replace("\\|", "|")  # which a table of the site would show within code
        return f"| {classes} | {found[2]} | {formulas} | {kernel} |".replace(" | |", " |  |")

    return re.sub(r"(?m)^\| (`.*?) \| (\[.*?) \| (.*?) \| (.*?) \|$", typeset_row, page)
