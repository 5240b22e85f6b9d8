"""A search for better settings of an experiment, by Optuna."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mytorch.core import ArgumentError, MytorchError, require_path
from mytorch.experiments.errors import ExperimentError, UnknownKeyError
from mytorch.experiments.file.build import build, without_split_warnings
from mytorch.experiments.file.experiment import Experiment
from mytorch.experiments.file.flat import flat
from mytorch.experiments.file.load_experiment import load_experiment, to_toml
from mytorch.experiments.runs.run_folder import SUMMARY_FILE, RunFolder
from mytorch.experiments.runs.runs import last_record
from mytorch.experiments.search.space import Choice, Space
from mytorch.experiments.search.unseen import Unseen
from mytorch.experiments.search.watch import Watch
from mytorch.experiments.training.train_experiment import require_same_experiment, start, train_experiment
from mytorch.plugins import Hooks, MissingRequirementError, make_folder, one_line, shown, write_file
from mytorch.train.errors import RunError
from mytorch.train.parallel import Processes, alone, join
from mytorch.train.weights import read_json

SEARCH_FILE, TRIALS_FILE, BEST_FILE = "search.json", "trials.log", "best.toml"
LOCK_FILE, TURN_FILE = "search.lock", "turn.lock"
HOPELESS = 3
"""A search whose first so many trials all fail is ended: something is wrong with all of them."""
_AIM = "trials of the search"
"""What processes that torchrun starts again remember: how many trials there will be."""
CUT_SHORT = ("interrupted", "its process ended")
"""Why trials failed whose settings may be tried again."""
Over = Mapping[tuple[str, ...], Space]
"""What is tried, by the dotted keys that get the same value."""


@dataclass(frozen=True)
class Trial:
    """One run of a search.

    settings: what was tried, by dotted key.
    value: the number to optimise; None for a run that failed.
    state: "complete", "pruned" (ended early) or "failed", with the reason.
    run: the folder of the run, within that of the search; None for a run that never began.
    """

    number: int
    settings: dict[str, Any]
    value: float | None
    state: str
    reason: str | None = None
    run: str | None = None


@dataclass(frozen=True)
class Search:
    """The result of a search.

    path: the folder of the search, which contains its runs and the best experiment, `best.toml`.
    monitor: the number of the history that is optimised, and whether higher is better.
    combinations: how many combinations of settings there are; None where a setting is any number in a range.
    """

    path: Path
    monitor: str
    higher_is_better: bool
    trials: list[Trial] = field(default_factory=list)
    combinations: int | None = None

    @property
    def exhausted(self) -> bool:
        """Whether every combination of settings was tried, after which a search ends."""
        tried = {json.dumps(trial.settings) for trial in self.trials if trial.reason not in CUT_SHORT}
        return self.combinations is not None and len(tried) >= self.combinations

    @property
    def ranked(self) -> list[Trial]:
        """The trials that were trained to the end, the best first."""
        complete = [trial for trial in self.trials if trial.state == "complete" and trial.value is not None]
        return sorted(complete, key=lambda one: one.value or 0.0, reverse=self.higher_is_better)

    @property
    def best(self) -> Trial | None:
        """The best trial; None if none was trained to the end."""
        return next(iter(self.ranked), None)


def search_experiment(
    source: str | Path | Mapping[str, Any] | Experiment,
    over: Over,
    overrides: Mapping[str, Any] | None = None,
    *,
    trials: int = 50,
    monitor: str = "validation_loss",
    output: str | Path = "runs",
    pruning: bool = True,
    tell: Callable[[Search, Trial], object] | None = None,
) -> Search:
    """Train an experiment `trials` more times with settings that Optuna chooses, and write the best one to a file.

    The first trial is the experiment itself, if its settings are among those that are tried. Where each setting is one
    of several values or a whole number, no combination is tried twice, and a search ends when all were tried. The runs
    are kept in the folder NAME-search in `output`, where a later search of the same experiment over the same settings
    continues.
    over: the values to try, by the dotted keys that get the same value, as `parse_over` returns them.
    overrides: values by dotted key, as for `train_experiment`.
    monitor: the number of the history to optimise, measured with the weights that a run keeps; a number of the test
        part is used only if it is named here.
    pruning: after a quarter of its epochs, end a run early if its number is worse than the median of earlier runs at
        the same epoch.
    tell: is called with the search and each trial when the trial has ended.
    Several processes that torchrun has started share the trials; each trains one at a time, alone. All of them must
    see the folder of the search.
    Raises UnknownKeyError for keys and ExperimentError for settings that do not fit, for another search in the folder,
        and if no trial is trained to the end; ArgumentError if the experiment does not measure `monitor`;
        MissingRequirementError without Optuna; RankError where another of the processes has ended, or searches for
        something else; KeyboardInterrupt, after which the search can be gone on with.
    """
    optuna = _optuna()
    if type(trials) is not int or trials < 1:
        raise ArgumentError(f"search: trials must be a whole number of at least 1, got {shown(trials)}")
    _require_over(over)
    folder = require_path("search_experiment", "output", output)
    with ExitStack() as within:
        processes = within.enter_context(join())
        experiment = source if isinstance(source, Experiment) else load_experiment(source, overrides)
        _require_alike(processes, experiment, over, trials, monitor, pruning)
        within.enter_context(alone())
        higher = _higher_is_better(experiment, monitor)
        _require_known(experiment, over)
        found = Search(folder / f"{experiment.name}-search", monitor, higher, combinations=_count(over))
        aim = _of_first(processes, lambda: _begin(within, optuna, found, experiment, over, trials, processes))
        _require_seen(found, processes)
        study = _study(optuna, found, experiment, pruning)
        found.trials.extend(_ended(study, over))
        with _saying_what_is_kept(found), processes.apart() if processes is not None else nullcontext():
            while (asked := _asked(optuna, study, found, experiment, over, aim)) is not None:
                _train_one(optuna, study, asked, found, experiment, over, pruning)
                trial = _noted(study, found, experiment, over, asked.number)
                _require_hope(found)
                if tell is not None:
                    tell(found, trial)
                if processes is not None:
                    processes.require_all()
        found.trials[:] = _ended(study, over)
        _require_hope(found)
    return found


def _count(over: Over) -> int | None:
    """How many combinations of settings there are; None if there is no end of them."""
    counts = [space.count for space in over.values()]
    return None if None in counts else prod(count for count in counts if count is not None)


def _optuna() -> Any:
    try:
        optuna = importlib.import_module("optuna")
    except ImportError as error:
        raise MissingRequirementError(
            "search: optuna is not installed. Install: python -m pip install './mytorch-experiments[search]'"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _require_over(over: Any) -> None:
    """Raise ArgumentError unless it is what `parse_over` reads."""
    told = over.items() if isinstance(over, Mapping) else [(None, None)]
    for keys, space in told:
        named = isinstance(keys, tuple) and keys and all(isinstance(key, str) for key in keys)
        if not named or not isinstance(space, Space):
            raise ArgumentError(
                f"search: over must have a Range or Choice for each tuple of keys, got {shown(over)}; "
                'write dict([parse_over("optimizer.lr=log:1e-4..1e-1")])'
            )


def _require_known(experiment: Experiment, over: Over) -> None:
    """Raise UnknownKeyError for a key that the experiment does not take; values that do not fit are left to trials."""
    first = {key: space.at(0.0) for keys, space in over.items() for key in keys}
    try:
        with without_split_warnings():  # the experiment was built before, by itself
            build(_with(experiment, first))
    except UnknownKeyError as error:
        raise UnknownKeyError(f"--over: every key must be one that the experiment may have; {error}") from error
    except MytorchError:
        return


def _higher_is_better(experiment: Experiment, monitor: str) -> bool:
    """Whether the number is better high. The experiment is built once, so that what is wrong with it is said first."""
    watch = Watch(monitor, lambda *_: False)
    watch.training_started(start(build(experiment), Hooks()))
    return watch.monitor.higher_is_better


def _with(experiment: Experiment, settings: Mapping[str, Any]) -> Experiment:
    return load_experiment(experiment.model_dump(exclude_none=True, by_alias=True), settings)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Within this context, no other process searches in a folder. Raises RunError if one does."""
    try:
        with FileLock(path / LOCK_FILE).acquire(timeout=1):
            yield
    except Timeout:
        raise RunError(f"{path}: must be searched by one process at a time, got another one at work") from None


