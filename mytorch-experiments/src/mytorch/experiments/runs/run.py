"""A run that was kept in a folder: opening it, and what can be done with it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mytorch.core import DataSet, Module, MytorchError, require_path
from mytorch.data.transforms import Parts
from mytorch.experiments.file.build import (
    build_data,
    build_metrics,
    default_dtype,
    making_weights,
    naming_file,
    threads,
    without_split_warnings,
)
from mytorch.experiments.file.experiment import Experiment
from mytorch.experiments.file.load_experiment import load_experiment
from mytorch.experiments.file.parts import build_part
from mytorch.experiments.predict.baselines import baselines
from mytorch.experiments.predict.head import Head, Predictions, head_for
from mytorch.experiments.predict.judge import Judgement, measure
from mytorch.experiments.predict.kept_data import KeptData
from mytorch.experiments.predict.new_rows import rows_of, rows_to_judge
from mytorch.experiments.predict.outputs import outputs_by
from mytorch.experiments.predict.prediction import joined, predict_batches
from mytorch.experiments.runs.run_folder import (
    DATA_FILE,
    EXPERIMENT_FILE,
    HISTORY_FILE,
    SETTLED,
    SUMMARY_FILE,
    RunFolder,
)
from mytorch.experiments.runs.weights_epoch import RunWarning, older_weights
from mytorch.plugins import shown
from mytorch.train.device import CPU, choose_device, device_of
from mytorch.train.errors import RunError
from mytorch.train.evaluation import evaluate
from mytorch.train.make_engine import say
from mytorch.train.weights import WEIGHTS_FILE, load_model

if TYPE_CHECKING:
    from mytorch.train.compiled import CompiledForward

DATA_KINDS = {"columns": (list,), "classes": (list, NoneType), "preparation": (dict, NoneType)}


@dataclass
class Run:
    """A run that was kept in a folder."""

    path: Path
    net: Module
    """The model with the weights that were kept, in evaluation mode."""
    experiment: Experiment | None
    """What was run; None if it was trained from Python."""
    history: list[dict[str, float]]
    summary: dict[str, Any]
    data: dict[str, Any]
    """Column names, class names and what new rows need."""
    reading: Mapping[str, str] = field(default_factory=dict)
    """How files of new rows are read where that differs from the training's, such as {"delimiter": ";"}."""
    _compiled: CompiledForward | None = field(default=None, init=False, repr=False, compare=False)

    def evaluate(self, source: str | Path | Any = None) -> dict[str, float]:
        """Loss and metrics on the experiment's test part; without one, on the validation or else the training part.

        source: a file or data set with targets to evaluate on instead.
        """
        return judge(self, source).results

    def predict(
        self, source: str | Path | Tensor | Any, batch_size: int | None = None, engine: str = "eager"
    ) -> Predictions:
        """The model's predictions for new rows, in their order: labels and probabilities, or numbers in their units.

        source: a file, whose columns are matched by name; a tensor with the columns of `data["columns"]`; or a data
            set. Rows are encoded and standardised like the training rows, unless a data set's own `preparation` says
            that this has been done.
        batch_size: rows that go through the model at once; by default 8192, or fewer if rows are large, such as
            images.
        engine: "compiled" computes each batch in one call of machine code, which is kept for the next `predict`.
        Raises RunError, ArgumentError or the reader's error for rows that do not fit, with the column;
            NotFiniteError for an output that is no number.
        """
        rows = self.rows_of(source)
        with self.outputs_by(engine) as outputs_of:
            parts = list(predict_batches(rows, batch_size, outputs_of, self.head, str(self.path)))
        if not parts:
            raise RunError(f"{self.path}: the rows to predict must be at least one, got none")
        return joined(parts)  # made outside of inference mode, since they are the user's

    @property
    def kept(self) -> KeptData:
        """What it keeps of the data that it was trained on."""
        return KeptData.of(str(self.path), self.data, self.reading)

    @property
    def head(self) -> Head:
        """How the outputs of its model are read, by what its loss says, its targets and its classes."""
        encoding = "as-is" if self.experiment is None else self.experiment.data.targets
        kept = self.kept
        head = head_for(self.summary.get("outputs", "scores"), encoding, kept.classes, kept.preparation)
        return replace(head, names=kept.outputs)

    @property
    def dtype(self) -> torch.dtype:
        """That of its weights, in which its model takes numbers."""
        return next((p.value.dtype for _, p in self.net.named_param() if p.value.is_floating_point()), torch.float32)

    def rows_of(self, source: str | Path | Tensor | Any) -> DataSet:
        """Rows as its model takes them, without their targets; as for `predict`."""
        try:
            return rows_of(source, self.kept, self.dtype, targets=False)
        except MytorchError as error:
            absent = isinstance(source, (str, Path)) and not Path(source).exists()
            if not absent and str(self.path) not in str(error):
                error.add_note(f"for the columns that {self.path} was trained on")
            raise

    @contextmanager
    def outputs_by(self, engine: str) -> Iterator[Callable[[Any], Any]]:
        """Within this context, the function given makes its model's outputs of a batch of inputs."""
        count = self.experiment.threads if self.experiment else None
        with threads(count), outputs_by(self.net, engine, lambda: self.compiled) as outputs_of:
            yield outputs_of

    @property
    def compiled(self) -> CompiledForward:
        """The model as machine code, the same while `net` is."""
        if self._compiled is None or self._compiled.net is not self.net:
            from mytorch.train.compiled import CompiledForward  # tracing and compiling take long to import

            self._compiled = CompiledForward(self.net, say)
        return self._compiled


