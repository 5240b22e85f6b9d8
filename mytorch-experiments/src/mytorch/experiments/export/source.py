"""The lines of torch.nn that build a run's model, as text."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from mytorch.core import Module
from mytorch.experiments.export import stages
from mytorch.experiments.export.errors import ExportError
from mytorch.experiments.export.graph import named_layer
from mytorch.experiments.export.model_of import Exported
from mytorch.experiments.parity.twin import is_told
from mytorch.train.interop import twin_layers
from mytorch.train.interop.twin_layers import TWIN_LAYERS, stack

WIDTH = 100
"""Of lines, where a call can be broken."""

TEXT = '''"""The model of a run of mytorch, for PyTorch alone.

    predictions = load()(rows)

rows: {rows}. Returns a dict of {outputs}.
{epoch}
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

RUN = {run}
COLUMNS = {columns}
CLASSES = {classes}


{classes_of_layers}


def build() -> nn.Module:
    """The net, with weights that are drawn."""
    return {net}


def load(path: Any = Path(__file__).with_suffix(".pt")) -> Model:
    """The model with the weights of the run, in evaluation mode; `net` is what was trained."""
    net = build().to({dtype})
    net.load_state_dict(torch.load(path, weights_only=True))
{ties}    return {model}.eval()
'''


def source_of(found: Exported) -> str:
    """A file of Python that needs torch alone. Raises ExportError for a layer whose lines are not known."""
    said, model, writer = found.to_json(), found.model, _Writer()
    net = writer.layer("", found.run.net, 4)
    prepare, read = writer.stage(model.prepare), writer.stage(model.read)
    sizes = ", ".join(map(str, said["input"]["shape"]))
    text = TEXT.format(
        run=ascii(said["run"]),  # the name of a folder can hold anything
        rows=f"{said['input']['dtype']}, ({sizes})",
        outputs=", ".join(said["outputs"]),
        epoch=f"Its weights are those of epoch {said['weights_of_epoch']}.",
        columns=said["columns"],
        classes=said["classes"],
        classes_of_layers="\n\n\n".join(writer.sources([stages.Model])),
        net=net,
        dtype=found.run.dtype,
        ties="".join(f"    {line}\n" for line in _ties(model.net)),
        model=_call("Model", [prepare, "net", read], 4),
    )
    for name in ("math", "warnings"):
        text = text if f"{name}." in text else text.replace(f"import {name}\n", "", 1)
    names = [name for name in ("Callable", "Sequence") if f"{name}[" in text]
    line = f"from collections.abc import {', '.join(names)}\n" if names else ""
    return text.replace("from collections.abc import Callable, Sequence\n", line, 1)


class _Writer:
    """Writes calls, and remembers which classes they need."""

    def __init__(self) -> None:
        self.needed: list[Callable[..., Any]] = []

    def layer(self, path: str, module: Module, indent: int) -> str:
        """The call that builds a layer, which begins in a column."""
        name = type(module).__name__
        cls = TWIN_LAYERS.get(name) or getattr(nn, name, None)
        if hasattr(module, "torch_twin") or not type(module).__module__.startswith("mytorch.nn.") or cls is None:
            raise ExportError(
                f"export: {named_layer(path or 'net', name)} must be one of torch.nn, or of mytorch.nn, to be "
                "written as lines of PyTorch, got one of another distribution; export onnx takes it"
            )
        called = self._name(name, cls)
        ours = module.arguments()
        told = {key: value for key, value in ours.items() if is_told(cls, module, key, value)}
        known = inspect.signature(cls).parameters
        told = {key: value for key, value in told.items() if key not in known or not _is(known[key].default, value)}
        variadic = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in known.values())
        written, inside = [], indent + 4
        for key, value in told.items():
            spread = known[key].kind is inspect.Parameter.VAR_POSITIONAL if key in known else variadic
            if spread and isinstance(value, list | tuple):
                written += [self._value(f"{path}.{place}", each, inside) for place, each in enumerate(value)]
            else:
                written.append(f"{key}={self._value(f'{path}.{key}', value, inside)}")
        return _call(called, written, indent)

    def _name(self, name: str, cls: Callable[..., Any]) -> str:
        if name not in TWIN_LAYERS:
            return f"nn.{name}"
        if not inspect.isclass(cls):
            self.needed.append(stack)
            return f"stack(nn.{name})"
        self.needed.append(cls)
        return name

    def _value(self, path: str, value: Any, indent: int) -> str:
        if isinstance(value, Module):
            return self.layer(path.lstrip("."), value, indent)
        if isinstance(value, list | tuple):
            entries = [self._value(f"{path}.{place}", each, indent) for place, each in enumerate(value)]
            return (
                f"[{', '.join(entries)}]"
                if isinstance(value, list)
                else f"({''.join(f'{e}, ' for e in entries).rstrip()})"
            )
        if isinstance(value, dict):
            entries = [f"{key!r}: {self._value(f'{path}.{key}', each, indent)}" for key, each in value.items()]
            return f"{{{', '.join(entries)}}}"
        return literal(value)

    def stage(self, stage: nn.Module) -> str:
        """The call that builds what stands around the net."""
        if isinstance(stage, nn.Sequential):
            return f"nn.Sequential({', '.join(map(self.stage, stage))})"
        if isinstance(stage, nn.Identity):
            return "nn.Identity()"
        self.needed.append(type(stage))
        numbers = {
            stages.Pixels: ("dtype",),
            stages.Fill: ("numbers", "dtype"),
            stages.Standardize: ("mean", "std", "dtype", "to_dtype"),
            stages.Shares: ("sigmoid", "signed"),
            stages.Numbers: ("mean", "std"),
        }.get(type(stage), ())
        return f"{type(stage).__name__}({', '.join(literal(getattr(stage, name)) for name in numbers)})"

    def sources(self, more: Iterable[Callable[..., Any]]) -> list[str]:
        """The source of what is needed, bases first."""
        every = [base for one in (*self.needed, *more) for base in reversed(getattr(one, "__mro__", (one,)))]
        own = dict.fromkeys(one for one in every if one.__module__ in (stages.__name__, twin_layers.__name__))
        ordered = sorted(own, key=lambda one: (one.__module__ == stages.__name__, inspect.getsourcelines(one)[1]))
        return [re.sub(r"  # (type: ignore|noqa).*", "", inspect.getsource(one)).rstrip() for one in ordered]


def literal(value: Any) -> str:
    """A plain value, tensors as lists, as Python writes it."""
    value = value.tolist() if isinstance(value, Tensor) else value
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return str(value) if isinstance(value, torch.dtype) else repr(value)


def _is(default: Any, value: Any) -> bool:
    return type(default) is type(value) and bool(default == value)


def _call(called: str, written: list[str], indent: int) -> str:
    line = f"{called}({', '.join(written)})"
    if "\n" not in line and indent + len(line) <= WIDTH:
        return line
    space = " " * (indent // 4 * 4)
    return f"{called}(\n" + "".join(f"{space}    {each},\n" for each in written) + f"{space})"


def _ties(net: nn.Module) -> list[str]:
    """The lines that share the parameters that the net shares."""
    first: dict[int, str] = {}
    lines = []
    for name, parameter in net.named_parameters(remove_duplicate=False):
        other = first.setdefault(id(parameter), name)
        if other != name:
            owner, _, attribute = name.rpartition(".")
            lines.append(f"net.get_submodule({owner!r}).{attribute} = net.get_parameter({other!r})")
    return lines
