"""From what an experiment says to the objects that train."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from mytorch.core import (
    ArgumentError,
    DataSet,
    Metric,
    Module,
    MytorchError,
    Optimizer,
    Quantity,
    Rule,
    fetch,
    metric_name,
    outline,
    rebuild,
)
from mytorch.core.description import FORMAT
from mytorch.data.preparation.encoded_targets import EncodedTargets
from mytorch.data.preparation.standardized_targets import StandardizedTargets, learn_targets
from mytorch.data.split import SplitWarning, warn_of_rare
from mytorch.data.transforms import Parts, augment, hold_out, standardize
from mytorch.experiments.errors import ExperimentError
from mytorch.experiments.file.arguments import check_arguments, construct
from mytorch.experiments.file.balance import balance
from mytorch.experiments.file.experiment import Experiment, ModelSpec, Spec, Split
from mytorch.experiments.file.initialization import initialize_model
from mytorch.experiments.file.kept_rows import keep_rows
from mytorch.experiments.file.parts import as_spec, build_part, find
from mytorch.experiments.file.schedules import plan_schedule
from mytorch.experiments.file.sizes import fill_in_sizes
from mytorch.optim import parameter_groups
from mytorch.plugins import require, require_memory
from mytorch.train.batches import Batches
from mytorch.train.choose_step import choose_step
from mytorch.train.device import choose_device
from mytorch.train.evaluation import judging, predict
from mytorch.train.memory.mapped import on_disk
from mytorch.train.parallel import Processes
from mytorch.train.privacy import Privacy
from mytorch.train.privacy.private_step import require_privacy
from mytorch.train.setup import Setup, TakeStep
from mytorch.train.warm_start import WarmStart, warm_start


@dataclass(frozen=True)
class Built:
    """The objects of one experiment, before the first step."""

    experiment: Experiment
    setup: Setup
    """What is trained."""
    parts: Parts
    """The training part, which `setup.batches` goes through, and those to judge by."""
    metrics: list[Metric]
    callbacks: list[object]
    started: WarmStart | None = None
    """What the model took from another one."""


def build(
    experiment: Experiment,
    step: Callable[..., Any] | None = None,
    start: bool = True,
    parallel: Processes | None = None,
) -> Built:
    """Build everything. The weights are drawn from torch's generator, seeded by the experiment.

    step: a training step of the caller's own, as `fit` takes it.
    start: whether the model begins with the weights of `model.from`; those of a checkpoint take their place.
    parallel: the processes that train together, of which each builds everything.
    Raises MissingRequirementError before anything is imported, UnknownNameError, and ExperimentError with the key.
    """
    with naming_file(experiment):
        return _build(experiment, step, start, parallel)


@contextmanager
def naming_file(experiment: Experiment) -> Iterator[None]:
    """Within this context, an error of the project gets a note that names the experiment's file."""
    try:
        yield
    except MytorchError as error:
        if experiment.origin is not None and experiment.origin not in str(error):
            error.add_note(f"in {experiment.origin}")
        raise


def _build(experiment: Experiment, step: Callable[..., Any] | None, start: bool, parallel: Processes | None) -> Built:
    require(experiment.requires)
    parts = build_data(experiment)
    experiment = fill_in_sizes(balance(experiment, parts.training), parts.training)
    torch.manual_seed(experiment.seed)
    with default_dtype(experiment.dtype):
        net = build_model(experiment, parts.training)
        started = start_model(net, experiment.model) if start else None
        loss = build_part("loss", "loss", experiment.loss)
    place_parts(experiment, net, loss, parallel)
    batches = build_batches(experiment, parts.training)
    optimizer = build_optimizer(experiment, net)
    planned = plan_schedule(experiment, len(batches))
    schedule = None if planned is None else planned.build(optimizer)
    metrics, callbacks = build_metrics(experiment), build_callbacks(experiment)
    setup = Setup(net, loss, optimizer, batches, schedule, build_step(experiment, optimizer, batches, step, parallel))
    require_privacy(setup, experiment.epochs * len(batches))
    return Built(experiment, setup, parts, metrics, callbacks, started)


