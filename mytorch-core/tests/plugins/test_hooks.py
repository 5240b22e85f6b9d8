"""Plugins of a training run: loaded one by one, told what happens, and harmless to each other."""

import re
import warnings
from typing import Any, ClassVar

import pytest

from mytorch.plugins import Hooks, PluginError, PluginWarning, StopTraining, hookimpl


class Listener:
    def __init__(self) -> None:
        self.seen: list[Any] = []

    @hookimpl
    def batch_ended(self, epoch: int, batch: int) -> None:  # fewer arguments than the hook has
        self.seen.append((epoch, batch))

    @hookimpl
    def training_ended(self, run: Any) -> None:
        self.seen.append(run)


class Failing:
    @hookimpl
    def batch_ended(self, run: Any) -> None:
        raise ValueError("first\nsecond line")


class Stopping:
    @hookimpl
    def epoch_ended(self, epoch: int) -> None:
        if epoch == 2:
            raise StopTraining


BATCH = {"run": None, "epoch": 1, "batch": 7, "loss": None}


@pytest.fixture(autouse=True)
def reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MYTORCH_STRICT_PLUGINS", raising=False)


def test_tells_every_plugin_what_it_listens_to() -> None:
    one, two = Listener(), Listener()
    hooks = Hooks([one, two], installed=False)
    assert not hooks.notify("batch_ended", **BATCH)
    hooks.notify("training_ended", run="the run")
    hooks.notify("training_started", run=None)
    assert one.seen == two.seen == [(1, 7), "the run"]
    assert hooks.wants("batch_ended")
    assert not hooks.wants("training_failed")


def test_stop_training_is_passed_on_after_everybody_was_told() -> None:
    class Late(Stopping):
        seen: ClassVar[list[int]] = []

        @hookimpl
        def epoch_ended(self, epoch: int) -> None:
            self.seen.append(epoch)

    hooks = Hooks([Late(), Stopping()], installed=False)
    assert not hooks.notify("epoch_ended", run=None, epoch=1, record={})
    assert hooks.notify("epoch_ended", run=None, epoch=2, record={})
    assert Late.seen == [1, 2]


def test_a_failing_plugin_is_reported_once_and_the_others_are_told() -> None:
    before, after = Listener(), Listener()
    hooks = Hooks([before, Failing(), after], installed=False)
    message = r"hook plugin 'Failing' failed in batch_ended \(ValueError: first second line\); training goes on"
    with pytest.warns(PluginWarning, match=message):
        hooks.notify("batch_ended", **BATCH)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hooks.notify("batch_ended", **BATCH)
    assert before.seen == after.seen == [(1, 7), (1, 7)]


def test_what_must_succeed_ends_the_run() -> None:
    hooks = Hooks(installed=False)
    hooks.add(Failing(), must_succeed=True)
    with pytest.raises(ValueError, match="first"):
        hooks.notify("batch_ended", **BATCH)


def test_a_plugin_says_itself_that_it_must_succeed() -> None:
    class Needed(Failing):
        must_succeed = True

    with pytest.raises(ValueError, match="first"):
        Hooks([Needed()], installed=False).notify("batch_ended", **BATCH)


@pytest.mark.parametrize(("text", "told"), [("", ""), ("all is\n well", ": all is well")])
def test_who_stopped_the_training_and_why(text: str, told: str) -> None:
    class Stops:
        def __init__(self, text: str) -> None:
            self.text = text

        @hookimpl
        def epoch_ended(self, epoch: int) -> None:
            if epoch > 1:
                raise StopTraining(self.text)

    hooks = Hooks([Stops("called last"), Stops(text)], installed=False)
    hooks.notify("epoch_ended", run=None, epoch=1, record={})
    assert hooks.stopped is None
    hooks.notify("epoch_ended", run=None, epoch=2, record={})
    assert hooks.stopped == f"stopped by Stops{told}"


