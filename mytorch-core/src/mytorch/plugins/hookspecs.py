"""What a training run tells its plugins. Every hook is a notification: its return value is ignored.

A plugin implements some of these functions, decorated with `hookimpl`, and names itself in the entry-point
group `mytorch.hooks`, or is passed to `fit(..., hooks=[...])`. An implementation may take fewer arguments.
`run` is the training in progress: its `net`, `loss`, `optimizer`, `schedule`, `epochs` and `history` so far.
A plugin with the attribute `may_lag = True` may be told of a batch when later ones are trained on already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

hookspec = pluggy.HookspecMarker("mytorch")
hookimpl = pluggy.HookimplMarker("mytorch")


@hookspec
def training_started(run: Any) -> None:
    """Training is about to begin: weights are initialised, no step has been taken."""


@hookspec
def batch_ended(run: Any, epoch: int, batch: int, loss: Tensor) -> None:
    """One training step has been taken. `epoch` and `batch` count from 1; `loss` is a 0-dim tensor."""


@hookspec
def epoch_ended(run: Any, epoch: int, record: Mapping[str, float]) -> None:
    """An epoch is complete and evaluated; `record` is its line of the history."""


@hookspec
def training_ended(run: Any) -> None:
    """Every epoch is done, or a plugin raised StopTraining."""


@hookspec
def training_failed(run: Any, error: BaseException) -> None:
    """Training stopped early: an error, a value that is not finite, or Ctrl-C (KeyboardInterrupt)."""