def build_batches(experiment: Experiment, data: DataSet) -> Batches:
    """The training rows in batches. Raises ArgumentError if `drop_last` leaves none."""
    names = ("shuffle", "drop_last", "seed", "accumulate")
    options = {name: getattr(experiment, name) for name in names}
    try:
        return Batches(data, experiment.batch_size, **options, poisson=experiment.privacy is not None)
    except MytorchError as error:
        error.add_note("at batch_size and drop_last of the experiment")
        raise


def build_step(
    experiment: Experiment,
    optimizer: Optimizer,
    batches: Batches | None = None,
    own: Callable[..., Any] | None = None,
    parallel: Processes | None = None,
) -> TakeStep:
    """The step that the experiment asks for, or the caller's own. Raises ArgumentError for what does not fit."""
    return choose_step(
        optimizer,
        experiment.clip_grad_norm,
        experiment.optimizer_in_backward,
        own,
        clip_grad_value=experiment.clip_grad_value,
        accumulate=experiment.accumulate,
        precision=experiment.precision,
        parallel=parallel,
        shard=experiment.shard,
        quantities=build_quantities(experiment),
        clip_sample_norm=experiment.clip_sample_norm,
        privacy=None if experiment.privacy is None else Privacy(**experiment.privacy.model_dump()),
        batches=batches,
        memory=experiment.memory,
        saved=experiment.saved,
        weights=experiment.weights,
        stages=experiment.stages,
        micro_batches=experiment.micro_batches,
        rule=build_rule(experiment),
    )


def build_model(experiment: Experiment, data: DataSet | None) -> Module:
    """The model with its weights drawn. Its lazy layers take their sizes from the first rows of the data.

    data: None if there is none; lazy layers then stay without weights, and the model without its initialization.
    """
    description = {"format": FORMAT, "model": {"type": experiment.model.type, **experiment.model.arguments}}
    if experiment.weights is None:
        _require_memory(outline(description, construct=construct))
    with making_weights(experiment):
        net = rebuild(description, construct=construct)
    if not all(held.initialized for _, held in net.named_state()):
        if data is None:
            return net
        inputs, _ = fetch(data, torch.arange(min(len(data), experiment.batch_size)))
        with judging(net):
            predict(net, inputs)
    initialize_model(net, experiment.initialization)
    return net


def making_weights(experiment: Experiment | None) -> AbstractContextManager[None]:
    """The context in which the model of an experiment is made: on disk, if its weights are to lie there."""
    return nullcontext() if experiment is None or experiment.weights is None else on_disk()


def place_parts(experiment: Experiment, net: Module, loss: Module, parallel: Processes | None = None) -> None:
    """Move model and loss to the experiment's device. Raises ArgumentError for one that is not there."""
    device = choose_device("experiment", experiment.device)
    if parallel is not None:
        device = parallel.device(device)
    net.to(device)
    loss.to(device)


def start_model(net: Module, spec: ModelSpec) -> WarmStart | None:
    """Give the model the weights that it begins with. Raises ExperimentError with the key."""
    if spec.start is None:
        return None
    said = spec.start
    try:
        return warm_start(net, said.path, take=said.take, leave=said.leave, freeze=said.freeze)
    except MytorchError as error:
        raise ExperimentError(f"model.from: {error}") from error


def _require_memory(net: Module) -> None:
    """Raise ArgumentError if the weights and their gradients are more than there is room for."""
    held = {id(one): one.value for _, one in net.named_state() if one.initialized}
    needed = 2 * sum(value.numel() * value.element_size() for value in held.values())
    require_memory("model", "weights and gradients", needed, "make its layers smaller")


def build_optimizer(experiment: Experiment, net: Module) -> Optimizer:
    """The optimizer of the net's parameters, in the groups that the experiment says."""
    spec = experiment.optimizer
    params: list[Any] = net.param()
    if spec.groups:
        cls = find("optimizer", "optimizer", spec.type)
        rules = [rule.model_dump(exclude_none=True) for rule in spec.groups]
        for number, rule in enumerate(spec.groups):
            check_arguments(
                f"optimizer.groups.{number}", cls, {**spec.arguments, **(rule.model_extra or {})}, "params"
            )
        try:
            params = parameter_groups(net, rules)
        except MytorchError as error:
            raise ExperimentError(f"optimizer.groups: {error}") from error
    optimizer: Optimizer = build_part("optimizer", "optimizer", spec, params=params)
    return optimizer