@contextmanager
def _saying_what_is_kept(found: Search) -> Iterator[None]:
    """Within this context, what ends a search early is told how far the search is and how it goes on."""
    try:
        yield
    except KeyboardInterrupt as error:
        ended = len(found.trials)
        error.add_note(
            f"The search keeps {ended} {'trial' if ended == 1 else 'trials'} that ended in {found.path}; "
            "run the same command again to continue it"
        )
        raise


def _require_same(found: Search, experiment: Experiment, over: Over) -> None:
    """Write down what is searched for, or raise ExperimentError if the folder holds another search."""
    spaces = {",".join(keys): repr(space) for keys, space in over.items()}
    said = {"experiment": to_toml(experiment), "over": spaces, "monitor": found.monitor}
    file = found.path / SEARCH_FILE
    if not file.is_file():
        write_file(file, json.dumps(said, indent=2) + "\n")
        return
    stored = read_json(file)
    if changed := [name for name, value in said.items() if not isinstance(stored, dict) or stored.get(name) != value]:
        raise ExperimentError(
            f"{file}: a search must go on with what it began with, got another {' and '.join(changed)}; "
            "search in another folder with output=FOLDER (--output FOLDER), or remove this one"
        )


def _require_alike(processes: Processes | None, experiment: Experiment, over: Over, *options: object) -> None:
    """Raise RankError, on every process, where one searches for something else than the first."""
    if processes is None:
        return
    require_same_experiment(processes, experiment)
    said = {f"--over {','.join(keys)}": repr(space) for keys, space in over.items()}
    processes.require_same(said | dict(zip(("trials", "monitor", "pruning"), options, strict=True)))


