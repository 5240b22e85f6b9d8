"""Training from Python, with any Module, Optimizer and data set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch.utils.data import DataLoader

from mytorch.core import ArgumentError, Metric, Module, Optimizer, Schedule
from mytorch.plugins import Hooks
from mytorch.train.batches import Batches
from mytorch.train.callbacks.progress import Progress
from mytorch.train.engine import make_engine
from mytorch.train.training import Training


def fit(
    net: Module,
    loss: Module,
    optimizer: Optimizer,
    data: Any,
    *,
    epochs: int,
    batch_size: int | None = None,
    test: Any = None,
    schedule: Schedule | None = None,
    metrics: Sequence[Metric] = (),
    seed: int = 0,
    evaluate_every: int = 1,
    hooks: Iterable[object] = (),
    quiet: bool = False,
    engine: str = "eager",
    clip_grad_norm: float | None = None,
    optimizer_in_backward: bool = False,
) -> Training:
    """Train a model, in place, and return the training with its history.

    data, test: data sets, such as mytorch.data.Disk, or anything that torch's DataLoader takes, or a DataLoader.
    batch_size: rows a step; for anything but a DataLoader, which has its own.
    seed: decides the order of the batches; dropout and the like draw from torch's own generator.
    hooks: plugins for this run, beside those that are installed; see mytorch.plugins.hookspecs.
    engine: "eager", or "compiled": several steps in one call of machine code, eager where that cannot be had.
    clip_grad_norm: gradients are scaled down together where the norm over all of them is above it.
    optimizer_in_backward: update each parameter during the backward pass and free its gradient, as `step_in_backward`:
        gradients take the memory of the largest layer and not of the model.
    Raises ArgumentError for arguments out of range;
        NotFiniteError, with the last good weights in `net`, and KeyboardInterrupt after everything is saved.
    """
    listeners = Hooks(hooks)
    training = Training(
        net,
        loss,
        optimizer,
        _batches(data, batch_size, seed),
        epochs=epochs,
        schedule=schedule,
        test=test,
        metrics=metrics,
        evaluate_every=evaluate_every,
        hooks=listeners,
        engine=make_engine(engine, quiet),
        clip_grad_norm=clip_grad_norm,
        optimizer_in_backward=optimizer_in_backward,
    )
    if not quiet:
        listeners.add(Progress())
    training.run()
    return training


def _batches(data: Any, batch_size: int | None, seed: int) -> Batches:
    if isinstance(data, DataLoader):
        if batch_size is not None:
            raise ArgumentError(
                f"fit: batch_size must be left out for a DataLoader, which has its own, got {batch_size}"
            )
        return Batches(data, 1, seed=seed)  # the loader's batches are taken as they are
    if batch_size is None:
        raise ArgumentError(
            f"fit: batch_size must be given for anything but a DataLoader, got a {type(data).__name__}"
        )
    return Batches(data, batch_size, shuffle=True, seed=seed)
