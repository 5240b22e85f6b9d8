"""One training that a page looks at and steers."""

from __future__ import annotations

import csv
import math
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import torch

from mytorch.core import fetch, random_state
from mytorch.experiments.figures.plane import Plane, obstacle
from mytorch.experiments.file.build import Built, build, threads
from mytorch.experiments.file.experiment import Experiment
from mytorch.experiments.file.load_experiment import load_experiment, to_toml
from mytorch.playground.boundary import boundary
from mytorch.playground.curve import Curve
from mytorch.playground.message import encode
from mytorch.plugins import Hooks, catalogue, cut, hookimpl, one_line, parse_toml
from mytorch.train.device import move
from mytorch.train.drawing import MAP, Drawing
from mytorch.train.engine import Eager
from mytorch.train.evaluation import judging, predict
from mytorch.train.explain.explain import explain_batch
from mytorch.train.setup import Setup
from mytorch.train.training import Training

FRAMES, FREE = 25.0, 12.5
"""At most so many pictures a second, and where the training goes as fast as it can, which they hold up a little."""
SHARE = 0.1
"""Of its time, such a training spends at most so much on pictures."""
EPOCHS = 10_000
"""An experiment without a schedule is trained for at least so many."""
Command = Mapping[str, Any]


class Ended(BaseException):
    """Raised within a training that gives way to another one, or to the end of the session."""


