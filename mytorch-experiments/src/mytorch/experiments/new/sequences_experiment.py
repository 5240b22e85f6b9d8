"""Writing an experiment for a user's table of sequences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mytorch.data import Sequences
from mytorch.data.table.open_table import require_file, table_suffix
from mytorch.experiments.errors import ExperimentError
from mytorch.experiments.new.experiment_text import comment, from_folder, missing_told, named, toml_value
from mytorch.experiments.new.new_file import new_file, write_new_file
from mytorch.experiments.new.table_look import Choices, Look, encode_of, look_at
from mytorch.experiments.new.table_recipe import FEW_TO_TEST, FOLDS, HELD_BACK

FEWEST = 10
"""With fewer sequences there is nothing to hold back for validation and test."""
STEPS = 800
"""Training steps, about so many. Of 600 sums (tests/test_new_sequences.py) and seeds 100 to 102, the mean R2 was 0.967
after 400 steps and 0.987 after 800."""


@dataclass(frozen=True)
class SequencesLook:
    """What was found: of the table, whose features are those without id and time, and of its sequences.

    count: how many there are.  shortest, longest: numbers of steps.  width: the inputs of a step.
    """

    table: Look
    id: str
    time: str
    options: Mapping[str, Any]
    count: int
    shortest: int
    longest: int
    width: int
    classes: tuple[str, ...] | None

    @property
    def folds(self) -> int:
        """How many folds judge the experiment, 0 where a test part does."""
        return FOLDS if self.count < FEW_TO_TEST else 0

    @property
    def batch_size(self) -> int:
        """More sequences make larger batches worth it."""
        return 16 if self.count < 1000 else 32 if self.count < 10_000 else 64

    @property
    def epochs(self) -> int:
        """So many that there are about STEPS steps, and each sequence is used at least 10 and at most 100 times."""
        return min(100, max(10, math.ceil(STEPS * self.batch_size / self.count)))


def new_sequences_experiment(
    path: str | Path,
    id: str,  # noqa: A002 - the option's name
    time: str,
    target: str | None = None,
    output: str | Path | None = None,
    *,
    force: bool = False,
    task: str | None = None,
    reading: Mapping[str, Any] | None = None,
    dates: bool = False,
    categories: Sequence[str] = (),
) -> tuple[SequencesLook, Path]:
    """Write a commented experiment that learns one value for each sequence of a table.

    id, time: the columns that say of which sequence a row is, and when.
    The others are as for `new_experiment`.
    Returns what was found and the file. Raises ExperimentError and what the reader raises, before anything is written.
    """
    require_file(path)
    path = Path(path)
    output = new_file(output, path.name.removesuffix(table_suffix(path)), force)
    look = look_at_sequences(path, id, time, target, Choices(task, reading or {}, dates, tuple(categories)))
    write_new_file(output, write_sequences_experiment(look, output), force)
    return look, output


def look_at_sequences(path: Path, id: str, time: str, target: str | None, choices: Choices) -> SequencesLook:  # noqa: A002
    """Look at a table of sequences. Raises ExperimentError for too few, and what Sequences raises."""
    table = look_at(path, target, choices)
    features = [name for name in table.features if name not in (id, time)]
    if not features:
        raise ExperimentError(f"{path}: must have a column to learn from beside id, time and target, got none")
    text = [name for name in table.text if name in features]
    codes = [name for name in table.categories if name in features]
    options: dict[str, Any] = {"features": features, "task": table.task}
    if text or codes:
        options |= {"encode": encode_of(text, codes), "unseen": "none"}
    if any(name in features for name in table.dates):
        options["dates"] = "parts"
    if any(name in features for name in table.incomplete):
        options["missing"] = "mean"
    data = Sequences(path, table.target, id, time, **options, **choices.reading)
    if len(data) < FEWEST:
        raise ExperimentError(f"{path}: must have at least {FEWEST} sequences, got {len(data)}")
    lengths = data[:][0]["lengths"]
    found = int(lengths.min()), int(lengths.max())
    return SequencesLook(
        table, id, time, {**options, **choices.reading}, len(data), *found, len(data.columns), data.classes
    )


def write_sequences_experiment(look: SequencesLook, output: Path) -> str:
    """The text of the experiment file."""
    return "\n".join([_head(look, output), _data(look, output), _model(look)])


def found_sequences(look: SequencesLook) -> list[str]:
    """What was found, in a few lines for the terminal."""
    goal = "numbers" if look.classes is None else f"{len(look.classes)} classes ({named(look.classes)})"
    sequences, what = f"{look.count} sequences of {look.shortest} to {look.longest} steps", comment(look.table.target)
    lines = [
        f"{look.table.path}: {sequences}, {look.table.task} of {what}: {goal}",
        f"{_count(look)} to learn from: {named(look.options['features'])}",
    ]
    if look.folds:
        lines.append(
            f"Few sequences, so no test part: --folds {look.folds} does cross-validation, which tests on each once"
        )
    return lines


def train_sequences(look: SequencesLook, path: str | Path) -> str:
    """The command that trains the experiment and evaluates it on sequences that it was not trained on."""
    return f"mytorch train {path} --folds {look.folds}" if look.folds else f"mytorch train {path}"


def _count(look: SequencesLook) -> str:
    count = len(look.options["features"])
    return f"{count} column{'s' if count > 1 else ''}"


def _head(look: SequencesLook, output: Path) -> str:
    about = f"{look.table.target} of each {look.id} from {_count(look)} of {look.table.path.name}"
    metrics = ["R2", "MeanAbsoluteError"] if look.classes is None else ["Accuracy", "BalancedAccuracy", "LogLoss"]
    return f"""\
