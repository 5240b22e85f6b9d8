"""What a training run tells its plugins: the methods of `Callback` are the hooks, each with its arguments."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import pluggy

from mytorch.plugins.errors import PluginError, closest, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

hookimpl = pluggy.HookimplMarker("mytorch")
_MARK = "mytorch_impl"  # the attribute that hookimpl sets
LIKENESS = 0.7  # from which on a name is taken for a misspelt hook: epoch_end, train_start
_specification = pluggy.HookspecMarker("mytorch")


def _hook(function: Callable[..., None]) -> Callable[..., None]:
    """Declare a hook. Its type lets an override take fewer arguments."""
    return _specification(function)


class Callback:
    """Base class of what takes part in a training run: override the hooks that you want.

    A hook is a notification; what it returns is ignored. It takes those of its arguments that it wants, by name. `run`
    is the training in progress: its `net`, `loss`, `optimizer`, `schedule`, `epochs` and `history` so far. To end the
    run, raise `StopTraining`. Pass an object of the class to `fit(..., callbacks=[...])`, or offer the class to
    experiments in the entry-point group `mytorch.callbacks`.

    The callback that was passed last is called first. Where the order matters, write `@hookimpl(tryfirst=True)` or
    `@hookimpl(trylast=True)` above the hook; a subclass that overrides it keeps the order.

    A callback that remembers something from hook to hook also has `state_dict()`, which returns it as nested dicts,
    lists, tensors, numbers and strings, and `load_state_dict(state)`. A checkpoint keeps the first; when a run is
    resumed, the second is called after `training_started` and before `training_resumed`.

    must_succeed: whether what a hook raises ends the run; otherwise it is reported once, and training goes on.
    first_process_only: whether, of several processes that train together, only the first one tells the callback what
        happens: right for what writes files or prints, wrong for what changes the model or decides when the run ends.
    may_lag: whether `batch_ended` may be told of a batch when later ones are trained on already.

    Defining a subclass raises PluginError for a method whose name is nearly that of a hook, or begins with on_ as in
    other libraries, and for a hook that is no method.

    Example:
        >>> from mytorch.plugins import Callback, Hooks, StopTraining
        >>> class StopAt(Callback):
        ...     def __init__(self, loss):
        ...         self.loss = loss
        ...
        ...     def epoch_ended(self, record):
        ...         if record["train_loss"] <= self.loss:
        ...             raise StopTraining(f"the training loss is {record['train_loss']}")
        >>> hooks = Hooks([StopAt(0.5)], installed=False)
        >>> hooks.notify("epoch_ended", run=None, epoch=1, record={"train_loss": 0.25})
        True
        >>> hooks.stopped
        'stopped by StopAt: the training loss is 0.25'
    """

    must_succeed: ClassVar[bool] = False
    may_lag: ClassVar[bool] = False
    first_process_only: ClassVar[bool] = False

    @_hook
    def training_started(self, run: Any) -> None:
        """Training is about to begin: weights are initialised, no step has been taken."""

    @_hook
    def training_resumed(self, run: Any) -> None:
        """The state of a checkpoint was put back, after `training_started`; `run.epoch` epochs are complete."""

    @_hook
    def batch_ended(self, run: Any, epoch: int, batch: int, loss: Tensor) -> None:
        """One training step has been taken. `epoch` and `batch` count from 1; `loss` is a 0-dim tensor."""

    @_hook
    def epoch_trained(self, run: Any, epoch: int) -> None:
        """Every batch of an epoch was trained on, and the model is about to be judged."""

    @_hook
    def epoch_ended(self, run: Any, epoch: int, record: Mapping[str, float]) -> None:
        """An epoch is complete and evaluated; `record` is its line of the history."""

    @_hook
    def training_closing(self, run: Any) -> None:
        """The last epoch is over. Whoever replaces the weights does so now: then the test part is judged, once."""

    @_hook
    def training_ended(self, run: Any) -> None:
        """Every epoch is done, or a callback raised StopTraining; `run.test_results` is what the test part says."""

    @_hook
    def training_failed(self, run: Any, error: BaseException) -> None:
        """Training stopped early: an error, a value that is not finite, or Ctrl-C (KeyboardInterrupt)."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Mark the hooks that the class overrides, and refuse a name that is nearly that of a hook."""
        super().__init_subclass__(**options)
        for name, value in vars(cls).items():
            if name not in HOOKS and not name.startswith("_") and inspect.isroutine(value):
                _refuse_misspelt(cls, name)
        for name in HOOKS:
            _mark(cls, name)


HOOKS = tuple(name for name, value in vars(Callback).items() if hasattr(value, "mytorch_spec"))
"""The names of the hooks, in the order in which a run comes to them."""


def _refuse_misspelt(cls: type, name: str) -> None:
    if name.startswith("on_") or closest(name, HOOKS, LIKENESS):
        raise PluginError(
            f"{cls.__name__}: a method must not look like a hook unless it is one, got {name}. "
            f"{nearest(name.removeprefix('on_'), HOOKS)} If it is no hook, begin its name with an underscore"
        )


def _mark(cls: type, name: str) -> None:
    """Mark a hook if the class or one that it derives from overrides it; keep an order that was asked for there."""
    held = inspect.getattr_static(cls, name)
    function = getattr(held, "__func__", held)  # of a static method or class method
    if function is vars(Callback)[name] or hasattr(function, _MARK):
        return
    if not inspect.isfunction(function):
        raise PluginError(f"{cls.__name__}: {name} must be a method, got a {type(function).__name__}")
    marks = (getattr(getattr(base, name, None), _MARK, None) for base in cls.__mro__[1:])
    setattr(function, _MARK, next(filter(None, marks), None) or getattr(hookimpl(function), _MARK))
