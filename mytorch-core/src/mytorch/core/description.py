"""A module as JSON: enough to build it again, without pickle.

A module is {"type": name, argument: value, ...}. The name is "distribution:Name" for an installed part, else
"package.module:Class". Written with a "type" of their own are what JSON lacks: a module used before
({"type": "shared", "path": ...}), a Parameter passed as an argument, a tensor, a dtype, a device, a float that is
not finite. The parameters that modules share are listed under "tied".
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from mytorch.core import tree
from mytorch.core.checks import require_kind
from mytorch.core.errors import DescriptionError
from mytorch.core.module import Module
from mytorch.core.parameter import Parameter
from mytorch.core.random_state import random_state
from mytorch.plugins import MytorchError, catalogue, cut, listed, nearest, one_line, shown

FORMAT = 1
DEPTH = 150
"""Names in a path, such as the 5 of "model.layers.0.layers.1": Python's calls nest some times as deep."""
PATH = 80
"""Characters of a path that an error shows."""
USES = 100_000
"""Of modules in one model; those within a shared module count wherever it is used."""
Construct = Callable[[str, type[Module], dict[str, Any]], Module]


def describe(net: Module, kind: str = "layer") -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The description of a module, and the tensors among its arguments by the keys it names.

    Raises DescriptionError, with the path, for an argument that JSON cannot hold; ArgumentError for what is no Module.
    """
    require_kind("describe", "net", net, Module)
    _require_few_uses(net)
    writer = _Writer(kind)
    model = writer.module("model", net)
    groups: dict[int, list[str]] = {}
    for name, parameter in tree.named_uses(net, Parameter):
        groups.setdefault(id(parameter), []).append(name)
    tied = [names for names in groups.values() if len(names) > 1]
    return {"format": FORMAT, "model": model, "tied": tied}, writer.tensors


class _Writer:
    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.tensors: dict[str, Tensor] = {}
        self.paths: dict[int, str] = {}

    def module(self, path: str, module: Module) -> dict[str, Any]:
        if id(module) in self.paths:
            return {"type": "shared", "path": self.paths[id(module)]}
        self.paths[id(module)] = path
        arguments = module.arguments()
        if "type" in arguments:
            raise DescriptionError(f"{path}: no argument may be called 'type', which names the class")
        cls = type(module)
        name = catalogue().reference_of(self.kind, cls) or f"{cls.__module__}:{cls.__qualname__}"
        return {"type": name} | {key: self.value(f"{path}.{key}", value) for key, value in arguments.items()}

    def value(self, path: str, value: object) -> Any:
        _require_shallow(path)
        match value:
            case None | bool() | int() | str():
                return value
            case float():
                return value if math.isfinite(value) else {"type": "float", "value": str(value)}
            case Module():
                return self.module(path, value)
            case Parameter(initialized=False):
                raise DescriptionError(f"{path}: a parameter must have its shape to be described, got {shown(value)}")
            case Parameter():
                shape, dtype = list(value.value.shape), _name_of(value.value.dtype)
                return {"type": "parameter", "shape": shape, "dtype": dtype}
            case Tensor():
                self.tensors[path] = value.detach()
                return {"type": "tensor", "key": path}
            case torch.dtype():
                return {"type": "dtype", "name": _name_of(value)}
            case torch.device():
                return {"type": "device", "name": str(value)}
            case list() | tuple():
                return [self.value(f"{path}.{index}", entry) for index, entry in enumerate(value)]
            case Mapping() if all(isinstance(key, str) for key in value) and "type" not in value:
                return {key: self.value(f"{path}.{key}", entry) for key, entry in value.items()}
        raise DescriptionError(
            f"{path}: an argument must be something JSON can hold, a module or a tensor, got {shown(value)}; "
            "pass a name or numbers and let the constructor build the object"
        )


def _require_shallow(path: str) -> None:
    if path.count(".") > DEPTH:
        raise DescriptionError(f"{cut(path, PATH)}: must be nested at most {DEPTH} lists and modules deep, got more")


def _require_few_uses(net: Module) -> None:
    """Raise DescriptionError for shared modules that hold shared ones, so often that no walk would end."""
    uses = tree.count_uses(net)
    if uses > USES:
        raise DescriptionError(
            f"model: modules must be used at most {USES:,} times in all, got {uses:,}: shared modules "
            "within shared modules multiply"
        )


def _name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def rebuild(
    description: Mapping[str, Any],
    tensors: Mapping[str, Tensor] | None = None,
    *,
    classes: Mapping[str, type[Module]] | None = None,
    construct: Construct | None = None,
    kind: str = "layer",
) -> Module:
    """Build a module from its description; its weights are newly drawn.

    classes: classes of your own by the name in "type", for what no installed distribution offers. A class of a
        module that is already imported is found without it; nothing is imported by a dotted name.
    construct: called with path, class and arguments for each module, to check arguments first.
    Raises DescriptionError with the path of what does not fit.
    """
    if not isinstance(description, Mapping):
        raise DescriptionError(
            f"model: a description must be an object with format and model, got {shown(description)}"
        )
    if description.get("format") != FORMAT:
        raise DescriptionError(f"model: format must be {FORMAT}, got {shown(description.get('format'))}")
    reader = _Reader(tensors or {}, classes or {}, construct or _construct, kind)
    net = reader.module("model", description.get("model"))
    _require_few_uses(net)
    groups = description.get("tied", [])
    if not isinstance(groups, list):
        raise DescriptionError(f"tied: must be a list of lists of names, got {shown(groups)}")
    uses = dict(tree.walk(net)) if groups else {}
    for place, names in enumerate(groups):
        _tie(uses, names, f"tied.{place}")
    return net


def outline(
    description: Mapping[str, Any],
    tensors: Mapping[str, Tensor] | None = None,
    *,
    classes: Mapping[str, type[Module]] | None = None,
    construct: Construct | None = None,
) -> Module:
    """A model as `rebuild` makes it, whose parameters have shapes and dtypes but take no memory and hold no numbers.

    A module whose constructor needs numbers is built with them first. The random state is left as it was.
    """
    build = construct or _construct

    def light(path: str, cls: type[Module], arguments: dict[str, Any]) -> Module:
        try:
            return build(path, cls, dict(arguments))
        except Exception:  # such as a number asked of a tensor that has none
            with torch.device("cpu"):
                return build(path, cls, arguments)

    with random_state(), torch.device("meta"):
        return rebuild(description, tensors, classes=classes, construct=light).to("meta")


def tie(net: Module, names: list[str]) -> None:
    """Let several names of a module's parameters mean the first one's Parameter.

    Raises DescriptionError for what is no name of a parameter.
    """
    _tie(dict(tree.walk(net)), names, "tied")


def _tie(uses: Mapping[str, Module], names: Any, at: str) -> None:
    """uses: the modules by their paths."""
    if not isinstance(names, list) or not names:
        raise DescriptionError(f"{at}: must be a list of names of one parameter, got {shown(names)}")
    places = [_place(uses, name, at) for name in names]
    owner, attribute = places[0]
    shared = getattr(owner, attribute)
    for owner, attribute in places[1:]:
        setattr(owner, attribute, shared)


def _place(uses: Mapping[str, Module], name: Any, at: str) -> tuple[Module, str]:
    """Where a parameter is held, by one of its names."""
    path, _, attribute = name.rpartition(".") if isinstance(name, str) else ("", "", "")
    if path not in uses or not isinstance(vars(uses[path]).get(attribute), Parameter):
        raise DescriptionError(f"{at}: must hold names of parameters of the model, got {shown(name)}")
    return uses[path], attribute


class _Reader:
    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        classes: Mapping[str, type[Module]],
        construct: Construct,
        kind: str,
    ) -> None:
        self.tensors, self.classes, self.construct, self.kind = tensors, classes, construct, kind
        self.built: dict[str, Module] = {}

    def module(self, path: str, spec: Any) -> Module:
        if not isinstance(spec, Mapping) or not isinstance(spec.get("type"), str):
            raise DescriptionError(f"{path}: must be a module, with the name of its class as type, got {shown(spec)}")
        cls = self.find(path, spec["type"])
        arguments = {key: self.value(f"{path}.{key}", value) for key, value in spec.items() if key != "type"}
        self.built[path] = self.construct(path, cls, arguments)
        return self.built[path]

    def find(self, path: str, name: str) -> type[Module]:
        found: object = self.classes.get(name) or _imported(name)
        if found is None:
            try:
                found = catalogue().load(self.kind, name)
            except MytorchError as error:
                error.add_note(f"at {path}.type")
                raise
        if not (isinstance(found, type) and issubclass(found, Module)):
            raise DescriptionError(f"{path}.type: {shown(name)} must be a Module, got {shown(found)}")
        return found

    def value(self, path: str, value: Any) -> Any:
        _require_shallow(path)
        if isinstance(value, list):
            return [self.value(f"{path}.{index}", entry) for index, entry in enumerate(value)]
        if not isinstance(value, Mapping):
            return value
        match value:
            case {"type": "shared", "path": str(earlier)}:
                if earlier not in self.built:
                    raise DescriptionError(
                        f"{path}.path: must be the path of a module before it, got {shown(earlier)}. "
                        f"{nearest(earlier, self.built)}"
                    )
                return self.built[earlier]
            case {"type": "tensor", "key": key}:
                if key not in self.tensors:
                    raise DescriptionError(f"{path}: the tensor {shown(key)} is missing from the weights")
                return self.tensors[key]
            case {"type": "parameter" | "dtype" | "device" | "float"}:
                return _constant(path, value)
            case {"type": _}:
                return self.module(path, value)
        return {key: self.value(f"{path}.{key}", entry) for key, entry in value.items()}


def _constant(path: str, spec: Mapping[str, Any]) -> Any:
    """A dtype, device, float or Parameter. What a file says is not trusted: torch must know it."""
    try:
        match spec:
            case {"type": "parameter", "shape": list(shape), "dtype": str(name)}:
                return Parameter(torch.zeros(shape, dtype=_dtype(path, name)))
            case {"type": "dtype", "name": str(name)}:
                return _dtype(path, name)
            case {"type": "device", "name": str(name)}:
                return torch.device(name)
            case {"type": "float", "value": str(number)}:
                return float(number)
    except (RuntimeError, TypeError, ValueError) as error:
        if isinstance(error, DescriptionError):
            raise
        rule = {"device": "one of torch's", "float": "a number"}.get(spec["type"], "one that torch can make")
        given = spec.get("name", spec.get("value", spec.get("shape")))
        raise DescriptionError(f"{path}: {spec['type']} must be {rule}, got {shown(given)}") from error
    raise DescriptionError(f"{path}: {spec['type']} must have its own keys, got {shown(dict(spec))}")


def _dtype(path: str, name: str) -> torch.dtype:
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise DescriptionError(f"{path}: dtype must be one of torch's, got {shown(name)}")
    return found


def _imported(name: str) -> type[Module] | None:
    """A Module of a module that this process has imported already."""
    module, _, qualname = name.partition(":")
    found: Any = sys.modules.get(module)
    for attribute in qualname.split("."):
        found = getattr(found, attribute, None)
    return found if isinstance(found, type) and issubclass(found, Module) else None


def call_with(cls: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """Call with arguments by name, where `*args` may be given by its name too: Sequential has `layers`."""
    named, positional = dict(arguments), []
    for parameter in inspect.signature(cls).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL and parameter.name in named:
            positional = list(named.pop(parameter.name))
    return cls(*positional, **named)


def _construct(path: str, cls: type[Module], arguments: dict[str, Any]) -> Module:
    try:
        module: Module = call_with(cls, arguments)
    except TypeError as error:
        given = listed(sorted(arguments))
        raise DescriptionError(f"{path}: {cls.__name__} cannot be built from {given}: {one_line(error)}") from error
    return module
