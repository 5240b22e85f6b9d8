"""The base class of what takes part in a training run: overriding a method is enough."""

from typing import Any, ClassVar

import pytest

from mytorch.plugins import HOOKS, Callback, Hooks, PluginError, StopTraining, catalogue, hookimpl

EVENTS: dict[str, dict[str, Any]] = {
    "training_started": {"run": "run"},
    "training_resumed": {"run": "run"},
    "batch_ended": {"run": "run", "epoch": 1, "batch": 7, "loss": 0.5},
    "epoch_trained": {"run": "run", "epoch": 1},
    "epoch_ended": {"run": "run", "epoch": 1, "record": {"train_loss": 0.5}},
    "training_closing": {"run": "run"},
    "training_ended": {"run": "run"},
    "training_failed": {"run": "run", "error": None},
}


class Listener(Callback):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def batch_ended(self, batch: int, epoch: int) -> None:  # fewer arguments than the hook has, in any order
        self.seen.append((epoch, batch))

    def training_ended(self, run: Any) -> None:
        self.seen.append(run)


def notify_all(*callbacks: object) -> Hooks:
    hooks = Hooks(callbacks, installed=False)
    for hook, values in EVENTS.items():
        hooks.notify(hook, **values)
    return hooks


def test_an_overridden_method_is_a_hook_and_the_others_cost_nothing() -> None:
    listener = Listener()
    hooks = notify_all(listener)
    assert listener.seen == [(1, 7), "run"]
    assert [hook for hook in HOOKS if hooks.wants(hook)] == ["batch_ended", "training_ended"]
    assert list(EVENTS) == list(HOOKS)


def test_every_hook_can_be_overridden_with_all_its_arguments() -> None:
    seen = {}

    class All(Callback):
        def training_started(self, run: Any) -> None:
            seen["training_started"] = {"run": run}

        def training_resumed(self, run: Any) -> None:
            seen["training_resumed"] = {"run": run}

        def batch_ended(self, run: Any, epoch: int, batch: int, loss: Any) -> None:
            seen["batch_ended"] = {"run": run, "epoch": epoch, "batch": batch, "loss": loss}

        def epoch_trained(self, run: Any, epoch: int) -> None:
            seen["epoch_trained"] = {"run": run, "epoch": epoch}

        def epoch_ended(self, run: Any, epoch: int, record: Any) -> None:
            seen["epoch_ended"] = {"run": run, "epoch": epoch, "record": record}

        def training_closing(self, run: Any) -> None:
            seen["training_closing"] = {"run": run}

        def training_ended(self, run: Any) -> None:
            seen["training_ended"] = {"run": run}

        def training_failed(self, run: Any, error: Any) -> None:
            seen["training_failed"] = {"run": run, "error": error}

    notify_all(All())
    assert seen == EVENTS


def test_a_subclass_of_a_callback_is_heard_and_may_call_the_overridden_hook() -> None:
    class More(Listener):
        def training_ended(self, run: Any) -> None:
            super().training_ended(run)
            self.seen.append("more")

        def training_started(self, run: Any) -> None:
            super().training_started(run)
            self.seen.append("started")

    more = More()
    notify_all(more)
    assert more.seen == ["started", (1, 7), "run", "more"]


def test_a_hook_that_comes_from_another_base_class_is_heard() -> None:
    class Mixin:
        seen: ClassVar[list[int]] = []

        def epoch_ended(self, epoch: int) -> None:
            self.seen.append(epoch)

    class Mixed(Mixin, Callback):
        pass

    notify_all(Mixed())
    assert Mixin.seen == [1]


def test_static_methods_and_class_methods_are_heard() -> None:
    class Odd(Callback):
        seen: ClassVar[list[Any]] = []

        @staticmethod
        def epoch_ended(epoch: int) -> None:
            Odd.seen.append(epoch)

        @classmethod
        def training_ended(cls, run: Any) -> None:
            cls.seen.append(run)

    notify_all(Odd())
    assert Odd.seen == [1, "run"]


def test_an_order_can_be_asked_for_and_a_subclass_keeps_it() -> None:
    seen = []

    class Named(Callback):
        def __init__(self, name: str) -> None:
            self.name = name

        def training_ended(self) -> None:
            seen.append(self.name)

    class First(Named):
        @hookimpl(tryfirst=True)
        def training_ended(self) -> None:
            super().training_ended()

    class StillFirst(First):
        def training_ended(self) -> None:
            seen.append(f"{self.name}, overridden")

    class Last(Named):
        @hookimpl(trylast=True)
        def training_ended(self) -> None:
            super().training_ended()

    notify_all(StillFirst("first"), Named("b"), Named("a"), Last("last"))
    assert seen == ["first, overridden", "a", "b", "last"]
    seen.clear()
    notify_all(Last("last"), First("first"), Named("a"))
    assert seen == ["first", "a", "last"]