@pytest.mark.parametrize("error", [ValueError("first"), SystemExit(5)], ids=repr)
def test_strict_plugins_fail_by_name(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    class Strict:
        @hookimpl
        def batch_ended(self) -> None:
            raise error

    monkeypatch.setenv("MYTORCH_STRICT_PLUGINS", "1")
    with pytest.raises(PluginError, match=f"hook plugin 'Strict' failed in batch_ended .{type(error).__name__}: "):
        Hooks([Strict()], installed=False).notify("batch_ended", **BATCH)


class Misspelt:
    @hookimpl
    def batch_endet(self, run: Any) -> None:
        pass

    @hookimpl
    def batch_ended(self) -> None:
        raise AssertionError("a plugin that was refused is not called")


class WrongArguments:
    @hookimpl
    def batch_ended(self, run: Any, speed: float) -> None:
        pass


class Wrapping:
    @hookimpl(wrapper=True)
    def batch_ended(self) -> Any:
        return (yield)


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (
            Misspelt(),
            r"hook plugin 'Misspelt': batch_endet must be the name of a hook\. Nearest: batch_ended, ",
        ),
        (WrongArguments(), "hook plugin 'WrongArguments' does not fit the hooks: .*speed"),
        (Wrapping(), "hook plugin 'Wrapping': batch_ended must be a plain function, got a wrapper"),
        (
            object(),
            "hook plugin 'object' must implement at least one hook; override one of Callback's, or mark",
        ),
    ],
    ids=["unknown hook", "unknown argument", "wrapper", "no hook"],
)
def test_a_plugin_that_does_not_fit_is_refused_and_leaves_no_trace(plugin: object, message: str) -> None:
    listener = Listener()
    hooks = Hooks([listener], installed=False)
    with pytest.raises(PluginError, match=message):
        hooks.add(plugin)
    hooks.notify("batch_ended", **BATCH)
    assert listener.seen == [(1, 7)]
    later = Listener()
    hooks.add(later)
    hooks.notify("batch_ended", **BATCH)
    assert later.seen == [(1, 7)]


GOOD = """
from mytorch.plugins import hookimpl

SEEN = []

@hookimpl
def batch_ended(batch):
    SEEN.append(batch)

class Plugin:
    @hookimpl
    def epoch_ended(self, epoch):
        SEEN.append(-epoch)
"""


def test_installed_plugins_are_loaded_modules_and_classes_alike(install: Any) -> None:
    install("acme-hooks", {"mytorch.hooks": {"log": "acme_hooks", "other": "acme_hooks:Plugin"}}, {"acme_hooks": GOOD})
    hooks = Hooks()
    hooks.notify("batch_ended", **BATCH)
    hooks.notify("epoch_ended", run=None, epoch=3, record={})
    import acme_hooks

    assert acme_hooks.SEEN == [7, -3]


@pytest.mark.parametrize(
    "source", ["raise ValueError('broken')", "import sys; sys.exit('broken')", "import os; os._exit('broken')"]
)
def test_an_installed_plugin_that_breaks_is_left_out_and_the_others_work(install: Any, source: str) -> None:
    broken, good = f"acme_breaks_{len(source)}", f"acme_works_{len(source)}"
    install("acme-breaks", {"mytorch.hooks": {"bad": broken}}, {broken: source})
    install("acme-works", {"mytorch.hooks": {"log": good}}, {good: GOOD})
    with pytest.warns(PluginWarning, match="hook 'bad' of acme-breaks 1.0 .*broken.*uninstall acme-breaks$"):
        hooks = Hooks()
    hooks.notify("batch_ended", **BATCH)
    assert __import__(good).SEEN == [7]