def build_metrics(experiment: Experiment) -> list[Metric]:
    """The metrics, given by name or as a spec, whose `name` is what the metric is called in tables."""
    return [_build_metric(f"metrics.{index}", spec) for index, spec in enumerate(_specs(experiment.metrics))]


def _build_metric(key: str, spec: Spec) -> Any:
    cls, arguments = find(key, "metric", spec.type), spec.arguments
    name = arguments.pop("name", None) if "name" not in _parameters(cls) else None
    metric = construct(key, cls, arguments)
    if name is not None:
        metric.name = name
    try:
        metric_name(metric)
    except ArgumentError as error:
        raise ExperimentError(f"{key}.name: {error}") from error
    return metric


def build_callbacks(experiment: Experiment) -> list[object]:
    """The callbacks, given by name or as a spec."""
    return _build_parts("callbacks", "callback", experiment.callbacks)


def build_quantities(experiment: Experiment) -> list[Quantity]:
    """The quantities of the backward, given by name or as a spec."""
    return _build_parts("quantities", "quantity", experiment.quantities)


def build_rule(experiment: Experiment) -> Rule | None:
    """The learning rule; None for backpropagation."""
    return None if experiment.rule is None else build_part("rule", "rule", experiment.rule)


def _build_parts(key: str, kind: str, entries: Sequence[str | Spec]) -> list[Any]:
    return [build_part(f"{key}.{index}", kind, spec) for index, spec in enumerate(_specs(entries))]


def _specs(entries: Sequence[str | Spec]) -> list[Spec]:
    return [as_spec(entry) for entry in entries]


def build_data(experiment: Experiment) -> Parts:
    """The parts of the data, split, pruned, standardised, encoded and augmented as the experiment says."""
    data, dtype = experiment.data, getattr(torch, experiment.dtype)
    parts = Parts(build_data_set("data.train", data.train, experiment.dtype))
    if data.split is not None:
        parts = _split(parts.training, data.split)
    if data.keep is not None:
        parts = parts._replace(training=keep_rows(parts.training, data.keep))
    for part, spec in (("validation", data.validation), ("test", data.test)):
        if spec is not None:
            like = parts.training.preparation
            parts = parts._replace(**{part: build_data_set(f"data.{part}", spec, experiment.dtype, like=like)})
    if data.validation is not None or data.test is not None:
        named = zip(("training", "validation", "test"), parts, strict=True)
        warn_of_rare({f"the {name} part": part for name, part in named if part is not None})
    if data.standardize:
        parts = standardize(parts)
    if data.targets == "standardize":
        learned = learn_targets(parts.training)
        parts = parts.map(lambda part: StandardizedTargets(part, learned))
    elif data.targets != "as-is":
        training = EncodedTargets(parts.training, data.targets, dtype)
        validation, test = (
            None if part is None else EncodedTargets(part, data.targets, dtype, training.count) for part in parts[1:]
        )
        parts = Parts(training, validation, test)
    return parts if data.augment is None else augment(parts, **data.augment.model_dump())


def _split(data: DataSet, split: Split) -> Parts:
    try:
        return hold_out(data, **split.model_dump())
    except MytorchError as error:
        error.add_note("at data.split of the experiment")
        raise


@contextmanager
def without_split_warnings() -> Iterator[None]:
    """Within this context, no warning names rare classes: they were named before, or the user wants no notes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SplitWarning)
        yield


def build_data_set(key: str, spec: Spec, dtype: str, like: Any = None) -> DataSet:
    """One data set. A constructor with a `dtype` is told the experiment's, unless the spec says otherwise.

    like: the preparation of the training data, for a constructor that reads other rows as those were read.
    """
    cls = find(key, "dataset", spec.type)
    arguments = {name: value for name, value in (("dtype", dtype), ("like", like)) if name in _parameters(cls)}
    arguments |= spec.arguments
    built = construct(key, cls, arguments)
    if not isinstance(built, DataSet):
        raise ExperimentError(f"{key}: must be a mytorch.core.DataSet, got a {type(built).__name__}")
    if len(built) == 0:
        raise ExperimentError(f"{key}: must have at least one row, got none")
    return built


def _parameters(cls: Any) -> set[str]:
    return set(inspect.signature(cls).parameters)


@contextmanager
def default_dtype(name: str) -> Iterator[None]:
    """Within this context, new tensors have the experiment's dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(getattr(torch, name))
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Within this context, tensor operations use so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
