"""A run that was kept in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

from torch import Tensor

from mytorch.core import Module
from mytorch.experiments.file.experiment import Experiment
from mytorch.experiments.file.load_experiment import load_experiment
from mytorch.experiments.predict.head import Predictions
from mytorch.experiments.predict.judge import judge
from mytorch.experiments.predict.prediction import predict_all
from mytorch.experiments.runs.run_folder import DATA_FILE, EXPERIMENT_FILE, SUMMARY_FILE, RunFolder
from mytorch.train.engine import say
from mytorch.train.errors import RunError
from mytorch.train.evaluation import EVALUATION_BATCH
from mytorch.train.weights import load_model

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
    _compiled: CompiledForward | None = field(default=None, init=False, repr=False, compare=False)

    def evaluate(self, source: str | Path | Any = None) -> dict[str, float]:
        """Loss and metrics on the experiment's test data, or on its training data if it has no other.

        source: a file or data set with targets to judge by instead.
        """
        return judge(self, source).results

    def predict(
        self, source: str | Path | Tensor | Any, batch_size: int = EVALUATION_BATCH, engine: str = "eager"
    ) -> Predictions:
        """What the model says of new rows, in their order: labels and probabilities, or numbers in their units.

        source: a file, whose columns are matched by name; or a tensor with the columns of `data["columns"]`, or a data
            set. They are encoded and standardised as the training's rows were, unless a data set's own `preparation`
            says that it is done.
        batch_size: rows that go through the model at once.
        engine: "compiled" takes each batch in one call of machine code, which it keeps for the next `predict`.
        Raises RunError, ArgumentError or the reader's error for rows that do not fit, with the column;
            NotFiniteError for an output that is no number.
        """
        return predict_all(self, source, batch_size, engine)

    @property
    def compiled(self) -> CompiledForward:
        """The model as machine code, the same while `net` is."""
        if self._compiled is None or self._compiled.net is not self.net:
            from mytorch.train.compiled import CompiledForward  # tracing and compiling take long to import

            self._compiled = CompiledForward(self.net, say)
        return self._compiled


def load(path: str | Path, classes: Mapping[str, type[Module]] | None = None) -> Run:
    """A run from its folder.

    classes: classes of your own by name, for layers that no installed distribution offers.
    Raises RunError for a folder that is no run or a damaged file, StateError for weights that do not fit.
    """
    folder = RunFolder.open(Path(path))
    file = folder.path / EXPERIMENT_FILE
    experiment = load_experiment(file) if file.is_file() else None
    net = load_model(folder.path, classes).eval()
    summary, data = _table(folder, SUMMARY_FILE), _table(folder, DATA_FILE)
    for key in DATA_KINDS.keys() & data.keys():
        if not isinstance(data[key], DATA_KINDS[key]):
            raise RunError(f"{folder.path / DATA_FILE}: {key} must be as a run wrote it, got {data[key]!r}")
    return Run(folder.path, net, experiment, folder.history(), summary, data)


def _table(folder: RunFolder, name: str) -> dict[str, Any]:
    content = folder.read_json(name)
    if not isinstance(content, dict):
        raise RunError(f"{folder.path / name}: must hold an object, got {type(content).__name__}")
    return content
