"""Naming the layer in which an error arose."""

from __future__ import annotations

from mytorch.core import tree
from mytorch.core.module import Module

SHOWN = 5
"""Paths of a shared layer that a note names."""


def add_path(error: BaseException, net: Module) -> None:
    """Add a note to an error that came out of `net`: the path to the layer that raised it.

    Whoever calls the outermost module calls this, since a layer does not know where it stands:

        try:
            output, saved = net.forward(x)
        except Exception as error:
            add_path(error, net)
            raise
    """
    paths: dict[int, list[str]] = {}
    for path, module in tree.walk(net):
        paths.setdefault(id(module), []).append(path)
    culprit: Module | None = None
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        first = traceback.tb_frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
        if isinstance(first, Module) and id(first) in paths:
            culprit = first
        traceback = traceback.tb_next
    if culprit is not None and (named := [path for path in paths[id(culprit)] if path]):
        more = f" or {len(named) - SHOWN} more" if len(named) > SHOWN else ""
        where = " or ".join(map(repr, named[:SHOWN])) + more
        note = f"in layer {where} ({type(culprit).__name__}) of {type(net).__name__}"
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
