"""A training step as a package that trains without Python layers."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from mytorch.core import RandomState, random_state, require_path
from mytorch.experiments.export.errors import ExportError
from mytorch.experiments.file.build import Built, build, build_step, threads
from mytorch.experiments.runs.run import load
from mytorch.plugins import refuse_overwrite, whole_file
from mytorch.train.compiled.carry import Carry, Slot
from mytorch.train.compiled.package import load_package, temporary_folder
from mytorch.train.compiled.program import difference
from mytorch.train.compiled.reason import reason_of
from mytorch.train.compiled.trace import Recipe, changing_settings, entries, setting_values, tracing
from mytorch.train.errors import RunError

STEP, START = "model", "start"
"""The two programs of a package; "model" is the one that is loaded unless told otherwise."""
LAYOUT = "mytorch"
"""Of the step's metadata: what its tensors hold, as JSON."""


def export_step(
    run: str | Path, output: str | Path, batch_size: int | None = None, force: bool = False
) -> dict[str, Any]:
    """Write one training step of a run's experiment as an AOTInductor package, and return its layout.

    The program "model" takes the flat tensors of parameters, buffers and optimizer state (one a dtype), the settings
    (count,) in float64, and the tensors of a batch; it returns the new flat tensors and the loss. The program "start"
    takes nothing and returns the flat tensors of the run's last weights and of a fresh optimizer.

    batch_size: rows of a batch; the experiment's if None.  force: whether `output` may be replaced.
    Raises RunError for a run without an experiment; FileError for a file that exists or cannot be written; ExportError
    for a step that cannot be compiled, or whose optimizer does not start from zeros.
    """
    output = require_path("export_step", "output", output)
    refuse_overwrite(output, force, suffixes=(".pt2",))
    built = _load(run, batch_size)
    with threads(built.experiment.threads), torch.inference_mode(False), torch.no_grad():
        trial = _try(built)
        with temporary_folder() as folder:
            path = Path(folder) / "step.pt2"
            try:
                layout = _package(trial, path)
                found = trial.repeat(path)
            except Exception as error:
                raise ExportError(f"export: {reason_of(error)}") from error
            wrong = difference([*trial.start, torch.zeros_like(trial.expected[-1])], found, trial.expected)
            if wrong is not None:
                raise ExportError(
                    f"export: the optimizer must start as if its state had been 0, got a "
                    f"{type(built.setup.optimizer).__name__} whose first step is another ({wrong}); SGD's is with "
                    "dampening"
                )
            with whole_file(output) as beside:
                copyfile(path, beside)
    return layout


@dataclass(frozen=True)
class _Trial:
    """One eager step, to be exported and compared with."""

    recipe: Recipe
    start: list[Tensor]
    """The flat tensors before it, with zeros as the optimizer's state."""
    expected: list[Tensor]
    """The flat tensors after it, and the loss."""
    settings: Tensor
    leaves: list[Tensor]
    random: RandomState

    def repeat(self, path: Path) -> list[Tensor]:
        """What a package makes of the same step."""
        self.random.restore()
        inputs = [*self.start, self.settings, *self.leaves]
        found: list[Tensor] = load_package(path).run(inputs)
        return found


def _try(built: Built) -> _Trial:
    setup = built.setup
    net, loss, optimizer = setup.net, setup.loss, setup.optimizer
    inputs, targets = next(iter(setup.batches))
    before = [(held, held.value.clone()) for _, held in net.named_state()]
    random = random_state(net, loss)
    ordinary = {
        "optimizer_in_backward": False,
        "memory": None,
        "saved": None,
        "weights": None,
    }  # the numbers are equal
    plain = built.experiment.model_copy(update=ordinary)
    take_step = build_step(plain, optimizer, setup.batches)
    value, _ = take_step(net, loss, optimizer, inputs, targets)
    carry = Carry(net, loss, optimizer)
    expected = [*gather(carry), value]
    for held, start in before:
        held.value.copy_(start)
    for slot in carry.slots:
        if slot.entry is not None:
            slot.tensor(optimizer).zero_()
    leaves, structure = pytree.tree_flatten((inputs, targets))
    recipe = Recipe(net, loss, optimizer, carry, changing_settings(optimizer, setup.schedule), structure, take_step)
    settings = torch.tensor(setting_values(optimizer, recipe.settings), dtype=torch.float64)
    return _Trial(recipe, gather(carry), expected, settings, leaves, random)