def test_what_a_callback_raises_is_reported_or_ends_the_run_as_it_says() -> None:
    class Needed(Callback):
        must_succeed = True

        def training_ended(self) -> None:
            raise ValueError("needed")

    with pytest.raises(ValueError, match="needed"):
        notify_all(Needed())


def test_a_callback_may_lag() -> None:
    class Late(Listener):
        may_lag = True

    assert Hooks([Listener()], installed=False).wants("batch_ended", promptly=True)
    assert not Hooks([Late()], installed=False).wants("batch_ended", promptly=True)


def test_stopping_is_told_with_the_class() -> None:
    class Enough(Callback):
        def epoch_ended(self) -> None:
            raise StopTraining("enough")

    assert notify_all(Enough()).stopped == "stopped by Enough: enough"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("epoch_end", r"Nearest: epoch_ended"),
        ("epoch_endet", r"Nearest: epoch_ended"),
        ("Epoch_Ended", r"Nearest: epoch_ended"),
        ("batches_ended", r"Nearest: batch_ended"),
        ("training_start", r"Nearest: training_started"),
        ("train_ended", r"Nearest: training_ended"),
        ("on_epoch_end", r"Nearest: epoch_ended"),
        ("on_train_batch_end", r"Nearest: batch_ended"),
        (
            "on_fit",
            r"Known: batch_ended, epoch_ended, epoch_trained, training_closing, training_ended, training_failed, "
            r"training_resumed, training_started\.",
        ),
    ],
)
def test_a_misspelt_hook_is_refused_where_the_class_is_defined(name: str, told: str) -> None:
    body = {name: lambda self, epoch: None, "training_ended": lambda self: None}
    with pytest.raises(
        PluginError, match=rf"Mine: a method must not look like a hook unless it is one, got {name}\. {told}"
    ):
        type("Mine", (Callback,), body)


@pytest.mark.parametrize("name", ["state_dict", "reset", "losses", "epoch", "_epoch_end", "best_epoch", "describe"])
def test_methods_of_ones_own_are_not_taken_for_hooks(name: str) -> None:
    mine = type("Mine", (Callback,), {name: lambda self: None, "training_ended": lambda self: None})
    notify_all(mine())


@pytest.mark.parametrize("value", [None, 3, print], ids=repr)
def test_a_hook_that_is_no_method_is_refused(value: object) -> None:
    with pytest.raises(PluginError, match=r"Mine: epoch_ended must be a method, got a \w+"):
        type("Mine", (Callback,), {"epoch_ended": value})


def test_what_cannot_be_registered() -> None:
    class Nothing(Callback):
        pass

    class Generator(Callback):
        def epoch_ended(self) -> Any:
            yield

    class Coroutine(Callback):
        async def epoch_ended(self) -> None:
            pass

    class Speed(Callback):
        def epoch_ended(self, speed: float) -> None:
            pass

    for plugin, told in (
        (Nothing(), "hook plugin 'Nothing' must implement at least one hook; override one of Callback's"),
        (Listener, r"hook plugin 'Listener' must be an object, got the class; write Listener\(\.\.\.\)"),
        (Generator(), "hook plugin 'Generator': epoch_ended must be a plain function, got a generator"),
        (Coroutine(), "hook plugin 'Coroutine': epoch_ended must be a plain function, got a coroutine"),
        (Speed(), "hook plugin 'Speed' does not fit the hooks: .*speed"),
    ):
        hooks = Hooks(installed=False)
        with pytest.raises(PluginError, match=told):
            hooks.add(plugin)
        assert not hooks.wants("epoch_ended")


def test_an_installed_callback_and_hook_of_this_class(install: Any) -> None:
    source = """
from mytorch.plugins import Callback

class Log(Callback):
    seen = []
    def epoch_ended(self, epoch):
        self.seen.append(epoch)

class Nothing(Callback):
    pass
"""
    groups = {
        "mytorch.hooks": {"log": "acme_log:Log"},
        "mytorch.callbacks": {"Log": "acme_log:Log", "No": "acme_log:Nothing"},
    }
    install("acme-log", groups, {"acme_log": source})
    hooks = Hooks()
    hooks.notify("epoch_ended", run=None, epoch=3, record={})
    log = catalogue().load("callback", "Log")
    assert log.seen == [3]
    with pytest.raises(
        PluginError, match=r"must be a class with at least one hook, such as a subclass of mytorch\.plugins\.Callback"
    ):
        catalogue().load("callback", "No")
