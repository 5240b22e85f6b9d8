"""Reading a docstring from a module's source, so that help texts cost no import."""

from __future__ import annotations

import ast
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

STEPS = 10  # from file to file, as a name is imported; two that import from each other would never end


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


def definition(target: str) -> str:
    """Where "package.module:attribute" is written: the target itself, or what its module imports it from."""
    return _defined(target)[0]


def _defined(target: str) -> tuple[str, list[ast.stmt]]:
    """Where a target is written, and the statements of that module."""
    for _ in range(STEPS):
        module, _, attribute = target.partition(":")
        statements = _statements(module)
        further = _imported_from(module, attribute, statements)
        if further is None:
            break
        target = further
    return target, statements


def _imported_from(module: str, attribute: str, statements: list[ast.stmt]) -> str | None:
    for node in statements:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == attribute:
                    return f"{_absolute(node, module)}:{alias.name}"
    return None


def _absolute(node: ast.ImportFrom, module: str) -> str:
    """The module that an import in another one names, which may be relative."""
    name = node.module or ""
    if not node.level:
        return name
    source = find_source(module)
    up = node.level - (source is not None and source.name == "__init__.py")
    package = module.split(".")[: -up or None]
    return ".".join([*package, *filter(None, [name])])


def first_docstring_line(target: str) -> str:
    """The first docstring line of "package.module:attribute", read from the source; "" if there is none."""
    written, statements = _defined(target)
    attribute = written.partition(":")[2]
    for node in statements:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == attribute:
            return (ast.get_docstring(node) or "").strip().partition("\n")[0]
    return ""


def _statements(module: str) -> list[ast.stmt]:
    """The statements of a module's file; none if there is no file, or no Python in it."""
    source = find_source(module)
    if source is None:
        return []
    try:
        return ast.parse(source.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return []