# Learn {comment(about)}.
# Written by `mytorch experiment new`; every value may be changed.
# Check: mytorch experiment check {output.name}    Train: {train_sequences(look, output.name)}
description = {toml_value(about)}
requires = ["mytorch-nn", "mytorch-optim", "mytorch-data"]
# The seed determines the initial weights and the order of the sequences.
seed = 0
threads = 1
# How often each sequence is used, and the number of sequences in a training step.
epochs = {look.epochs}
batch_size = {look.batch_size}
evaluate_every = {max(1, look.epochs // 10)}
metrics = {toml_value(metrics)}
# The weights of the epoch with the lowest validation loss are kept: later ones may have memorised sequences
# (overfitting).
callbacks = [{{ type = "KeepBest" }}]
# Recurrent networks have large gradients now and then, which would undo many steps.
clip_grad_norm = 1.0
"""


def _data(look: SequencesLook, output: Path) -> str:
    lines = [
        "[data]",
        "# Each column is scaled to mean 0 and standard deviation 1, learned from the training sequences.",
        "standardize = true",
    ]
    if look.classes is None:
        lines += [
            "# The target is scaled too, for the loss; metrics and predictions are in its own units.",
            'targets = "standardize"',
        ]
    lines.append(f"# {HELD_BACK:.0%} of the sequences are for validation, to choose the best epoch.")
    test = "" if look.folds else f", test = {HELD_BACK}"
    told = (
        f"# With so few sequences there is no test part; --folds {look.folds} tests on each of them once."
        if look.folds
        else "# As many are for the test, on which the final model is evaluated once."
    )
    lines += [told, f"split = {{ validation = {HELD_BACK}{test}, seed = 0 }}", "", "[data.train]"]
    lines += ['type = "Sequences"', "# Relative to the folder of this file."]
    lines.append(f"path = {toml_value(from_folder(look.table.path, output))}")
    lines += [
        f"target = {toml_value(look.table.target)}",
        f"id = {toml_value(look.id)}",
        f"time = {toml_value(look.time)}",
    ]
    if "missing" in look.options:
        lines += [f"# Missing cells: {line}." for line in missing_told(look.table)]
    lines += [f"{name} = {toml_value(chosen)}" for name, chosen in look.options.items() if chosen is not None]
    return "\n".join(lines) + "\n"


def _model(look: SequencesLook) -> str:
    outputs, loss = (1, "MSELoss") if look.classes is None else (len(look.classes), "CrossEntropyLoss")
    return f"""\
# Padded tells its layers how long each sequence is, so the padding of a batch has no influence. The GRU reads the
# steps in their order, and MeanStep is the mean of its outputs; LastStep in its place is the output at the last step.
[model]
type = "Padded"
layers = [
  {{ type = "GRU", input_size = {look.width}, hidden_size = 32, batch_first = true }},
  {{ type = "Take", index = 0 }},
  {{ type = "MeanStep" }},
  {{ type = "Linear", in_features = 32, out_features = {outputs} }},
]

[loss]
type = "{loss}"

[optimizer]
type = "AdamW"
lr = 0.01
weight_decay = 0.01

# The learning rate rises to max_lr and then falls to almost 0 at the last step.
[schedule]
type = "OneCycleLR"
max_lr = 0.01
"""