def test_an_installed_plugin_that_does_not_fit_is_left_out(install: Any) -> None:
    source = "from mytorch.plugins import hookimpl\n@hookimpl\ndef batch_endet(): pass\n"
    install("acme-misfit", {"mytorch.hooks": {"bad": "acme_misfit"}}, {"acme_misfit": source})
    with pytest.warns(
        PluginWarning,
        match=r"hook 'bad' of acme-misfit 1\.0: batch_endet must be .*Nearest: batch_ended, .*uninstall acme-misfit$",
    ):
        hooks = Hooks()
    hooks.notify("batch_ended", **BATCH)


@pytest.mark.parametrize("error", ["SystemExit(4)", "BaseException('odd')"])
def test_an_installed_class_that_cannot_be_made_is_left_out(install: Any, error: str) -> None:
    source = f"class Log:\n    def __init__(self): raise {error}\n"
    module = f"acme_made_{len(error)}"
    install("acme-made", {"mytorch.hooks": {"log": f"{module}:Log"}}, {module: source})
    with pytest.warns(PluginWarning, match=r"hook 'log' of acme-made 1\.0 cannot be made .* uninstall acme-made"):
        Hooks()


def test_the_remedy_of_one_for_another_core_is_told_once(install: Any) -> None:
    install("acme-later", {"mytorch.hooks": {"log": "acme_later"}}, requires=["mytorch-core>=9"])
    with pytest.warns(PluginWarning, match=r"Upgrade or remove it: python -m pip uninstall acme-later$"):
        Hooks()


def test_strict_plugins_are_not_left_out(install: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYTORCH_STRICT_PLUGINS", "1")
    install("acme-strict", {"mytorch.hooks": {"bad": "acme_strict"}}, {"acme_strict": "1 / 0"})
    with pytest.raises(PluginError, match="hook 'bad' of acme-strict"):
        Hooks()
    monkeypatch.setenv("MYTORCH_STRICT_PLUGINS", "0")
    with pytest.warns(PluginWarning):
        Hooks()


def test_a_trace_tells_hook_plugin_time_and_error() -> None:
    class Talks:
        @hookimpl
        def training_started(self) -> None:
            pass

        @hookimpl
        def training_ended(self) -> None:
            raise StopTraining("enough")

    lines: list[str] = []
    hooks = Hooks([Talks()], installed=False, trace=lines.append)
    hooks.notify("training_started", run=None)
    hooks.notify("batch_ended", run=None, epoch=1, batch=1, loss=None)
    assert hooks.notify("training_ended", run=None)
    assert len(lines) == 2
    assert re.fullmatch(r"training_started -> Talks: \d+\.\d\d ms", lines[0])
    assert re.fullmatch(r"training_ended -> Talks: \d+\.\d\d ms, raised StopTraining: enough", lines[1])


@pytest.mark.parametrize("error", [SystemExit(3), ValueError("no"), BaseException("odd")], ids=repr)
def test_a_hook_that_exits_stops_neither_training_nor_others(error: BaseException) -> None:
    heard = []

    class Bad:
        @hookimpl
        def training_started(self) -> None:
            raise error

    class Good:
        @hookimpl
        def training_started(self) -> None:
            heard.append(1)

    hooks = Hooks([Good(), Bad()], installed=False)
    with pytest.warns(PluginWarning, match=f"'Bad' failed in training_started .{type(error).__name__}"):
        assert not hooks.notify("training_started", run=None)
    hooks.notify("training_started", run=None)  # a second warning would be an error
    assert heard == [1, 1]


def test_a_listener_that_may_lag_need_not_be_told_promptly() -> None:
    class Bar(Listener):
        may_lag = True

    hooks = Hooks([Bar()], installed=False)
    assert hooks.wants("batch_ended")
    assert not hooks.wants("batch_ended", promptly=True)
    hooks.add(Listener())
    assert hooks.wants("batch_ended", promptly=True)


@pytest.mark.parametrize("callbacks", [None, Listener(), 3])
def test_callbacks_come_in_a_list(callbacks: Any) -> None:
    with pytest.raises(PluginError, match=r"callbacks must be a list of callbacks, got .*; write \[\.\.\.\]"):
        Hooks(callbacks)
