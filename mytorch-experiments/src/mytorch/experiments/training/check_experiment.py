"""Finding out what is wrong with an experiment without training it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mytorch.core import DataSet, MytorchError, Parameter, describe, fetch, random_state
from mytorch.data import missing_lines
from mytorch.experiments.errors import ExperimentError
from mytorch.experiments.file.balance import BALANCED, balance, told_weights
from mytorch.experiments.file.build import (
    Built,
    build_batches,
    build_callbacks,
    build_data,
    build_metrics,
    build_model,
    build_optimizer,
    build_quantities,
    build_rule,
    build_step,
    default_dtype,
    naming_file,
    place_parts,
    start_model,
    threads,
)
from mytorch.experiments.file.experiment import Experiment
from mytorch.experiments.file.load_experiment import load_experiment, to_toml
from mytorch.experiments.file.parts import build_part
from mytorch.experiments.file.schedules import plan_schedule
from mytorch.experiments.file.sizes import asks_for_sizes, fill_in_sizes
from mytorch.experiments.training.train_experiment import start
from mytorch.plugins import Hooks, counted, lack_of_memory, one_line, require
from mytorch.train.batches import Batches, count_rows
from mytorch.train.device import move
from mytorch.train.evaluation import EVALUATION_BATCH, evaluate, predict
from mytorch.train.privacy.private_step import require_privacy
from mytorch.train.setup import Setup

ROWS = 32
"""Rows of the batch that is tried, at most."""
LOOKED_AT = 100_000
"""Rows of a part that are looked through, about so many at most."""
SHOWN = 5
"""Classes that a line names."""


def check_experiment(source: str | Path | Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> str:
    """A line that says what the experiment would train, which `checked` has found to be in order, and one for each
    column of a table with missing cells.
    """
    return told(checked(source, overrides))


def checked(source: str | Path | Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Built:
    """The parts of an experiment with which nothing is wrong. Nothing is written.

    Every part is built; one small batch goes forward, backward and through a step, metrics and the test, and so does
    the last batch of an epoch if it is smaller; the callbacks whose failure would end a run are told that one starts;
    inputs and targets are looked through.
    Raises ExperimentError with all that is wrong, a line each, as far as one error does not hide the others.
    """
    experiment = load_experiment(source, overrides)
    with naming_file(experiment):
        return _check(experiment)


def _check(experiment: Experiment) -> Built:
    require(experiment.requires)
    to_toml(experiment)
    problems: list[str] = []
    with threads(experiment.threads), random_state():
        torch.manual_seed(experiment.seed)
        built = _build(experiment, problems)
        if built is not None:
            with _collecting(problems):
                _try(built)
    if problems or built is None:
        raise ExperimentError("\n".join(problems))
    return built


def _build(experiment: Experiment, problems: list[str]) -> Built | None:
    """All parts, or None with what each of them says is wrong."""
    parts = net = loss = optimizer = schedule = setup = None
    metrics, callbacks = [], []
    with _collecting(problems):
        parts = build_data(experiment)
        experiment = balance(experiment, parts.training)
    with _collecting(problems):
        if parts is not None:
            experiment = fill_in_sizes(experiment, parts.training)
    with default_dtype(experiment.dtype):
        with _collecting(problems):
            if not asks_for_sizes(experiment):
                net = build_model(experiment, None if parts is None else parts.training)
            if net is not None and all(held.initialized for _, held in net.named_state()):
                start_model(net, experiment.model)
        with _collecting(problems):
            if parts is not None or BALANCED not in experiment.loss.arguments.values():
                loss = build_part("loss", "loss", experiment.loss)
        with _collecting(problems):
            if net is not None and loss is not None:
                place_parts(experiment, net, loss)
    batches = None
    if parts is not None:
        with _collecting(problems):
            batches = build_batches(experiment, parts.training)
    with _collecting(problems):
        if net is not None and all(parameter.initialized for parameter in net.param()):
            optimizer = build_optimizer(experiment, net)
        else:  # a number of its own in place of a model that cannot be built yet
            placeholder = [Parameter(torch.zeros(()))]
            optimizer = build_part("optimizer", "optimizer", experiment.optimizer, params=placeholder)
    with _collecting(problems):
        planned = plan_schedule(experiment, 1 if batches is None else len(batches))
        if planned is not None and optimizer is None:
            planned.check()
        elif planned is not None:
            schedule = planned.build(optimizer)
    with _collecting(problems):
        metrics = build_metrics(experiment)
    with _collecting(problems):
        callbacks = build_callbacks(experiment)
    with _collecting(problems):
        build_quantities(experiment)
    with _collecting(problems):
        build_rule(experiment)
    if problems or net is None or loss is None or optimizer is None or batches is None or parts is None:
        return None
    with _collecting(problems):
        setup = Setup(net, loss, optimizer, batches, schedule, build_step(experiment, optimizer, batches))
        require_privacy(setup, experiment.epochs * len(batches))
    return None if setup is None else Built(experiment, setup, parts, metrics, callbacks)


def _try(built: Built) -> None:
    """Send a small batch through everything that a run does. Raises whatever goes wrong."""
    setup, experiment = built.setup, built.experiment
    net, data = setup.net, setup.batches.data
    describe(net)
    start(built, Hooks(built.callbacks, installed=False))
    inputs, targets = move(fetch(data, torch.arange(min(ROWS, experiment.batch_size, len(data)))), setup.device)
    with torch.inference_mode():
        outputs = predict(net.eval(), inputs)
        _require_outputs(setup, outputs)
    evaluate(net, setup.loss, _Batch(data, inputs, targets), built.metrics)
    net.train()
    net.input_grad = False
    with setup.storing(), torch.inference_mode():
        value, weight = setup.take_step(*setup.batches.joined([(inputs, targets)]))
    if weight and not value.isfinite():  # a mean of ignored targets alone is NaN
        raise ExperimentError(
            f"loss: must be finite at the first step, got {value.item()}; "
            "data.standardize = true or another initialization usually helps"
        )
    _try_last_batch(setup, len(targets))
    for part in built.parts[1:]:
        if part is not None:
            evaluate(net, setup.loss, _Batch(part, *fetch(part, torch.arange(min(ROWS, len(part))))))
    for name, part in built.parts._asdict().items():
        if part is not None:
            _look_through(name, part, setup, outputs)


def _look_through(part: str, data: DataSet, setup: Setup, outputs: Any) -> None:
    """Read the rows of a part. Raises what reading them or the loss of a target raises, and for inputs not finite.

    outputs: of some rows; the first stands for the outputs of every row.
    """
    seen = 0
    for inputs, targets in islice(Batches(data, EVALUATION_BATCH), LOOKED_AT // EVALUATION_BATCH):
        rows = count_rows(inputs if targets is None else targets)
        try:
            if isinstance(inputs, Tensor) and inputs.is_floating_point() and not inputs.isfinite().all():
                row = int((~inputs.reshape(rows, -1).isfinite().all(1)).nonzero()[0])
                raise ExperimentError(f"data: every input must be finite, got one that is not in row {seen + row + 1}")
            if isinstance(targets, Tensor) and isinstance(outputs, Tensor) and outputs.dim():
                setup.loss(outputs[:1].expand(rows, *outputs.shape[1:]), move(targets, setup.device))
        except MytorchError as error:
            error.add_note(f"in rows {seen + 1} to {seen + rows} of the {part} data")
            raise
        seen += rows


def _try_last_batch(setup: Setup, tried: int) -> None:
    """Take a step with as few rows as the last batch of an epoch has, if they are fewer than those tried."""
    rows = setup.batches.rows % setup.batches.batch_size
    if not 0 < rows < tried:
        return
    try:
        with setup.storing(), torch.inference_mode():
            batch = move(fetch(setup.batches.data, torch.arange(rows)), setup.device)
            setup.take_step(*setup.batches.joined([batch]))
    except MytorchError as error:
        error.add_note(f"in the last batch of an epoch, of {counted(rows, 'row')}; drop_last = true leaves it out")
        raise


def _require_outputs(setup: Setup, outputs: Any) -> None:
    """Raise ExperimentError if there are not as many outputs as classes: the batch may lack the last class."""
    classes = getattr(setup.batches.data, "classes", None)
    of_classes = getattr(setup.loss, "outputs", None) in ("softmax", "log-softmax") and outputs.dim() > 1
    if of_classes and classes and outputs.shape[1] != len(classes):
        raise ExperimentError(
            f"model: must have one output a class, {len(classes)} for {_list(classes)}, got {outputs.shape[1]}"
        )


class _Batch:
    """One batch as a data set, with what evaluation wants to know about it."""

    def __init__(self, data: Any, inputs: Any, targets: Any) -> None:
        self.inputs, self.targets = inputs, targets
        if hasattr(data, "in_units"):
            self.in_units = data.in_units

    def __len__(self) -> int:
        return len(self.targets)

    def batch_at(self, _indices: Tensor) -> tuple[Any, Any]:
        return self.inputs, self.targets


@contextmanager
def _collecting(problems: list[str]) -> Iterator[None]:
    """Within this context, an error becomes a line of `problems`, with its notes below."""
    try:
        yield
    except Exception as error:  # a stranger's part may raise anything
        unexpected = f"unexpected {type(error).__name__}: {one_line(error)}"
        text = str(error) if isinstance(error, MytorchError) else lack_of_memory(error) or unexpected
        problems.append("\n".join([text, *(f"  {note}" for note in getattr(error, "__notes__", ()))]))


def told(built: Built) -> str:
    """What would be trained, in a line, and what is filled in of its table."""
    return "\n".join([f"{built.experiment.name}: {_tell(built)}", *missing_lines(built.parts.training.preparation)])


def _tell(built: Built) -> str:
    experiment, setup, data = built.experiment, built.setup, built.setup.batches.data
    judged = (("validation", built.parts.validation), ("the test", built.parts.test))
    held = [f"{len(part)} for {told}" for told, part in judged if part is not None]
    rows = counted(len(data), "row") + (f" and {' and '.join(held)}" if held else "")
    columns, classes = getattr(data, "columns", ()), getattr(data, "classes", None)
    target = ((getattr(data, "preparation", None) or {}).get("table") or {}).get("target", {}).get("name")
    wanted = f"classes {_list(classes)}" if classes else f"numbers of {target}" if target else "numbers"
    parameters = sum(parameter.value.numel() for parameter in setup.net.param())
    steps = len(setup.batches)
    return ", ".join(
        [
            rows,
            *([counted(len(columns), "column")] if columns else []),
            wanted,
            *told_weights(experiment, classes),
            counted(parameters, "parameter"),
            f"{counted(experiment.epochs, 'epoch')} of {counted(steps, 'step')}",
        ]
    )


def _list(names: Any) -> str:
    shown = ", ".join(map(str, names[:SHOWN]))
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