def _of_first(processes: Processes | None, make: Callable[[], int]) -> int:
    return make() if processes is None else processes.from_first(make)


def _begin(
    within: ExitStack,
    optuna: Any,
    found: Search,
    experiment: Experiment,
    over: Over,
    trials: int,
    processes: Processes | None,
) -> int:
    """Begin a search in its folder, or go on with it; returns how many trials there will be.

    Processes that torchrun started again go on towards the number that they had before.
    """
    make_folder(found.path)
    within.enter_context(_locked(found.path))
    _require_same(found, experiment, over)
    study = _study(optuna, found, experiment, pruning=False)
    states, known = optuna.trial.TrialState, study.get_trials(deepcopy=False)
    for trial in known:
        if trial.state == states.RUNNING:  # a process that was killed has left it
            study.tell(trial.number, state=states.FAIL)
    if not known and (standing := _standing(experiment, over)) is not None:
        study.enqueue_trial(standing)
    before = None if processes is None else processes.recall(_AIM)
    aim = int(before) if before is not None else trials + sum(trial.state != states.WAITING for trial in known)
    if processes is not None:
        processes.remember(_AIM, str(aim))
    return aim


def _require_seen(found: Search, processes: Processes | None) -> None:
    """Raise ExperimentError, on every process, where one does not see the folder."""
    seen = [True] if processes is None else processes.gather((found.path / SEARCH_FILE).is_file())
    if not all(seen):
        raise ExperimentError(
            f"search: {found.path} must be a folder that all processes see, got none on rank {seen.index(False)}; "
            "give one on a disk that all machines share with output=FOLDER (--output FOLDER)"
        )


def _study(optuna: Any, found: Search, experiment: Experiment, pruning: bool) -> Any:
    """Optuna's study in the folder."""
    journal = optuna.storages.journal
    return optuna.create_study(
        storage=optuna.storages.JournalStorage(journal.JournalFileBackend(str(found.path / TRIALS_FILE))),
        study_name="search",
        direction="maximize" if found.higher_is_better else "minimize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_warmup_steps=experiment.epochs // 4)
        if pruning
        else optuna.pruners.NopPruner(),
    )


def _ended(study: Any, over: Over) -> list[Trial]:
    """The trials that ended, in any process."""
    return [_told(over, trial) for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]


def _asked(optuna: Any, study: Any, found: Search, experiment: Experiment, over: Over, aim: int) -> Any:
    """The next trial, which no other process gets; None if there are enough.

    What is drawn for a trial depends on its number and on those that ended, not on the process.
    """
    with FileLock(found.path / TURN_FILE):
        waiting = optuna.trial.TrialState.WAITING
        number = sum(trial.state != waiting for trial in study.get_trials(deepcopy=False))
        if number >= aim:
            return None
        seed = (experiment.seed + number) % 2**32
        study.sampler = optuna.samplers.TPESampler(seed=seed)
        spaces = {",".join(keys): space for keys, space in over.items()}
        distributions = {name: _distribution(optuna, space) for name, space in spaces.items()}
        if found.combinations is not None:
            seen = _seen(optuna, study, spaces)
            if len(seen) >= found.combinations:
                return None
            study.sampler = Unseen(study.sampler, spaces, distributions, seen, seed)
        return study.ask(distributions)


