"""Reading a docstring from a module's source, so that help texts cost no import."""

from __future__ import annotations

import ast
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path


def find_source(module: str) -> Path | None:
    """The file of a module, found without importing it or its parents; None if it has none."""
    path: list[str] | None = None
    spec: ModuleSpec | None = None
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        spec = _find(".".join(parts[:depth]), path)
        if spec is None:
            return None
        locations = spec.submodule_search_locations
        path = list(locations) if locations is not None else []
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


def _find(name: str, path: list[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        find_spec = getattr(finder, "find_spec", None)
        if find_spec is None:
            continue
        spec: ModuleSpec | None
        try:
            spec = find_spec(name, path)
        except KeyError:  # a namespace inside a package: Python looks its parent up, which is not imported
            spec = find_spec(name.rpartition(".")[2], path)
        if spec is not None:
            return spec
    return None


def first_docstring_line(target: str) -> str:
    """The first docstring line of "package.module:attribute", read from the source; "" if there is none."""
    module, _, attribute = target.partition(":")
    source = find_source(module)
    if source is None:
        return ""
    try:
        tree = ast.parse(source.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == attribute:
            return (ast.get_docstring(node) or "").strip().partition("\n")[0]
    return ""
