"""Loading the plugins of a training run and telling them what happens, so that a bad one harms nobody else."""

from __future__ import annotations

import inspect
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pluggy

from mytorch.plugins.callback import HOOKS, Callback
from mytorch.plugins.catalogue import Part, catalogue
from mytorch.plugins.errors import PluginError, PluginWarning, nearest
from mytorch.plugins.exits import no_exit
from mytorch.plugins.shown import one_line
from mytorch.plugins.strict import strict


class StopTraining(Exception):
    """Raised by a hook to end the run after the notification in progress; what was trained is kept.

    Its text is the reason, which the run's summary repeats.
    """


class Hooks:
    """The plugins of one run, called in pluggy's order: the last registered first.

    plugins: the callbacks of the run; PluginError for what is no list of them.
    trace: is given a line for each call: hook, plugin, milliseconds, and what was raised.
    first: whether this is the only process of a run, or the first of several; in the others, plugins with
        `first_process_only = True` are told nothing.
    stopped: which plugin asked to stop the training, and why; None if none did.
    """

    def __init__(
        self,
        plugins: Iterable[object] = (),
        installed: bool = True,
        trace: Callable[[str], object] | None = None,
    ) -> None:
        self.stopped: str | None = None
        self.first = True
        self._trace = trace
        self._manager = pluggy.PluginManager("mytorch")
        self._manager.add_hookspecs(Callback)
        self._must_succeed: set[int] = set()
        self._labels: dict[int, str] = {}
        self._plugins: list[object] = []  # in the order in which they came; pluggy's is a set
        self._remedies: dict[int, str] = {}
        self._failed: set[tuple[int, str]] = set()
        self._listeners: dict[str, list[pluggy.HookImpl]] = {}
        if installed:
            for part in catalogue().of_kind("hook"):
                if part.blocked() is None:
                    self._add_installed(part)
        if not isinstance(plugins, Iterable):
            raise PluginError(f"callbacks must be a list of callbacks, got {one_line(repr(plugins))}; write [...]")
        for plugin in plugins:
            self.add(plugin)

    def add(self, plugin: object, name: str | None = None, *, must_succeed: bool = False) -> None:
        """Register a plugin: a `Callback`, or any object or module with functions marked `hookimpl`.

        With `must_succeed`, which it may have as an attribute, what it raises ends the run; otherwise it is reported
        once and training goes on.
        Raises PluginError if it implements no hook, an unknown one, or one with unknown arguments, and for a class.
        """
        label = name or str(getattr(plugin, "__name__", type(plugin).__name__))
        if inspect.isclass(plugin):
            raise PluginError(f"hook plugin {label!r} must be an object, got the class; write {label}(...)")
        self.register(plugin, name, f"hook plugin {label!r}")
        self._labels[id(plugin)] = label
        if must_succeed or getattr(plugin, "must_succeed", False) is True:
            self._must_succeed.add(id(plugin))

    def register(self, plugin: object, name: str | None, label: str) -> None:
        """Let pluggy validate a plugin, or a class of such, and take it; one that does not fit raises PluginError."""
        for unknown in self._unknown_hooks(plugin):
            raise PluginError(f"{label}: {unknown} must be the name of a hook. {nearest(unknown, HOOKS)}")
        self._listeners.clear()
        try:
            registered = self._manager.register(plugin, name=name)
            self._plugins.append(plugin)
            implemented = self._manager.get_hookcallers(plugin) or []
            if registered is None or not implemented:
                raise PluginError(
                    f"{label} must implement at least one hook; override one of Callback's, or mark functions with "
                    "hookimpl"
                )
            for caller in implemented:
                for implementation in caller.get_hookimpls():
                    if implementation.plugin is plugin and (found := _not_plain(implementation)):
                        raise PluginError(f"{label}: {caller.name} must be a plain function, got {found}")
        except (pluggy.PluginValidationError, PluginError, ValueError) as error:
            if self._manager.is_registered(plugin):
                self._manager.unregister(plugin)
            if isinstance(error, PluginError):
                raise
            raise PluginError(f"{label} does not fit the hooks: {one_line(error)}") from error

    def _unknown_hooks(self, plugin: object) -> Iterator[str]:
        """The functions that a plugin marks as hooks and that are none."""
        for name in dir(plugin):
            mark = self._manager.parse_hookimpl_opts(plugin, name)
            if mark and not mark["optionalhook"] and (mark["specname"] or name) not in HOOKS:
                yield name

    def _add_installed(self, part: Part) -> None:
        try:
            plugin = part.load()
            with no_exit():
                plugin = plugin() if inspect.isclass(plugin) else plugin
            self.register(plugin, part.reference, part.label)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a plugin may raise anything, SystemExit among it
            if strict():
                raise
            reason = one_line(error)
            if not isinstance(error, PluginError):
                reason = f"{part.label} cannot be made ({type(error).__name__}: {reason})"
            remedy = "" if part.remedy in reason else f". {part.removal}"
            warnings.warn(f"{reason}{remedy}", PluginWarning, stacklevel=4)
        else:
            self._labels[id(plugin)] = part.reference
            self._remedies[id(plugin)] = f"; silence it: mytorch plugins block {part.reference}"

    @property
    def plugins(self) -> list[object]:
        """Those that are told of events, in the order in which they came."""
        return [plugin for plugin in self._plugins if self._manager.is_registered(plugin)]

    def wants(self, hook: str, *, promptly: bool = False) -> bool:
        """Whether any plugin listens to this hook.

        promptly: whether one must be told before anything else happens; a plugin with `may_lag = True` need not be.
        """
        return any(not (promptly and getattr(each.plugin, "may_lag", False)) for each in self._listening(hook))

    def _listening(self, hook: str) -> list[pluggy.HookImpl]:
        """The implementations of a hook in the order of their calls, gathered once: a batch may be that short."""
        if hook not in self._listeners:
            self._listeners[hook] = getattr(self._manager.hook, hook).get_hookimpls()[::-1]
        return self._listeners[hook]

    def notify(self, hook: str, **values: object) -> bool:
        """Tell every plugin. True if one of them asked to stop the training."""
        stop = False
        for implementation in self._listening(hook):
            if not self.first and getattr(implementation.plugin, "first_process_only", False):
                continue
            try:
                if self._trace is None:
                    implementation.function(*[values[name] for name in implementation.argnames])
                else:
                    self._call_traced(implementation, hook, values)
            except StopTraining as request:
                stop = True
                self.stopped = self.stopped or self._told_stop(implementation.plugin, request)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                if id(implementation.plugin) in self._must_succeed:
                    raise
                self._report(implementation.plugin, hook, error)
        return stop

    def state_dicts(self) -> list[tuple[str, Any]]:
        """The name and the state of each plugin that has a `state_dict`, in the order in which they were registered.

        The state is None where it could not be had, which is reported as the failure of a hook is.
        """
        return [(self._labels[id(plugin)], self._state_of(plugin)) for plugin in self._with_state()]

    def _state_of(self, plugin: Any) -> Any:
        try:
            return plugin.state_dict()
        except Exception as error:
            if id(plugin) in self._must_succeed:
                raise
            self._report(plugin, "state_dict", error)
            return None

    def load_state_dicts(self, states: Iterable[tuple[str, Any]]) -> None:
        """Give each plugin its state back. Raises PluginError unless the same ones, by name and order, have states."""
        states, plugins = list(states), self._with_state()
        stored, held = [name for name, _ in states], [self._labels[id(plugin)] for plugin in plugins]
        if stored != held:
            raise PluginError(
                f"callbacks with a state must be those of the run that is resumed, {', '.join(stored) or 'none'}, "
                f"got {', '.join(held) or 'none'}; pass or install the same ones in the same order"
            )
        for plugin, (_, state) in zip(plugins, states, strict=True):
            if state is not None:
                plugin.load_state_dict(state)

    def _with_state(self) -> list[Any]:
        """The plugins that have a state, in the order in which they were registered."""
        return [one for one in self.plugins if callable(getattr(one, "state_dict", None))]

    def _told_stop(self, plugin: object, request: StopTraining) -> str:
        reason = " ".join(str(request).split())
        return f"stopped by {self._labels[id(plugin)]}{': ' if reason else ''}{reason}"

    def _call_traced(self, implementation: pluggy.HookImpl, hook: str, values: Mapping[str, object]) -> None:
        assert self._trace is not None
        raised, started = "", time.perf_counter()
        try:
            implementation.function(*[values[name] for name in implementation.argnames])
        except BaseException as error:
            raised = f", raised {type(error).__name__}: {one_line(error)}"
            raise
        finally:
            milliseconds = (time.perf_counter() - started) * 1e3
            self._trace(f"{hook} -> {self._labels[id(implementation.plugin)]}: {milliseconds:.2f} ms{raised}")

    def _report(self, plugin: object, hook: str, error: BaseException) -> None:
        """Tell of a failure, once a plugin and hook; in strict mode it ends the run."""
        name, remedy = self._labels[id(plugin)], self._remedies.get(id(plugin), "")
        failure = f"hook plugin {name!r} failed in {hook} ({type(error).__name__}: {one_line(error)})"
        if strict():
            raise PluginError(f"{failure}{remedy}") from error
        if (id(plugin), hook) not in self._failed:
            self._failed.add((id(plugin), hook))
            warnings.warn(f"{failure}; training goes on{remedy}", PluginWarning, stacklevel=3)


def _not_plain(implementation: pluggy.HookImpl) -> str | None:
    """What a function is that would not run when it is called, in words; None if it runs."""
    if implementation.wrapper or implementation.hookwrapper:
        return "a wrapper"
    if inspect.isgeneratorfunction(implementation.function):
        return "a generator"
    if inspect.iscoroutinefunction(implementation.function):
        return "a coroutine"
    return None