class Session:
    """Trains an experiment as `mytorch train` does, and does what a page asks for between two of its steps.

    send: is given each message to the page.
    commands: what the page asks for, as dicts with "do"; None ends the session.
    """

    def __init__(self, send: Callable[[bytes], object]) -> None:
        self.commands: Queue[Command | None] = Queue()
        self._send = send
        self._folder = tempfile.TemporaryDirectory(prefix="mytorch-playground-")
        self._tables: dict[str, Path] = {}
        """Where the tables lie that the page has given, by the names of their files."""
        self._waiting: tuple[str, Command] | None = None
        """A table that is missing, and the command that goes on when the page gives it."""
        self._to_go: float = 0
        self._until_epoch = False
        self._every = 0
        self._seen, self._drawn, self._took = True, 0.0, 0.0
        self._step = self._at_frame = 0
        self._changed: dict[str, Any] = {}
        self._batch: tuple[Setup, Any, Any] | None = None
        self._built: Built | None = None
        self._failed: bytes | None = None
        self._curve = Curve()

    def run(self) -> None:
        """Serve the page until its commands end."""
        try:
            with self._folder:
                while True:
                    try:
                        if self._built is None or self._over:
                            self._wait()
                        else:
                            self._train()
                    except _Replaced:
                        continue
        except Ended:
            return

    def _load(self, experiment: Experiment) -> None:
        """Make ready to train an experiment from the start. Raises MytorchError, and the one before goes on.

        Without a schedule, which is planned for its epochs, it goes on for as long as the page wants.
        """
        before = random_state()
        try:
            built = build(experiment)
            _try(built)
            plane, drawing = drawn(built)
            training = self._training_of(built)
        except BaseException:
            before.restore()  # for the training that goes on
            raise
        self._built, self._training, self._over, self._waiting = built, training, False, None
        self._plane, self._drawing = plane, drawing
        self._step, self._at_frame = 0, -1  # no picture of it is drawn yet
        self._curve, self._changed, self._batch = Curve(), {}, None
        self._tell()
        raise _Replaced

    def _training_of(self, built: Built) -> Training:
        experiment = built.experiment
        return Training(
            built.setup,
            epochs=experiment.epochs if experiment.schedule is not None else max(experiment.epochs, EPOCHS),
            validation=built.parts.validation,
            test=built.parts.test,
            metrics=built.metrics,
            evaluate_every=experiment.evaluate_every,
            hooks=Hooks([*built.callbacks, _Told(self)]),
            engine=Eager(before=self._before),
        )

    def _train(self) -> None:
        """Train until it ends or is replaced."""
        assert self._built is not None
        try:
            with threads(self._built.experiment.threads):
                self._training.run()
            text = None
        except Exception as error:  # of a plugin's layer, too: the page goes on with another experiment
            text = f"{type(error).__name__}: {one_line(error)}"
        self._over, self._to_go, self._batch = True, 0, None
        self._draw()
        self._send(encode("ended", text=text, epoch=self._training.complete_epochs))

    def _wait(self) -> None:
        """Do what the page asks for while nothing is trained."""
        command = self.commands.get()
        self._do(command)

    def _before(self, setup: Setup, inputs: Any, targets: Any) -> None:
        """Between two steps: draw where it is time, and do what the page asks for until the next step is due."""
        self._batch = setup, inputs, targets
        waits = self._every and self._step - self._at_frame >= self._every
        if self._to_go <= 0 or waits or self._due():
            self._draw_when_seen(bool(waits))
        while True:
            command = self._next(self._to_go <= 0)
            if command is not _NOTHING:
                self._do(command)
            elif self._to_go > 0:
                break
        self._to_go -= 1
        self._step += 1

    def _due(self) -> bool:
        apart = 1 / FRAMES if self._every else max(1 / FREE, self._took * (1 / SHARE - 1))
        return self._seen and time.monotonic() - self._drawn >= apart

    def _draw_when_seen(self, waits: bool) -> None:
        """Draw. Where the pace is that of the pictures, wait for the page to have seen the last one, and a while."""
        while waits and self._to_go > 0 and not self._due():
            command = self._next(True, 1 / FRAMES)
            if command is not _NOTHING:
                self._do(command)
        self._draw()

    def _next(self, wait: bool, seconds: float | None = None) -> Any:
        try:
            return self.commands.get(wait, seconds)
        except Empty:
            return _NOTHING

    def _do(self, command: Command | None) -> None:
        """Do what the page asks for. What cannot be done is told, and changes nothing."""
        if command is None:
            raise Ended
        try:
            name = command.get("do")
            action = _ACTIONS.get(name) if isinstance(name, str) else None
            if action is None:
                raise ValueError(f"unknown command {name!r}")
            action(self, command)
        except Exception as error:  # whatever a page asks for, the session goes on
            text = one_line(error).replace(f"{self._folder.name}/", "")  # a table is known by its name
            told = encode("error", text=text, command=str(command.get("do")))
            self._failed = told if self._built is None else None
            self._send(told)

    def _play(self, _command: Command) -> None:
        self._to_go, self._until_epoch = math.inf, False
        self._pace()

    def _pause(self, _command: Command) -> None:
        self._to_go = 0
        self._send(encode("pace", playing=False))
        self._draw()

    def _batches(self, command: Command) -> None:
        self._to_go, self._until_epoch = max(1, int(command.get("count", 1))), False
        self._pace()

    def _epoch(self, _command: Command) -> None:
        self._to_go, self._until_epoch = math.inf, True
        self._pace()

    def _pace(self) -> None:
        self._loaded()
        if self._over:
            self._to_go = 0
            raise ValueError("the training has ended; reset it, or give it more epochs")
        self._send(encode("pace", playing=True))

    def _speed(self, command: Command) -> None:
        self._every = max(0, int(command["every"]))

    def _saw(self, _command: Command) -> None:
        self._seen = True
        if self._to_go <= 0 and self._at_frame != self._step:  # it is behind, and nothing else will draw
            self._draw()

    def _reset(self, _command: Command) -> None:
        self._load(self._loaded().experiment)

    def _loaded(self) -> Built:
        if self._built is None:
            raise ValueError("no experiment is loaded yet")
        return self._built

    def _replace(self, command: Command) -> None:
        """Another experiment: by its name or file, as a dict, or as the text of a TOML file.

        "table": the table that such a file names, where another session was given it.
        """
        if "name" in command:
            source: Any = str(command["name"])
        elif "content" in command:
            source = command["content"]
        else:
            if table := command.get("table"):
                path = self._keep(table)
                self._tables[path.name] = path
            source = _parsed(str(command["toml"]))
            self._find_tables(source, command)
        overrides = command.get("overrides") or {}
        playing = self._to_go == math.inf
        self._to_go = math.inf if command.get("play", playing) else 0
        self._load(load_experiment(source, {str(key): value for key, value in overrides.items()}))

    def _table(self, command: Command) -> None:
        """Train on a table of the user, whose last column is predicted, unless an experiment waits for this table."""
        if self._waiting is not None and self._waiting[0] == Path(str(command["file"])).name:
            _, waits = self._waiting
            self._replace({**waits, "table": command})
            return
        experiment = self._loaded().experiment
        path = self._keep(command)
        header = next(csv.reader(str(command["text"]).splitlines()), [""])
        content = experiment.model_dump(exclude_none=True, by_alias=True)
        _fit_to(content["model"], len(header) - 1)
        content["data"] = {
            "train": {"type": "Table", "path": str(path), "target": header[-1]},
            "split": {"validation": 0.3, "seed": 0},
            "standardize": True,
            "targets": experiment.data.targets,
        }
        try:
            self._load(load_experiment(content))
        except _Replaced:
            self._tables[path.name] = path
            raise

    def _keep(self, table: Command) -> Path:
        """Write a table into a folder of its own: one of the same name may be trained on."""
        folder = Path(tempfile.mkdtemp(dir=self._folder.name))
        path = folder / (Path(str(table["file"])).name or "table.csv")
        path.write_text(str(table["text"]), encoding="utf-8")
        return path

    def _find_tables(self, content: dict[str, Any], command: Command) -> None:
        """Have an experiment read the tables that the page has given, which its file calls by their names alone."""
        for spec in _data_of(content):
            path = spec.get("path")
            if not isinstance(path, str) or Path(path).name != path:
                continue
            if path in self._tables:
                spec["path"] = str(self._tables[path])
            elif spec.get("type") == "Table" and not Path(path).is_file():
                self._waiting = path, command
                raise ValueError(
                    f"data: the table must be a file that is there, got {cut(path, 80)}; open it here, too"
                )

    def _portable(self, experiment: Experiment) -> tuple[str, str | None]:
        """An experiment as a file, and the name of the table that must lie beside it if the page has given one."""
        content, beside = experiment.model_dump(exclude_none=True, by_alias=True), None
        for spec in _data_of(content):
            if Path(str(spec.get("path"))).is_relative_to(self._folder.name):
                spec["path"] = beside = Path(spec["path"]).name
        return to_toml(Experiment.model_validate(content)), beside

    def _set(self, command: Command) -> None:
        """Change settings of the optimizer from the next step on, such as the learning rate."""
        setup = self._loaded().setup
        groups = setup.optimizer.param_groups
        if setup.schedule is not None and "lr" in command["values"]:
            raise ValueError("the schedule sets the learning rate; change the schedule in the file")
        for name, value in dict(command["values"]).items():
            if name not in groups[0] or name == "params":
                raise ValueError(f"the optimizer has no setting {name!r}")
            for group in groups:
                group[name] = value
            self._changed[name] = value
        self._tell()
        self._at_frame = -1  # what was drawn has the settings of before
        self._draw()

    def _explain(self, _command: Command) -> None:
        """Tell of the step that comes next, layer by layer."""
        if self._batch is None:
            raise ValueError("the training has ended, so that no step comes next; reset it, or give it more epochs")
        self._to_go = 0
        explanation = explain_batch(*self._batch)
        steps = [asdict(step) for step in explanation.steps]
        self._send(encode("explanation", loss=explanation.loss, step=self._step, steps=steps))

    def _hello(self, _command: Command) -> None:
        """A page that has come, or come back, is told everything."""
        self._seen = True
        if self._built is not None:
            self._tell()
            self._draw()
        elif self._failed is not None:  # before there was a page to be told
            self._send(self._failed)

    def _tell(self) -> None:
        """What is trained."""
        assert self._built is not None
        experiment, setup, plane = self._built.experiment, self._built.setup, self._plane
        toml, table = self._portable(experiment)
        tensors = {}
        if plane is not None:
            tensors = {"places": plane.points.places.float(), "classes": plane.points.classes.to(torch.uint8)}
            corners = {"low": plane.low.tolist(), "high": plane.high.tolist()}
        self._send(
            encode(
                "experiment",
                tensors,
                name=experiment.name,
                installed=[part.name for part in catalogue().of_kind("experiment")],
                content=experiment.model_dump(exclude_none=True, by_alias=True),
                toml=toml,
                table=table,
                **self._drawing.told(),
                plane=None if plane is None else {**corners, "names": list(plane.names), "labels": plane.classes},
                batches=len(setup.batches),
                parameters=sum(p.value.numel() for p in setup.net.param()),
                history=self._training.history,
                curve=self._curve.points,
                playing=self._to_go > 0 and not self._over,
                changed=self._changed,
            )
        )

    def _draw(self) -> None:
        """A picture of the network as it is."""
        if self._built is None or not self._seen:
            return
        began = time.monotonic()
        tensors = self._drawing.tensors()
        if self._plane is not None:
            tensors |= boundary(self._built.setup.net, self._plane)
        self._seen, self._at_frame = False, self._step
        self._send(
            encode(
                "frame",
                tensors,
                step=self._step,
                epoch=self._training.epoch,
                batch=self._step % max(1, len(self._built.setup.batches)),
                loss=self._curve.take(),
                lr=float(self._built.setup.optimizer.param_groups[0].get("lr", math.nan)),
                playing=self._to_go > 0 and not self._over,
            )
        )
        self._drawn = time.monotonic()
        self._took = self._drawn - began

    def on_batch(self, loss: float) -> None:
        """A step was taken."""
        self._curve.add(self._step, loss)

    def on_epoch(self, record: Mapping[str, float]) -> None:
        """An epoch has ended."""
        if self._until_epoch:
            self._to_go = 0
        self._send(encode("epoch", record=record))


