"""A model on disk: its description as JSON, its tensors as safetensors. No pickle anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from mytorch.core import (
    DescriptionError,
    Module,
    MytorchError,
    StateError,
    describe,
    outline,
    persistent,
    rebuild,
    require_path,
)
from mytorch.plugins import one_line, write_file
from mytorch.train.errors import RunError
from mytorch.train.sealed import read_sealed, write_sealed

MODEL_FILE, WEIGHTS_FILE = "model.json", "weights.safetensors"
EPOCH = "epoch"
"""Of the texts that go with the weights of a run: after how many complete epochs they were written."""
_ARGUMENT = "argument:"


def save_model(net: Module, folder: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write `model.json` and `weights.safetensors`; a tied parameter is stored once.

    metadata: texts that are stored with the weights.

    Raises DescriptionError for an argument that JSON cannot hold, FileError if a file cannot be written.
    """
    folder = require_path("save_model", "folder", folder)
    description, arguments = describe(net)
    save_weights(net, arguments, folder, metadata)
    write_file(folder / MODEL_FILE, json.dumps(description, indent=2, allow_nan=False) + "\n")


def save_weights(
    net: Module, arguments: Mapping[str, Tensor], folder: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write `weights.safetensors` alone. The file is whole at every moment.

    metadata: texts that go with the weights.
    """
    tensors = {f"{_ARGUMENT}{path}": value for path, value in arguments.items()}
    seen: set[int] = set()
    for name, held in net.named_state():
        if id(held) not in seen:
            seen.add(id(held))
            tensors[name] = held.value
    write_sealed(folder / WEIGHTS_FILE, _apart(tensors), metadata or {})


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as safetensors takes them: contiguous, on the processor, and none in the memory of another."""
    found, blocks = dict[str, Tensor](), set[int]()
    for name, value in tensors.items():
        here = value.cpu().detach().contiguous()
        block = here.untyped_storage().data_ptr()
        found[name] = persistent(here) if block in blocks else here
        blocks.add(block)
    return found


def load_model(folder: str | Path, classes: Mapping[str, type[Module]] | None = None) -> Module:
    """Build the model of a folder and load its weights, with the dtypes in which they were saved.

    classes: classes of your own by name, for layers that are not part of an installed distribution.
    Raises RunError for a missing or damaged file, StateError for weights that do not fit.
    """
    folder = require_path("load_model", "folder", folder)
    description = read_json(folder / MODEL_FILE)
    tensors, _ = read_sealed(folder / WEIGHTS_FILE)
    arguments = {name.removeprefix(_ARGUMENT): value for name, value in tensors.items() if name.startswith(_ARGUMENT)}
    state: dict[str, Tensor] = {name: value for name, value in tensors.items() if not name.startswith(_ARGUMENT)}
    try:
        _require_same_shapes(outline(description, arguments, classes=classes), state, folder / WEIGHTS_FILE)
        net = rebuild(description, arguments, classes=classes)
    except Exception as error:  # a damaged description can fail anywhere
        if isinstance(error, MytorchError) and not isinstance(error, DescriptionError):
            error.add_note(f"in {folder / MODEL_FILE}")
            raise
        reason = str(error) if isinstance(error, DescriptionError) else f"{type(error).__name__}: {one_line(error)}"
        raise RunError(f"{folder / MODEL_FILE}: must describe a model that can be built here, got {reason}") from error
    stored = {id(held): state[name] for name, held in net.named_state() if name in state}
    for name, held in net.named_state():
        if id(held) in stored:
            state[name] = value = stored[id(held)]
            if held.initialized and value.is_floating_point() != held.value.is_floating_point():
                raise RunError(f"{folder / WEIGHTS_FILE}: {name} must be {_kind(held.value)}, got {value.dtype}")
            held.convert(partial(Tensor.to, dtype=value.dtype))
    net.load_state_dict(state)
    return net


def _require_same_shapes(model: Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Raise StateError unless the weights fit a model, before any memory is taken for it."""
    try:
        model.load_state_dict({name: value.to("meta") for name, value in state.items()})
    except StateError as error:
        raise StateError(f"{path}: {error}") from None


def _kind(value: Tensor) -> str:
    return "floating point" if value.is_floating_point() else f"{value.dtype}"


def read_state(path: Path) -> dict[str, Tensor]:
    """The parameters and buffers in a safetensors file, by name, ours or another program's. Raises RunError."""
    tensors, _ = read_sealed(path)
    return {name: value for name, value in tensors.items() if not name.startswith(_ARGUMENT)}


def read_json(path: Path) -> Any:
    """The contents of a JSON file. Raises RunError."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path}: this file is missing; is {path.parent} a run folder?") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: must be a whole JSON file, got {one_line(error)}") from error
    except RecursionError:
        raise RunError(f"{path}: must have lists and objects that are less deep within each other, got more") from None
