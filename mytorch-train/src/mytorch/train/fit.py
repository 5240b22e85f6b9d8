"""Training from Python, with any Module, Optimizer and data set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mytorch.core import Metric, Module, Optimizer, Schedule
from mytorch.plugins import Hooks
from mytorch.train.batches import Batches
from mytorch.train.progress import Progress
from mytorch.train.recorder import Recorder
from mytorch.train.run_folder import RunFolder
from mytorch.train.training import Training


def fit(
    net: Module,
    loss: Module,
    optimizer: Optimizer,
    data: Any,
    *,
    epochs: int,
    batch_size: int,
    test: Any = None,
    schedule: Schedule | None = None,
    metrics: Sequence[Metric] = (),
    seed: int = 0,
    evaluate_every: int = 1,
    hooks: Iterable[object] = (),
    folder: str | Path | None = None,
    quiet: bool = False,
) -> Training:
    """Train a model, in place, and return the training with its history.

    data, test: data sets, such as mytorch.data.Disk, or anything that torch's DataLoader takes, or a DataLoader.
    seed: decides the order of the batches; dropout and the like draw from torch's own generator.
    hooks: plugins for this run, beside those that are installed; see mytorch.plugins.hookspecs.
    folder: where a new folder for this run is made, with history, weights and figures; None writes nothing.
    Raises NotFiniteError, with the last good weights in `net`, and KeyboardInterrupt after everything is saved.
    """
    listeners = Hooks(hooks)
    training = Training(
        net,
        loss,
        optimizer,
        Batches(data, batch_size, shuffle=True, seed=seed),
        epochs=epochs,
        schedule=schedule,
        test=test,
        metrics=metrics,
        evaluate_every=evaluate_every,
        hooks=listeners,
    )
    if folder is not None:
        listeners.add(Recorder(RunFolder.create(Path(folder), type(net).__name__.lower())), must_succeed=True)
    if not quiet:
        listeners.add(Progress())
    training.run()
    return training
