"""The text of an experiment for a user's table, with a reason beside each choice."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from mytorch.data.table.errors import listed, shown
from mytorch.experiments.new.table_look import Look, encode_of
from mytorch.experiments.new.table_recipe import HELD_BACK, Recipe

SHOWN = 8
"""Names that a comment or a line shows."""


def write_experiment(look: Look, recipe: Recipe, output: Path, reading: Mapping[str, Any]) -> str:
    """The text of the experiment file."""
    parts = [
        _head(look, recipe, output),
        _run(look, recipe),
        _data(look, recipe, output, reading),
        _model(look, recipe),
    ]
    return "\n".join([*parts, _training(look, recipe)])


def _head(look: Look, recipe: Recipe, output: Path) -> str:
    outputs = "numbers" if look.classes is None else f"{len(look.classes)} classes"
    about = f"{look.target} ({outputs}) from {columns_of(look)} of {look.path.name}"
    return f"""\
# Learn {comment(about)}.
# Written by `mytorch experiment new`; every value may be changed.
# Check: mytorch experiment check {output.name}    Train: {train_command(recipe, output.name)}
description = {toml_value(about)}
requires = ["mytorch-nn", "mytorch-optim", "mytorch-data"]
"""


def _run(look: Look, recipe: Recipe) -> str:
    metrics = ["R2", "MeanAbsoluteError"] if look.classes is None else ["Accuracy", "BalancedAccuracy", "LogLoss"]
    told = (
        "R2: 1 is perfect, 0 is no better than predicting the mean. The error is in the units of the target."
        if look.classes is None
        else "The share of correct rows, the same averaged over the classes, and the error of the probabilities."
    )
    return f"""\
# The seed determines the initial weights and the order of the rows. One thread is fastest for a network of this size.
seed = 0
threads = 1
# How often each row is used, and the number of rows in a training step.
epochs = {recipe.epochs}
batch_size = {recipe.batch_size}
# The number of epochs between two evaluations, which take time; the last epoch is always evaluated.
evaluate_every = {recipe.evaluate_every}
# {told}
metrics = {toml_value(metrics)}
{_kept(recipe)}
"""


def _kept(recipe: Recipe) -> str:
    """Which epoch's weights are kept."""
    if recipe.keep_best:
        return """\
# The weights of the epoch with the lowest validation loss are kept: later ones may have memorised rows (overfitting).
callbacks = [{ type = "KeepBest" }]"""
    return """\
# The weights of the last epoch are kept. With so few rows for validation, chance would decide which epoch is the best;
# callbacks = ["KeepBest"] keeps that one."""


def _data(look: Look, recipe: Recipe, output: Path, reading: Mapping[str, Any]) -> str:
    best = " and the best epoch" if recipe.keep_best else ""
    lines = [
        "[data]",
        "# Each column is scaled to mean 0 and standard deviation 1, so its unit does not matter. The two numbers are",
        "# learned from the training rows.",
        "standardize = true",
    ]
    if look.classes is None:
        lines += [
            "# The target is scaled too, for the loss; metrics and predictions are in its own units.",
            'targets = "standardize"',
        ]
    lines += [
        f"# {HELD_BACK:.0%} of the rows are for validation, to choose hyper-parameters{best}.",
        *_test_part(look, recipe),
        "",
        "[data.train]",
        'type = "Table"',
        "# Relative to the folder of this file.",
        f"path = {toml_value(from_folder(look.path, output))}",
        f"target = {toml_value(look.target)}",
        f"task = {toml_value(look.task)}",
        *(
            f"{name} = {toml_value(list(value) if isinstance(value, tuple) else value)}"
            for name, value in reading.items()
            if value is not None
        ),
        *_columns(look),
    ]
    return "\n".join(lines) + "\n"


def _test_part(look: Look, recipe: Recipe) -> list[str]:
    shares = (
        []
        if look.classes is None
        else ["# Each part is stratified by class: it has the same proportion of every class."]
    )
    if recipe.folds:
        return [
            "# The result of a test part would not be reliable with so few rows, so there is none.",
            f"# Use cross-validation instead, --folds {recipe.folds}, which tests on each row once.",
            *shares,
            f"split = {{ validation = {HELD_BACK}, seed = 0 }}",
        ]
    return [
        "# As many are for the test, on which the final model is evaluated once.",
        *shares,
        f"split = {{ validation = {HELD_BACK}, test = {HELD_BACK}, seed = 0 }}",
    ]


