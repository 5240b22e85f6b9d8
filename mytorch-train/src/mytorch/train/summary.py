"""A model in a table: its layers, the shapes of their outputs and how many parameters they have."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from mytorch.core import Module, add_path, random_state, require_kind
from mytorch.train.batches import call
from mytorch.train.evaluation import judging
from mytorch.train.observe import intercept

if TYPE_CHECKING:
    from rich.table import Table

LINES = 40
"""A table of more layers shows only the outer ones, and of these the first and the last."""
WIDTH = 80


@dataclass(frozen=True)
class LayerSummary:
    """One layer, in the order in which a forward comes to them; a container comes before the layers inside.

    path: as in `named_modules`, "" for the model.  layer: the name of its class.
    output: the shape of its output, of each tensor if there are several, as text.
    parameters: numbers in the parameters of its own, without those of layers inside.
    uses: how many times a forward calls it.  depth: in how many layers it lies, 0 for the model.
    """

    path: str
    layer: str
    output: str
    parameters: int
    uses: int
    depth: int


@dataclass(frozen=True)
class Summary:
    """The layers of a model and what they come to. It shows itself where it is printed, by rich or as text.

    parameters: numbers in all parameters; trained: in those that are trained.
    """

    model: str
    layers: tuple[LayerSummary, ...]
    parameters: int
    trained: int

    def __rich__(self) -> Table:
        from rich.table import Table  # takes long to import
        from rich.text import Text

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for heading in ("layer", "class", "output"):
            table.add_column(heading, overflow="fold")
        table.add_column("parameters", justify="right", no_wrap=True)
        for row in _rows(self.layers):
            table.add_row(*map(Text, row))
        table.add_row("in all", "", "", f"{self.parameters:,}")
        if self.trained < self.parameters:
            table.add_row("of which trained", "", "", f"{self.trained:,}")
        return table

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(file=io.StringIO(), width=WIDTH, color_system=None, force_terminal=False)
        with console.capture() as capture:
            console.print(self)
        return "\n".join(line.rstrip() for line in capture.get().splitlines())


def summary(net: Module, x: Any) -> Summary:
    """The layers of a model as a forward of some inputs comes to them: class, shape of the output, parameters.

    x: the inputs of a batch, a tuple or dict of them if the model takes several.
    The forward runs in evaluation mode; afterwards model and random state are as before.
    Raises ArgumentError for anything that is not a model, and what the forward raises, with the path to the layer.

    Example:
        >>> import torch
        >>> from mytorch.nn import Linear, ReLU, Sequential
        >>> from mytorch.train import summary
        >>> print(summary(Sequential(Linear(2, 25), ReLU(), Linear(25, 2)), torch.zeros(10, 2)))
        layer   class   output    parameters
        0       Linear  (10, 25)          75
        1       ReLU    (10, 25)           -
        2       Linear  (10, 2)           52
        in all                           127
    """
    require_kind("summary", "net", net, Module)
    watched = _Watched()
    with random_state(), judging(net), intercept(net.named_modules(), watched.around):
        _forward(net, x)
    own = _own_parameters(net, watched.called)
    layers = (
        LayerSummary(path, one.layer, one.output, own[path], one.uses, one.depth)
        for path, one in watched.called.items()
    )
    counts = [(parameter.value.numel(), parameter.trainable) for parameter in net.param()]
    return Summary(
        type(net).__name__,
        tuple(layers),
        sum(count for count, _ in counts),
        sum(count for count, yes in counts if yes),
    )


def _forward(net: Module, x: Any) -> None:
    """A forward that goes through the `forward` of every layer; the output alone may be had without some of them."""
    try:
        call(net.forward, x)
    except Exception as error:
        add_path(error, net)
        raise


@dataclass
class _Call:
    layer: str
    depth: int
    output: str = ""
    uses: int = 0


@dataclass
class _Watched:
    """The layers that were called, by path, in the order in which they were called first."""

    called: dict[str, _Call] = field(default_factory=dict)
    depth: int = 0

    def around(self, path: str, module: Module, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        """A forward that is written down; a backward is none of ours."""
        return self._watched(path, type(module).__name__, method) if name == "forward" else method

    def _watched(self, path: str, layer: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **kwargs: Any) -> Any:
            one = self.called.setdefault(path, _Call(layer, self.depth))
            one.uses += 1
            self.depth += 1
            result = forward(*args, **kwargs)
            self.depth -= 1
            one.output = _shape(result[0])
            return result

        return watched


def _shape(output: Any) -> str:
    """The shape of a tensor, or those of the tensors in a nested output."""
    if isinstance(output, Tensor):
        return str(tuple(output.shape))
    if isinstance(output, Mapping):
        return ", ".join(f"{name}: {_shape(entry)}" for name, entry in output.items())
    if isinstance(output, (tuple, list)):
        return ", ".join(_shape(entry) for entry in output if entry is not None)
    return type(output).__name__


def _own_parameters(net: Module, called: Mapping[str, _Call]) -> Counter[str]:
    """How many numbers the parameters of each called layer hold; those of one that is not called are of the layer
    around it, which reads them itself.
    """
    counts: Counter[str] = Counter()
    for name, parameter in net.named_param():
        path = name.rpartition(".")[0]
        while path and path not in called:
            path = path.rpartition(".")[0]
        counts[path] += parameter.value.numel()
    return counts


def _rows(layers: Sequence[LayerSummary]) -> Iterator[tuple[str, str, str, str]]:
    """The lines of a table: all layers, or of many those that are not deep inside others, then the first and last."""
    shown = _outer(layers)
    left_out = shown[LINES // 2 : len(shown) - LINES // 2] if len(shown) > LINES else []
    around: list[LayerSummary] = []
    for layer in shown:
        depth = layer.depth - shown[0].depth
        del around[depth:]
        if layer is next(iter(left_out), None):
            yield "...", f"{len(left_out)} more", "", _count(sum(one.parameters for one in left_out))
        if layer not in left_out:
            name = layer.path.removeprefix(around[-1].path).removeprefix(".") if around else layer.path
            used = f", used {layer.uses} times" if layer.uses > 1 else ""
            yield "  " * depth + (name or "model"), layer.layer + used, layer.output, _count(layer.parameters)
        around.append(layer)


def _outer(layers: Sequence[LayerSummary]) -> list[LayerSummary]:
    """The layers of a table, without the model itself if it has no parameters of its own. Where they are many, those
    deepest inside count as parts of the layers around them.
    """
    inside = [*layers] if len(layers) == 1 or layers[0].parameters else [*layers[1:]]
    deepest = max(layer.depth for layer in inside)
    while sum(layer.depth <= deepest for layer in inside) > LINES and deepest > 1:
        deepest -= 1
    shown: list[LayerSummary] = []
    for layer in inside:
        if layer.depth <= deepest:
            shown.append(layer)
        else:
            shown[-1] = replace(shown[-1], parameters=shown[-1].parameters + layer.parameters)
    return shown


def _count(parameters: int) -> str:
    return f"{parameters:,}" if parameters else "-"
