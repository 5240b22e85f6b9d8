"""What all trackers have in common: what they are told, and when."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from mytorch.core import ArgumentError, require_flag
from mytorch.plugins import Callback, MissingRequirementError, hookimpl
from mytorch.train.rules.rule_step import rule_name
from mytorch.train.trackers.gradient_norms import gradient_norms

if TYPE_CHECKING:
    from mytorch.train.training import Training

Setting = bool | int | float | str


class Tracker(Callback):
    """Base of the callbacks that write a run's numbers somewhere; a subclass says where by five short methods.

    Written are the settings of the run once, each line of the history with the epoch as its step, the norm of each
    parameter's gradient as `gradient_norm/NAME`, and at the end the figures of the run's folder.

    every: the loss of every so many steps is written as `batch_loss`, with the number of the step; None for none.
    gradient_norms: whether norms are measured, on one batch an epoch, which costs one forward and one backward;
        not where several processes train together.
    run_id: the name of the run in the program that is written to, where it has one.
    Raises ArgumentError for arguments out of range.

    A tracker that fails is reported once and training goes on. It comes after all other callbacks, so that it sees
    what they draw.
    """

    first_process_only = True
    may_lag = True

    def __init__(self, every: int | None = None, gradient_norms: bool = True) -> None:
        owner = type(self).__name__
        if every is not None and (type(every) is not int or every < 1):
            raise ArgumentError(f"{owner}: every must be a whole number of at least 1, or None, got {every!r}")
        require_flag(owner, "gradient_norms", gradient_norms)
        self.every, self.gradient_norms = every, gradient_norms
        self._open, self._steps = False, 0
        self.run_id: str | None = None
        self._norms: dict[str, float] = {}

    def begin(self, run: Training, settings: Mapping[str, Setting]) -> None:
        """Open what is written to; of a run that is resumed, `run.resumed`, drop what is later than it."""
        raise NotImplementedError

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write the numbers of an epoch, or the loss of a step."""
        raise NotImplementedError

    def tested(self, values: Mapping[str, float], step: int) -> None:
        """Write what the test part says of the weights that are kept."""
        self.scalars(values, step)

    def figures(self, paths: Sequence[Path], step: int) -> None:
        """Write the pictures of the run's folder; a subclass that cannot show any leaves this out."""

    def end(self, status: str) -> None:
        """Close what was written to; status: "finished", "interrupted" or "failed"."""
        raise NotImplementedError

    @hookimpl(trylast=True)
    def training_started(self, run: Training) -> None:
        """Open what is written to, and write the settings; of a run that is resumed, once its state is back."""
        self._open, self._steps, self.run_id = False, 0, None
        if run.resumed is None:
            self._begin(run)

    @hookimpl(trylast=True)
    def training_resumed(self, run: Training) -> None:
        """Open what an earlier training wrote, to go on with it."""
        self._begin(run)

    def _begin(self, run: Training) -> None:
        self.begin(run, settings_of(run))
        self._open = True

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: the number of steps, and which run of another program this is."""
        return {"steps": self._steps, "run_id": self.run_id}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the run of another program that was written to."""
        self._steps, self.run_id = state["steps"], state["run_id"]

    @hookimpl(trylast=True)
    def batch_ended(self, loss: Tensor) -> None:
        """Write the loss of every so many steps."""
        self._steps += 1
        if self._open and self.every is not None and self._steps % self.every == 0:
            self.scalars({"batch_loss": loss.item()}, self._steps)

    @hookimpl(tryfirst=True)  # averages take their place after it
    def epoch_trained(self, run: Training) -> None:
        """Measure the gradients of the weights that are trained."""
        measures = self._open and self.gradient_norms and run.parallel is None  # else of a part of the rows
        self._norms = gradient_norms(run.setup) if measures else {}

    @hookimpl(trylast=True)
    def epoch_ended(self, epoch: int, record: Mapping[str, float]) -> None:
        """Write the line of the history and the norms."""
        if self._open:
            norms = {f"gradient_norm/{name}": norm for name, norm in self._norms.items()}
            self.scalars({**record, **norms}, epoch)

    @hookimpl(trylast=True)
    def training_ended(self, run: Training) -> None:
        """Write what the test part says and the figures, and close."""
        if self._open and run.test_results is not None:
            self.tested({f"test_{name}": value for name, value in run.test_results.items()}, run.epoch)
        self._close(run, "finished")

    @hookimpl(trylast=True)
    def training_failed(self, run: Training, error: BaseException) -> None:
        """Write what there is and close."""
        self._close(run, "interrupted" if isinstance(error, KeyboardInterrupt) else "failed")

    def _close(self, run: Training, status: str) -> None:
        if not self._open:
            return
        self._open = False
        try:
            if run.folder is not None and (pictures := sorted((run.folder / "figures").glob("*.png"))):
                self.figures(pictures, run.epoch)
        finally:
            self.end(status)


def settings_of(run: Training) -> dict[str, Setting]:
    """The settings of a run by dotted name: those of its experiment, or what its parts tell of themselves."""
    found: dict[str, Any] = dict(run.settings) or _told(run)
    return {key: value if isinstance(value, Setting) else str(value) for key, value in found.items()}


def _told(run: Training) -> dict[str, Any]:
    group = {name: value for name, value in run.optimizer.param_groups[0].items() if name != "params"}
    return {
        "net": type(run.net).__name__,
        "parameters": sum(parameter.value.numel() for parameter in run.net.param()),
        "loss": type(run.loss).__name__,
        "optimizer": type(run.optimizer).__name__,
        **{f"optimizer.{name}": value for name, value in group.items()},
        **({} if run.schedule is None else {"schedule": type(run.schedule).__name__}),
        **({} if (rule := rule_name(run.setup.step)) is None else {"rule": rule}),
        "batch_size": run.batches.batch_size,
        "accumulate": run.batches.accumulate,
        "epochs": run.epochs,
    }


def library(owner: str, module: str, extra: str) -> Any:
    """The library that a tracker writes with, imported when the tracker is made.

    Raises MissingRequirementError, with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingRequirementError(
            f"{owner}: {extra} is not installed. Install: python -m pip install './mytorch-train[{extra}]'"
        ) from error


def place(owner: str, given: str | Path | None, run: Training, name: str) -> Path:
    """Where a tracker writes: the path that was given, or `name` in the run's folder.

    Raises ArgumentError if there is neither.
    """
    if given is not None:
        return Path(given)
    if run.folder is None:
        raise ArgumentError(f"{owner}: path must be given for a run that no Recorder keeps, got None")
    return run.folder / name