def judge(run: Run, source: str | Path | Any = None, *, beside: bool = False) -> Judgement:
    """Evaluate a run on the test part of its data (without one, on validation or training), or on other rows.

    source: a file, which is read as the training data were, or a data set with targets.
    beside: whether a linear model and a constant are fitted to the training rows and evaluated on the same rows.
    Raises RunError for a run without an experiment, or for rows without targets.
    """
    experiment = run.experiment
    if experiment is None:
        raise RunError(
            f"{run.path}: must have an {EXPERIMENT_FILE} to be evaluated, got a run trained from Python; "
            "use mytorch.train.evaluate(run.net, loss, data, metrics)"
        )
    with threads(experiment.threads), default_dtype(experiment.dtype):
        encoded = getattr(torch, experiment.dtype)
        targets = experiment.data.targets
        given = None if source is None else rows_to_judge(source, run.kept, run.dtype, targets, encoded)
        with naming_file(experiment):  # which says nothing of rows that are given
            with without_split_warnings():  # they were given when it was trained
                parts = build_data(experiment) if given is None or beside else None
            loss, metrics = build_part("loss", "loss", experiment.loss), build_metrics(experiment)
            if given is None:
                assert parts is not None
                given = _part_to_judge(parts)
            data, what = given
            loss.to(device_of(run.net))
            judgement = measure(run.net, loss, metrics, data, run.head, what, run.kept.target)
            if beside and parts is not None:
                loss.to(CPU)
                constant = "mean" if run.head.kind == "numbers" else "majority class"
                for name, net in baselines(run.net, loss, parts.training, constant).items():
                    judgement.baselines[name] = evaluate(net, loss, data, metrics)
            return judgement


def _part_to_judge(parts: Parts) -> tuple[Any, str]:
    """The test part of the data, or what there is in its place, and its name."""
    judged = {"test data": parts.test, "validation data": parts.validation, "training data": parts.training}
    return next((part, what) for what, part in judged.items() if part is not None)


def load(
    path: str | Path,
    classes: Mapping[str, type[Module]] | None = None,
    device: str | torch.device = "cpu",
    reading: Mapping[str, str] | None = None,
) -> Run:
    """Load a run from its folder.

    classes: classes of your own by name, for layers that are not part of an installed distribution.
    device: where its model is moved, such as "cuda", or "auto" for the accelerator, if there is one.
    reading: options of a Table for reading files of new rows whose format differs from that of the training data, such
        as {"delimiter": ";", "decimal": ","}.
    Raises RunError for a folder that is not a run or a damaged file, StateError for weights that do not fit.
    """
    folder = RunFolder.open(require_path("load", "path", path))
    file = folder.path / EXPERIMENT_FILE
    experiment = load_experiment(file) if file.is_file() else None
    with making_weights(experiment):
        net = load_model(folder.path, classes).eval().to(choose_device("load", device))
    summary, data = _table(folder, SUMMARY_FILE), _table(folder, DATA_FILE)
    for key in DATA_KINDS.keys() & data.keys():
        if not isinstance(data[key], DATA_KINDS[key]):
            raise RunError(f"{folder.path / DATA_FILE}: {key} must be as a run wrote it, got {shown(data[key])}")
    columns = data.get("columns", [])
    if not all(isinstance(name, str) for name in columns) or len(set(columns)) < len(columns):
        raise RunError(f"{folder.path / DATA_FILE}: columns must be different names, got {shown(columns)}")
    history = folder.history()
    folder.require_unchanged(summary, *SETTLED, HISTORY_FILE, WEIGHTS_FILE)
    if (old := older_weights(folder.path, history)) is not None:
        warnings.warn(f"{folder.path}: {old}", RunWarning, stacklevel=2)
    return Run(folder.path, net, experiment, history, summary, data, dict(reading or {}))


def _table(folder: RunFolder, name: str) -> dict[str, Any]:
    content = folder.read_json(name)
    if not isinstance(content, dict):
        raise RunError(f"{folder.path / name}: must hold an object, got {type(content).__name__}")
    return content
