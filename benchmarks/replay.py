"""A step as the bare kernels that it calls, recorded once, then called in turn without modules and checks.

What is recorded is each call of a kernel with its arguments. Of these, a function is written that has one line for
each, in which tensors of the step are local variables, and all others, such as parameters, are what they are. Kernels
whose outputs nobody uses, as those of checks, are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Call = tuple[Any, bool, tuple[Any, ...], dict[str, Any], Any]
"""A kernel, whether it writes into an argument, its arguments, and its output."""


class _Recorder(TorchDispatchMode):
    """Keeps every call, and so every tensor, that no other may take its place in memory."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Call] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        kernel = torch.enable_grad()(func._op) if torch.is_grad_enabled() else func._op
        self.calls.append((kernel, func._schema.is_mutable, args, kwargs or {}, output))
        return output


def replayed(step: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """A function like `step`: its first call is a step, the second is recorded, those after it are the kernels."""
    found: list[Callable[[], Tensor]] = []
    taken = 0

    def call() -> Tensor:
        nonlocal taken
        taken += 1
        if taken == 1:  # it makes the optimizer's state
            return step()
        if found:
            return found[0]()
        with _Recorder() as recorder:
            value = step()
        found.append(_written(recorder.calls, value))
        return value

    return call


def _written(calls: list[Call], value: Tensor) -> Callable[[], Tensor]:
    """The function of the calls that count, which returns what is `value`."""
    known: dict[str, Any] = {}
    names: dict[int, str] = {}
    lines = []

    def term(leaf: Any) -> str:
        if isinstance(leaf, Tensor) and id(leaf) in names:
            return names[id(leaf)]
        name = f"c{len(known)}"
        known[name] = leaf
        return name

    def text(argument: Any) -> str:
        if isinstance(argument, list | tuple):
            inner = "".join(f"{text(entry)}, " for entry in argument)
            return f"[{inner}]" if isinstance(argument, list) else f"({inner})"
        return term(argument)

    for number, (kernel, _, args, kwargs, output) in enumerate(_needed(calls, value)):
        given = [*map(text, args), *(f"{name}={text(argument)}" for name, argument in kwargs.items())]
        target = f"t{number}"
        lines.append(f"    {target} = {term(kernel)}({', '.join(given)})")
        for place, leaf in enumerate(output if isinstance(output, list | tuple) else [output]):
            if isinstance(leaf, Tensor) and id(leaf) not in names:
                names[id(leaf)] = f"{target}[{place}]" if isinstance(output, list | tuple) else target
    source = "\n".join(["def run():", *_with_ends([*lines, f"    return {term(value)}"])])
    exec(source, known)
    run: Callable[[], Tensor] = known["run"]
    return run


def _needed(calls: list[Call], value: Tensor) -> list[Call]:
    """The calls that write into a tensor, or of whose output there is a use."""
    used, kept = {id(value)}, []
    for call in reversed(calls):
        _, writes, args, kwargs, output = call
        if writes or any(id(leaf) in used for leaf in tree_leaves(output)):
            kept.append(call)
            used.update(id(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor))
    return kept[::-1]


def _with_ends(lines: list[str]) -> list[str]:
    """The lines, each with the end of the variables that no later one uses, so that memory is free as it was."""
    ended: set[str] = set()
    found = []
    for line in reversed(lines):
        last = sorted(set(re.findall(r"\bt\d+\b", line)) - ended)
        ended.update(last)
        found.append(f"{line}; del {', '.join(last)}" if last and "return" not in line else line)
    return found[::-1]
