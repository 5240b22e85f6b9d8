"""Whether what a thread computes is recorded for a compiler; torch.compiler knows it of the process alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import compiler
from torch.compiler import is_dynamo_compiling

_EXPORTS = "_is_exporting_flag" if hasattr(compiler, "_is_exporting_flag") else "_is_compiling_flag"
"""Of torch.compiler: true while torch.export runs, in whichever thread. The first came with torch 2.7."""


class _Here(threading.local):
    compiling = False


_here = _Here()


def is_compiling() -> bool:
    """Whether this thread records operations for a compiler, by torch.compile, torch.export or `compiling_here`."""
    return is_dynamo_compiling() or _here.compiling or is_exporting()


def is_exporting() -> bool:
    """Whether this thread records operations for torch.export, which another thread may do while this one trains."""
    exports: bool = getattr(compiler, _EXPORTS)
    return exports and torch._C._len_torch_dispatch_stack() > 0


@contextmanager
def compiling_here() -> Iterator[None]:
    """Within this context, operations of this thread are recorded for a compiler, and no other thread believes so."""
    before, _here.compiling = _here.compiling, True
    try:
        yield
    finally:
        _here.compiling = before
