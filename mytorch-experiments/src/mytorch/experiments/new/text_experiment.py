"""Writing an experiment for a user's text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from mytorch.data import TextFile
from mytorch.data.table.csv_source import DELIMITERS
from mytorch.data.table.open_table import require_file
from mytorch.experiments.errors import ExperimentError
from mytorch.experiments.new.experiment_text import comment, from_folder, toml_value
from mytorch.experiments.new.new_file import new_file, write_new_file

SUFFIXES = (".txt", ".text", ".md", ".rst", ".tex")
"""Endings of the names of texts; a .txt file may also be a table."""
LINES = 20
"""Lines by which a table is told from a text."""
BLOCK, BATCH = 64, 16
"""Characters of a block, and blocks of a batch."""
FEWEST = 400
"""With fewer characters there is nothing to hold back for validation and test."""
BLOCKS = 40
"""A short text has shorter blocks, of which there are so many."""
STEPS = 1000
"""Training steps, about so many."""
LONG = 500_000
"""From so many characters on, a larger network learns more in a few epochs."""


@dataclass(frozen=True)
class TextLook:
    """What was found in a text.

    length: its characters.  tokens: how many different ones.
    """

    path: Path
    length: int
    tokens: int

    @property
    def block_size(self) -> int:
        return min(BLOCK, self.length // BLOCKS)

    @property
    def epochs(self) -> int:
        """So many that there are about STEPS steps, and each block is used at least 3 and at most 40 times."""
        steps = 0.8 * self.length / (self.block_size * BATCH)
        return max(3, min(40, math.ceil(STEPS / steps)))

    @property
    def hidden(self) -> int:
        return 128 if self.length < LONG else 256


def is_text(path: Path) -> bool:
    """Whether a file is a text by its name, and a .txt file no table by its first lines."""
    suffix = path.suffix.lower()
    return suffix in SUFFIXES and path.is_file() and not (suffix == ".txt" and _has_columns(path))


def _has_columns(path: Path) -> bool:
    """Whether the first lines have equally many delimiters."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = [line for line in islice(file, LINES) if line.strip()]
    except OSError:  # which is told by whoever reads it
        return False
    counts = [{line.count(delimiter) for line in lines} for delimiter in DELIMITERS]
    return len(lines) > 1 and any(len(count) == 1 and count != {0} for count in counts)


def new_text_experiment(
    path: str | Path, output: str | Path | None = None, *, force: bool = False, encoding: str | None = None
) -> tuple[TextLook, Path]:
    """Write a commented experiment that learns the next character of a text.

    output: the file; NAME.toml for the text NAME.txt if left out.
    encoding: of the text, if it is not UTF-8.
    Returns what was found and the file. Raises ExperimentError and what TextFile raises, before anything is written.
    """
    require_file(path)
    path = Path(path)
    output = new_file(output, path.stem, force)
    data = TextFile(path, 1, encoding=encoding)
    look = TextLook(path, len(data) + 1, len(data.classes or ()))
    if look.length < FEWEST:
        raise ExperimentError(
            f"{path}: a text must have at least {FEWEST} characters to train, validate and test with, got "
            f"{look.length}"
        )
    write_new_file(output, _text(look, output, encoding), force)
    return look, output


def found(look: TextLook) -> list[str]:
    """What was found, in a line for the terminal."""
    return [f"{look.path}: a text of {look.length} characters, {look.tokens} different ones"]


def _text(look: TextLook, output: Path, encoding: str | None) -> str:
    about = f"The next character of {look.path.name}"
    named = "" if encoding is None else f"encoding = {toml_value(encoding)}\n"
    return f"""\
# Learn {comment(about[0].lower() + about[1:])}.
# Written by `mytorch experiment new`; every value may be changed.
# Check: mytorch experiment check {output.name}    Train: mytorch train {output.name}
# Write text with the run: mytorch sample RUN --prompt "..."
description = {toml_value(about)}
requires = ["mytorch-nn", "mytorch-optim", "mytorch-data"]
# The seed determines the initial weights and the order of the blocks. One thread is fastest for such a small network.
seed = 0
threads = 1
# How often each block is used, and the number of blocks in a training step.
epochs = {look.epochs}
batch_size = {BATCH}
# Between how many characters the model hesitates on average. `mytorch evaluate` shows a bigram model beside it.
metrics = ["Perplexity"]
# The weights of the epoch with the lowest validation loss are kept: later ones may have memorised text (overfitting).
callbacks = [{{ type = "KeepBest" }}]
# Gradients that are too large for a step, as recurrent networks have now and then, are scaled down.
clip_grad_norm = 1.0

[data]
# The split is by place: the first 80 % are for training, then 10 % for validation and 10 % for the test.
split = {{ validation = 0.1, test = 0.1 }}

[data.train]
type = "TextFile"
# Relative to the folder of this file.
path = {toml_value(from_folder(look.path, output))}
{named}# How many characters the model sees at once.
block_size = {look.block_size}
# Each character is a token. "bytes" knows every text; "byte-pairs" makes tokens of frequent pieces of words.
tokens = "characters"

# "classes" is the number of tokens. An LSTM of {look.hidden} units reads the text; more units can learn more.
[model]
type = "Sequential"
layers = [
  {{ type = "Embedding", num_embeddings = "classes", embedding_dim = 32 }},
  {{ type = "LSTM", input_size = 32, hidden_size = {look.hidden}, batch_first = true }},
  {{ type = "Take", index = 0 }},
  {{ type = "Linear", in_features = {look.hidden}, out_features = "classes" }},
  # The loss takes the scores of the tokens along the second axis.
  {{ type = "Permute", dims = [0, 2, 1] }},
]

[loss]
type = "CrossEntropyLoss"

# Adam adapts the step of each weight. With a much higher learning rate, training may be unstable.
[optimizer]
type = "AdamW"
lr = 0.01

# The learning rate rises to max_lr and then falls to almost 0 at the last step.
[schedule]
type = "OneCycleLR"
max_lr = 0.01
"""