def train_command(recipe: Recipe, path: str | Path) -> str:
    """The command that trains an experiment and evaluates it on rows that it was not trained on."""
    return f"mytorch train {path} --folds {recipe.folds}" if recipe.folds else f"mytorch train {path}"


def _columns(look: Look) -> list[str]:
    """Which columns are features and what becomes of text and missing cells."""
    lines = []
    if look.left_out:
        lines += [
            f"# Left out: {comment(name)}: {comment(reason)}." for name, reason in list(look.left_out.items())[:SHOWN]
        ]
        if len(look.left_out) > SHOWN:
            lines.append(f"# Left out: {len(look.left_out) - SHOWN} more.")
        lines.append(f"features = {toml_value(list(look.features))}")
    if encoded := [*look.text, *look.categories]:
        lines += [
            f"# A column of 0 and 1 for each value of {named(encoded)}.",
            f"encode = {toml_value(encode_of(look.text, look.categories))}",
            "# A value that occurs only in later tables is 0 in all of these columns.",
            'unseen = "none"',
        ]
    if look.dates:
        lines += [
            f"# Year, month, weekday and days since the first, of {named(look.dates)}.",
            'dates = "parts"',
        ]
    if look.missing == "drop":
        lines += [
            f"# Rows without {comment(look.target)} cannot be used; rows with any missing cell are left out.",
            'missing = "drop"',
        ]
    elif look.missing:
        lines += [
            *(f"# Missing cells: {line}." for line in missing_told(look)),
            "# They are filled with the mean of the training rows, text with its most frequent value.",
            f"missing = {toml_value(look.missing)}",
        ]
    return lines


def missing_told(look: Look) -> list[str]:
    """A line for each column with missing cells, not all where there are many: how many, and what stands in them."""
    lines = []
    for name, gone in list(look.gone.items())[:SHOWN]:
        texts = [f"{shown(text) if text else 'empty'} in {count}" for text, count in gone.items()]
        lines.append(f"{comment(name)}: {sum(gone.values())} of {look.rows} rows ({listed(texts)})")
    return lines + ([f"{len(look.gone) - SHOWN} more columns"] if len(look.gone) > SHOWN else [])


def _model(look: Look, recipe: Recipe) -> str:
    outputs, told = (1, "one number") if look.classes is None else (len(look.classes), "a score for each class")
    return f"""\
# {look.width} inputs, one hidden layer, {told}.
[model]
type = "Sequential"
layers = [
  {{ type = "Linear", in_features = {look.width}, out_features = {recipe.hidden} }},
  {{ type = "ReLU" }},
  {{ type = "Linear", in_features = {recipe.hidden}, out_features = {outputs} }},
]
"""


def _training(look: Look, recipe: Recipe) -> str:
    loss = "MSELoss" if look.classes is None else "CrossEntropyLoss"
    return f"""\
[loss]
type = "{loss}"

# With a much higher learning rate, training may be unstable. Weight decay keeps weights small, against overfitting.
[optimizer]
type = "SGD"
lr = {recipe.lr}
momentum = 0.9
nesterov = true
weight_decay = {recipe.weight_decay}

# The learning rate rises to max_lr and then falls to almost 0 at the last step.
[schedule]
type = "OneCycleLR"
max_lr = {recipe.lr}
"""


def from_folder(path: Path, output: Path) -> str:
    """A path as an experiment beside `output` names it."""
    return str(path if path.is_absolute() else os.path.relpath(path, output.parent))


def columns_of(look: Look) -> str:
    """How many columns are learned from."""
    return f"{len(look.features)} column{'s' if len(look.features) > 1 else ''}"


def named(names: Sequence[str]) -> str:
    """Names of a user's file, not all of them where there are many."""
    return listed(map(comment, names), SHOWN)


def comment(text: str) -> str:
    """Text of a user's file on one line, without what TOML forbids in comments."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def toml_value(value: Any) -> str:
    """A value as TOML writes it, a table or a short list on one line."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(tomli_w.dumps({name: entry}).strip() for name, entry in value.items())} }}"
    if isinstance(value, list) and len(line := f"[{', '.join(map(toml_value, value))}]") < 100:
        return line
    return tomli_w.dumps({"v": value}).removeprefix("v = ").rstrip("\n")
