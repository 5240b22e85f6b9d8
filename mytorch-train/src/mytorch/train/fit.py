"""Training from Python, with any Module, Optimizer and data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from mytorch.core import ArgumentError, Metric, Module, Optimizer, Quantity, Schedule, require_flags, require_kind
from mytorch.plugins import Hooks, shown
from mytorch.train.batches import Batches
from mytorch.train.checkpoint.keeper import EVERY, Keeper
from mytorch.train.choose_step import choose_step
from mytorch.train.device import choose_device
from mytorch.train.make_engine import make_engine
from mytorch.train.parallel.processes import Processes
from mytorch.train.privacy.privacy import Privacy
from mytorch.train.setup import Setup
from mytorch.train.training import Training


def fit(
    net: Module,
    loss: Module,
    optimizer: Optimizer,
    data: Any,
    *,
    epochs: int,
    batch_size: int | None = None,
    validation: Any = None,
    test: Any = None,
    schedule: Schedule | None = None,
    metrics: Sequence[Metric] = (),
    seed: int = 0,
    shuffle: bool = True,
    drop_last: bool = False,
    evaluate_every: int = 1,
    callbacks: Iterable[object] = (),
    quantities: Sequence[Quantity] = (),
    quiet: bool = False,
    device: str | torch.device | None = None,
    engine: str = "eager",
    step: Callable[..., Any] | None = None,
    clip_grad_norm: float | None = None,
    clip_grad_value: float | None = None,
    clip_sample_norm: float | None = None,
    privacy: Privacy | None = None,
    accumulate: int = 1,
    optimizer_in_backward: bool = False,
    precision: str | None = None,
    checkpoint: str | Path | None = None,
    checkpoint_every: float = EVERY,
    resume: str | Path | None = None,
    accept_differences: bool = False,
    parallel: Processes | None = None,
    shard: str | None = None,
    stages: int | Sequence[int] = 1,
    micro_batches: int | None = None,
) -> Training:
    """Train a model, in place, and return the training with its history.

    Every epoch counts on: to call `fit` again with the same optimizer goes on where the last call stopped, in the
    numbers of the epochs and, with the same seed, in the order of the batches. With the eager engine, one epoch n
    times gives the weights and the history of n epochs, to the bit. A new optimizer starts anew.

    data, validation, test: data sets, such as mytorch.data.Disk, or anything that torch's DataLoader takes, or a
        DataLoader. The validation part is judged every `evaluate_every` epochs and after the last one, and what
        selects, such as EarlyStopping, looks there unless it is told otherwise; the test part is judged once, at the
        end: `test_results` of the training.
    batch_size: rows a step; for anything but a DataLoader, which has its own.
    seed: decides the order of the batches; dropout and the like draw from torch's own generator.
    shuffle, drop_last: whether each epoch has an order of its own, and leaves out a smaller last batch.
    callbacks: what takes part in this run, such as EarlyStopping, beside the plugins that are installed: objects of
        `mytorch.plugins.Callback`, or plain plugins.
    quantities: what computes something of the gradients of every step while the backward runs, such as GradientNoise;
        the history has their results. With the eager engine, in one process.
    device: "cpu", "cuda", "cuda:1", "mps", or "auto" for the accelerator, if there is one; None leaves the net where
        it is. Net and loss are moved there for good, batches when their turn comes.
    engine: "eager", "compiled": several steps in one call of machine code, eager where that cannot be had, or "auto":
        eager at first, and compiled when a process beside this one has compiled the step, if the run is long enough.
    step: a step of your own in place of `mytorch.train.step`: it is given (net, loss, optimizer, inputs, targets),
        does all of the step, and returns the loss, or the loss and its weight in the mean over the epoch's batches;
        without a weight the rows count.
    clip_grad_norm: gradients are scaled down together where the norm over all of them is above it.
    clip_grad_value: every number of the gradients is brought into the range from -clip_grad_value to clip_grad_value.
    clip_sample_norm: the gradient of every single sample is scaled down where its norm, over all parameters, is above
        it, before their mean is taken. With the eager engine, in one process.
    privacy: train with differential privacy (DP-SGD) by the settings of a `Privacy`, which counts what is spent: every
        batch has each row with one probability, whatever `shuffle` says, and the gradients of single samples are
        clipped and made noisy. With the eager engine, in one process.
    accumulate: so many batches make one step, whose results are those of one large batch: gradients are averaged by
        the loss's weights, so also where batches differ in size. Schedules, `batch_ended` and engines count steps.
    optimizer_in_backward: update each parameter during the backward pass and free its gradient, as `step_in_backward`:
        gradients take the memory of the largest layer and not of the model.
    precision: "bfloat16-mixed" or "float16-mixed": layers compute in half precision, on copies of values that stay
        float32, as loss, update and evaluation do; in float16 the loss is scaled, and a step whose gradients are not
        finite is left out. "bfloat16": values, gradients and the optimizer's state are bfloat16 during the steps of an
        epoch, and the loss float32; the net is judged and left with the same numbers in float32.
    checkpoint: a file in which the state of the training is kept: every `checkpoint_every` seconds, once an epoch and
        a second have passed, at the end, and when Ctrl-C, SIGTERM or SIGHUP ends the training, which then happens
        after a batch.
    resume: such a file, or the folder of a run, to go on from as if that training had never ended: the same to the
        bit. Everything must be given as it was; `epochs`, which counts from where that training began, may be more.
        The net's weights and the optimizer's state are replaced. A Recorder goes on in the run's folder.
    accept_differences: resume also where versions, threads, data, or what else decides rounding, are others.
    parallel: the processes that train together, as `mytorch.train.parallel.join` gives them: each takes its rows of
        every batch, whose `batch_size` is that of the whole. All call `fit` alike; the first one writes and prints.
    shard: what these processes divide, so that each needs less memory: "optimizer", of whose state each has a part;
        "gradients", too; or "parameters", too, which are gathered while a layer computes with them. The results are
        the same. One process has everything in any case.
    stages: of a pipeline of these processes, each of which computes some of the layers of a Sequential: their number,
        or the numbers of their layers, such as [2, 3]. Several times as many processes take rows of every batch apart,
        too. One process has all layers in any case.
    micro_batches: with stages, into so many parts each batch is cut, which go through the stages one after the other;
        four for each stage if left out.
    Raises RunError for what cannot be resumed; ArgumentError for arguments out of range;
        NotFiniteError, with the last good weights in `net`, and KeyboardInterrupt after callbacks were told.
    """
    require_flags(
        "fit", quiet=quiet, optimizer_in_backward=optimizer_in_backward, accept_differences=accept_differences
    )
    listeners = Hooks(callbacks)
    if device is not None:
        _move(net, loss, device, parallel)
    batches = batches_of(data, batch_size, shuffle, drop_last, seed, accumulate, privacy is not None)
    take_step = choose_step(
        optimizer,
        clip_grad_norm,
        optimizer_in_backward,
        step,
        clip_grad_value=clip_grad_value,
        accumulate=accumulate,
        precision=precision,
        parallel=parallel,
        shard=shard,
        stages=stages,
        micro_batches=micro_batches,
        quantities=quantities,
        clip_sample_norm=clip_sample_norm,
        privacy=privacy,
        batches=batches,
    )
    training = Training(
        Setup(net, loss, optimizer, batches, schedule, take_step),
        epochs=epochs,
        validation=validation,
        test=test,
        metrics=metrics,
        evaluate_every=evaluate_every,
        hooks=listeners,
        engine=make_engine(engine, quiet),
        parallel=parallel,
    )
    keeper = None if checkpoint is None else Keeper(checkpoint, checkpoint_every)  # checked in every process
    if parallel is None or parallel.first:
        training.checkpoint = keeper
    if resume is not None:
        training.resume(resume, accept_differences)
    if not quiet:
        from mytorch.train.callbacks.progress import Progress  # rich takes a tenth of torch's time to import

        listeners.add(Progress())
    training.run()
    return training


def _move(net: Module, loss: Module, device: str | torch.device, parallel: Processes | None) -> None:
    for name, module in (("net", net), ("loss", loss)):
        require_kind("fit", name, module, Module)
    place = choose_device("fit", device)
    if parallel is not None:
        place = parallel.device(place)
    net.to(place)
    loss.to(place)


def batches_of(
    data: Any,
    batch_size: int | None,
    shuffle: bool,
    drop_last: bool,
    seed: int,
    accumulate: int,
    poisson: bool = False,
) -> Batches:
    """The batches of a data set, or those of a DataLoader. Raises ArgumentError for what a DataLoader has itself."""
    if isinstance(data, DataLoader):
        given = {"batch_size": batch_size, "shuffle": shuffle, "drop_last": drop_last}
        own = {"batch_size": None, "shuffle": True, "drop_last": False}
        for name, value in given.items():
            if value is not own[name]:
                raise ArgumentError(
                    f"fit: {name} must be left out for a DataLoader, which has its own, got {shown(value)}"
                )
        # The loader's batches are taken as they are.
        return Batches(data, 1, seed=seed, accumulate=accumulate, poisson=poisson)
    if batch_size is None:
        raise ArgumentError(
            f"fit: batch_size must be given for anything but a DataLoader, got a {type(data).__name__}"
        )
    options: dict[str, Any] = {"shuffle": shuffle, "drop_last": drop_last, "seed": seed, "accumulate": accumulate}
    return Batches(data, batch_size, **options, poisson=poisson)