def _data_of(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parts of an experiment's data."""
    data = content.get("data")
    parts = [data.get(name) for name in ("train", "validation", "test")] if isinstance(data, dict) else []
    return [spec for spec in parts if isinstance(spec, dict)]


def _fit_to(model: dict[str, Any], inputs: int) -> None:
    """Give a Sequential of Linear layers as many inputs as a table has, and an output for each class."""
    linear = [layer for layer in model.get("layers", ()) if layer.get("type") == "Linear"]
    if linear:
        linear[0]["in_features"], linear[-1]["out_features"] = inputs, "classes"


def _try(built: Built) -> None:
    """Compute the loss of two rows, so that what does not fit together is told before a training gives way to it."""
    setup, data = built.setup, built.parts.training
    with torch.inference_mode(), random_state(setup.net, setup.loss), judging(setup.net):
        inputs, targets = move(fetch(data, torch.arange(min(2, len(data)))), setup.device)
        setup.loss.forward(predict(setup.net, inputs), targets)


def drawn(built: Built) -> tuple[Plane | None, Drawing]:
    """The plane of the inputs, if they have one, and the drawing of the network: over the plane, or of one row."""
    net, data = built.setup.net, built.parts.training
    if obstacle(net, data) is None:
        plane = Plane.of(data)
        return plane, Drawing(net, plane.inputs(MAP), plane.names)
    with random_state():
        inputs, _ = fetch(data, torch.arange(1))
    return None, Drawing(net, inputs)


def _parsed(text: str) -> dict[str, Any]:
    try:
        return parse_toml(text)
    except ValueError as error:
        raise ValueError(f"an experiment must be TOML, got {one_line(error)}") from None


class _Replaced(BaseException):
    """Raised within a training that gives way to another one."""


class _Told:
    """Tells a session what its training does."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @hookimpl
    def batch_ended(self, loss: Any) -> None:
        self._session.on_batch(float(loss))

    @hookimpl
    def epoch_ended(self, record: Mapping[str, float]) -> None:
        self._session.on_epoch(record)


_NOTHING: Any = object()
_ACTIONS: dict[str, Callable[[Session, Command], None]] = {
    "play": Session._play,
    "pause": Session._pause,
    "batch": Session._batches,
    "epoch": Session._epoch,
    "speed": Session._speed,
    "seen": Session._saw,
    "reset": Session._reset,
    "experiment": Session._replace,
    "table": Session._table,
    "set": Session._set,
    "explain": Session._explain,
    "hello": Session._hello,
}
