"""Training from Python, with any Module, Optimizer and data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from mytorch.core import (
    ArgumentError,
    Metric,
    Module,
    Optimizer,
    Quantity,
    Rule,
    Schedule,
    require_flags,
    require_kind,
)
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
    rule: Rule | None = None,
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
    memory: int | str | None = None,
    saved: str | None = None,
    weights: str | None = None,
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
    """Train a model in place, and return the training with its history.

    Calling `fit` again with the same optimizer continues where the last call stopped: the numbers of the epochs go on
    and, with the same seed, so does the order of the batches. With the eager engine, n calls for one epoch give the
    weights and the history of one call for n epochs, to the bit. With a new optimizer, training starts from the
    beginning.

    data, validation, test: data sets, such as mytorch.data.Disk, DataLoaders, or anything that torch's DataLoader
        accepts. The model is evaluated on the validation part every `evaluate_every` epochs and after the last one;
        callbacks that select, such as EarlyStopping, use it unless they are told otherwise. It is evaluated on the
        test part once, at the end, which gives the `test_results` of the training.
    batch_size: rows per step; a DataLoader has its own.
    seed: determines the order of the batches; dropout and similar layers draw from torch's own generator.
    shuffle, drop_last: whether each epoch has a new random order, and whether a smaller last batch is left out.
    callbacks: objects whose hooks this run calls, such as EarlyStopping, in addition to the installed plugins:
        instances of `mytorch.plugins.Callback`, or other plugins of pluggy.
    quantities: what is computed from the gradients of every step during the backward pass, such as GradientNoise; the
        history has the results. Only with the eager engine, in one process.
    rule: a learning rule, such as `mytorch.train.rules.FeedbackAlignment`, which makes the gradients in place of
        backpropagation. Only with the eager engine, in one process.
    device: "cpu", "cuda", "cuda:1", "mps", or "auto" for the accelerator, if there is one; None leaves the net where
        it is. Net and loss stay on the device after the training; batches are moved there as they are used.
    engine: "eager"; "compiled", which takes several steps in one call of machine code, or eager steps where that is
        not possible; or "auto", which begins with eager steps and changes over when another process has compiled the
        step, if the run is long enough.
    step: a training step of your own in place of `mytorch.train.step`: it is called with (net, loss, optimizer,
        inputs, targets), does the whole step, and returns the loss, or the loss and its weight in the mean over the
        epoch's batches; without a weight, the number of rows is taken.
    clip_grad_norm: if the norm over all gradients is above it, they are all scaled down by the same factor.
    clip_grad_value: every number of the gradients is clipped to the range from -clip_grad_value to clip_grad_value.
    clip_sample_norm: if the norm of a single sample's gradient, over all parameters, is above it, that gradient is
        scaled down before the mean is taken. Only with the eager engine, in one process.
    privacy: train with differential privacy (DP-SGD) by the settings of a `Privacy`, which counts what is spent: every
        batch contains each row with the same probability, whatever `shuffle` says, and the gradients of single samples
        are clipped, and noise is added. Only with the eager engine, in one process.
    accumulate: how many batches make one step (gradient accumulation). The results are those of one large batch, also
        if batches differ in size, since gradients are averaged with the loss's weights. Schedules, `batch_ended` and
        engines count steps.
    optimizer_in_backward: update each parameter during the backward pass and free its gradient, as `step_in_backward`
        does: gradients then need the memory of the largest layer, not that of the model.
    memory: the most that layers may save for the backward pass, such as "2 GiB", or a number of bytes. Layers that
        save more than that together are computed again in the backward pass (activation checkpointing), with the same
        results to the bit; the first batch is measured to choose those that take the least time. Only with the eager
        engine, in one process.
    saved: how what layers save is stored between the passes: in a temporary file ("disk"), with the same results to
        the bit, or as "bfloat16" or "int8", which changes gradients a little. Only with the eager engine, in one
        process.
    weights: "disk" keeps parameters, the optimizer's state and copies of them in temporary files, for models that are
        larger than memory, with the same results to the bit; parameters are updated during the backward pass, as with
        optimizer_in_backward, and `net` lies there afterwards, too. `on_disk` builds such a model. Only on the
        processor, with the eager engine, in one process.
    precision: "bfloat16-mixed" or "float16-mixed": layers compute in half precision, on copies of values that stay
        float32, while loss, update and evaluation are in float32; in float16 the loss is scaled, and a step whose
        gradients are not finite is skipped. "bfloat16": values, gradients and the optimizer's state are bfloat16
        during the steps of an epoch, and the loss is float32; for the evaluation and after the training, the net has
        the same numbers in float32.
    checkpoint: a file in which the state of the training is saved: every `checkpoint_every` seconds, once an epoch and
        a second have passed, at the end, and when Ctrl-C, SIGTERM or SIGHUP ends the training, which then happens
        after the current batch.
    resume: such a file, or the folder of a run, from which the training continues as if it had never ended, with the
        same results to the bit. All arguments must be the same; only `epochs`, which counts from the beginning of that
        training, may be larger. The net's weights and the optimizer's state are replaced. A Recorder continues in the
        run's folder.
    accept_differences: resume even if versions, threads, data, or anything else that influences rounding differ.
    parallel: the processes that train together, as `mytorch.train.parallel.join` returns them: each computes with its
        rows of every batch, and `batch_size` is that of the whole batch. All call `fit` with the same arguments; only
        the first one writes files and prints.
    shard: what these processes divide among them, so that each needs less memory: "optimizer", the optimizer's state;
        "gradients", the gradients as well, by which parameters are updated within the backward pass, unless
        clip_grad_norm or precision needs all gradients at once; or "parameters", the parameters as well, which are
        gathered while a layer computes with them. The results are the same. A single process always has everything.
    stages: the stages of a pipeline of these processes, each of which computes some of the layers of a Sequential:
        their number, or how many layers each has, such as [2, 3]. A multiple of so many processes divides the rows of
        every batch as well. A single process always has all layers.
    micro_batches: with stages, the number of parts into which each batch is cut, which go through the stages one after
        the other; by default four for each stage.
    Raises RunError if a training cannot be resumed; ArgumentError for arguments out of range; NotFiniteError, with the
    last good weights in `net`, and KeyboardInterrupt, both after the callbacks were called.
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
        memory=memory,
        saved=saved,
        weights=weights,
        rule=rule,
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