def _load(run: str | Path, batch_size: int | None) -> Built:
    loaded = load(run)
    if loaded.experiment is None:
        raise RunError(f"{loaded.path}: must be the run of an experiment to export its step, got one made from Python")
    experiment = loaded.experiment
    if experiment.precision is not None:
        raise ExportError(
            f"export: a step must compute in float32, got precision = {experiment.precision!r} in {loaded.path}; "
            "train without precision"
        )
    if experiment.saved not in (None, "disk"):
        raise ExportError(
            f"export: a step must save values as they are, got saved = {experiment.saved!r} in {loaded.path}; train "
            "without saved"
        )
    if experiment.rule is not None:
        raise ExportError(
            f"export: a step must backpropagate, got rule.type = {experiment.rule.type!r} in {loaded.path}; train "
            "without a rule"
        )
    if batch_size is not None:
        experiment = experiment.model_copy(update={"batch_size": batch_size})
    built = build(experiment)
    setup = built.setup
    rows = setup.batches.rows // experiment.accumulate
    if rows < experiment.batch_size:
        raise ExportError(
            f"export: batch size must be at most the {rows} rows of the training data"
            f"{' a batch of a step' if experiment.accumulate > 1 else ''}, got {experiment.batch_size}"
        )
    setup.net.load_state_dict(loaded.net.state_dict())
    setup.net.train()
    setup.net.input_grad = False
    return built


def _package(trial: _Trial, path: Path) -> dict[str, Any]:
    """Compile both programs, write the package, and return its layout."""
    count, layout = len(trial.start), describe_layout(trial)

    def one(*tensors: Tensor) -> list[Tensor]:
        carried = [piece.clone() for piece in split(trial.recipe.carry, tensors[:count])]
        losses, _ = trial.recipe.call(1, *carried, *(tensor[None] for tensor in tensors[count:]))
        return [*join(trial.recipe.carry, carried), losses[0]]

    files = {
        STEP: _compile(one, [*trial.start, trial.settings, *trial.leaves], {LAYOUT: json.dumps(layout)}),
        START: _compile(lambda: [flat.clone() for flat in trial.start], [], {}),
    }
    from torch._inductor.package.package import package_aoti  # which takes long to import

    package_aoti(str(path), files)
    return layout


def _compile(function: Callable[..., Any], examples: list[Tensor], metadata: dict[str, str]) -> Any:
    options = {"aot_inductor.package": True, "aot_inductor.metadata": metadata, "fallback_random": True}
    with tracing(), _exporting():
        graph: GraphModule = make_fx(function, tracing_mode="fake", _allow_non_fake_inputs=True)(*examples)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.export.export(graph, tuple(examples))
        return torch._inductor.aot_compile(exported.module(), tuple(examples), options=options)


@contextmanager
def _exporting() -> Iterator[None]:
    """Within this context layers use no operator of their own, which the package would need Python for."""
    before = getattr(torch.compiler, "_is_exporting_flag", False)  # which came with torch 2.7
    torch.compiler._is_exporting_flag = True
    try:
        yield
    finally:
        torch.compiler._is_exporting_flag = before


def gather(carry: Carry) -> list[Tensor]:
    """What a step changes, copied into one flat tensor for each dtype."""
    return join(carry, carry.now())


def join(carry: Carry, tensors: Sequence[Tensor]) -> list[Tensor]:
    """The flat tensors of tensors in the carry's order."""
    return [torch.cat([tensor.reshape(-1) for tensor in part]) for part in carry.by_dtype(tensors)]


def split(carry: Carry, flats: Sequence[Tensor]) -> list[Tensor]:
    """Views of the flat tensors, in the carry's order."""
    views: dict[Slot, Tensor] = {}
    for flat, slots in zip(flats, carry.by_dtype(carry.slots), strict=True):
        shapes = [slot.tensor(carry.optimizer).shape for slot in slots]
        pieces = flat.split([shape.numel() for shape in shapes])
        views |= {slot: piece.view(shape) for slot, piece, shape in zip(slots, pieces, shapes, strict=True)}
    return [views[slot] for slot in carry.slots]


def describe_layout(trial: _Trial) -> dict[str, Any]:
    """What the step's tensors hold, in the order in which it takes them."""
    carry, optimizer = [], trial.recipe.optimizer
    for flat, slots in zip(trial.start, trial.recipe.carry.by_dtype(trial.recipe.carry.slots), strict=True):
        tensors, offset = [], 0
        for slot in slots:
            shape = slot.tensor(optimizer).shape
            tensors.append({"name": slot.name, "shape": list(shape), "offset": offset})
            offset += shape.numel()
        carry.append({"dtype": _name(flat.dtype), "size": offset, "tensors": tensors})
    named = zip(_setting_names(trial.recipe), trial.settings.tolist(), strict=True)
    settings = [{"group": group, "name": name, "value": value} for (group, name), value in named]
    batch = [{"dtype": _name(leaf.dtype), "shape": list(leaf.shape)} for leaf in trial.leaves]
    return {"carry": carry, "settings": settings, "batch": batch, "torch": torch.__version__}


def _setting_names(recipe: Recipe) -> Iterator[tuple[int, str]]:
    """Group and name of each number of the settings, such as (0, "lr"), (0, "betas[0]")."""
    for group, name in recipe.settings:
        held = recipe.optimizer.param_groups[group][name]
        several = isinstance(held, (tuple, list))
        yield from ((group, f"{name}[{place}]" if several else name) for place in range(len(entries(held))))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