def _seen(optuna: Any, study: Any, spaces: Mapping[str, Space]) -> set[tuple[Any, ...]]:
    """The combinations that were tried or are being tried; those of trials that were cut short may come again."""
    states, trials = optuna.trial.TrialState, study.get_trials(deepcopy=False)
    return {
        tuple(trial.params[name] for name in spaces)
        for trial in trials
        if trial.params.keys() >= spaces.keys()
        and (trial.state != states.FAIL or trial.user_attrs.get("reason", CUT_SHORT[1]) not in CUT_SHORT)
    }


def _noted(study: Any, found: Search, experiment: Experiment, over: Over, number: int) -> Trial:
    """A trial that has ended, among those that ended before; the best is written as an experiment."""
    with FileLock(found.path / TURN_FILE):
        found.trials[:] = _ended(study, over)
        (trial,) = (trial for trial in found.trials if trial.number == number)
        if found.best is trial:
            write_file(found.path / BEST_FILE, to_toml(_with(experiment, trial.settings)))
        return trial


def _standing(experiment: Experiment, over: Over) -> dict[str, Any] | None:
    """The settings of the experiment as it is, as Optuna keeps them; None if something else is tried."""
    known = dict(flat(experiment.model_dump(exclude_none=True, by_alias=True)))
    chosen = {}
    for keys, space in over.items():
        values = [known.get(key) for key in keys]
        if values[0] not in space or any(value != values[0] for value in values):
            return None
        chosen[",".join(keys)] = space.name(values[0]) if isinstance(space, Choice) else values[0]
    return chosen


def _distribution(optuna: Any, space: Space) -> Any:
    kinds = optuna.distributions
    if isinstance(space, Choice):
        return kinds.CategoricalDistribution([space.name(value) for value in space.values])
    return (kinds.IntDistribution if space.whole else kinds.FloatDistribution)(space.low, space.high, log=space.log)


def _settings(over: Over, params: Mapping[str, Any]) -> dict[str, Any]:
    """What a trial tries, by dotted key."""
    settings: dict[str, Any] = {}
    for keys, space in over.items():
        if (name := ",".join(keys)) in params:
            value = space.value(params[name]) if isinstance(space, Choice) else params[name]
            settings |= dict.fromkeys(keys, value)
    return settings


def _train_one(
    optuna: Any, study: Any, trial: Any, found: Search, experiment: Experiment, over: Over, pruning: bool
) -> None:
    """Train with the settings of a trial, and keep in the study what became of it."""
    states = optuna.trial.TrialState

    def hopeless(epoch: int, value: float) -> bool:
        trial.report(value, epoch)
        return pruning and bool(trial.should_prune())

    watch = Watch(found.monitor, hopeless)
    try:
        chosen = _with(experiment, _settings(over, trial.params))
        run = train_experiment(chosen, output=found.path, callbacks=[watch], quiet=True)
        folder = RunFolder.open(run.path)
        value = last_record(folder, folder.read_json(SUMMARY_FILE))[found.monitor]
    except MytorchError as error:
        trial.set_user_attr("reason", one_line(error)[:500])
        study.tell(trial, state=states.FAIL)
        return
    except BaseException:
        trial.set_user_attr("reason", "interrupted")
        study.tell(trial, state=states.FAIL)
        raise
    trial.set_user_attr("run", run.path.name)
    trial.set_user_attr("value", value)
    if watch.pruned:
        study.tell(trial, state=states.PRUNED)
    else:
        study.tell(trial, value)


def _told(over: Over, trial: Any) -> Trial:
    state = {"COMPLETE": "complete", "PRUNED": "pruned"}.get(trial.state.name, "failed")
    kept = trial.user_attrs
    reason = kept.get("reason", "its process ended") if state == "failed" else None
    return Trial(trial.number, _settings(over, trial.params), kept.get("value"), state, reason, kept.get("run"))


def _require_hope(found: Search) -> None:
    """Raise ExperimentError if every trial so far failed, and there were some, or there will be no others."""
    if (len(found.trials) >= HOPELESS or found.exhausted) and all(trial.state == "failed" for trial in found.trials):
        last = found.trials[-1]
        settings = ", ".join(f"{key} = {value!r}" for key, value in last.settings.items())
        raise ExperimentError(
            f"search: a trial must be trained to the end, got {len(found.trials)} that failed; the last, with "
            f"{settings}: {last.reason}"
        )
