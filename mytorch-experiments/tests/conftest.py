"""What the tests share: the toys of mytorch-train, an experiment of theirs, and a run of it."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "toys"))
sys.path.insert(0, str(Path(__file__).parents[2] / "mytorch-train/tests/toys"))

import toy_parts
from blank_figures import blank_figures
from fixtures import compiles, interpreted, no_autograd, packages, parts, seeded
from toy_rows import ROWS

from mytorch.experiments import train_experiment
from mytorch.experiments.file.load_experiment import read_toml

__all__ = ["blank_figures", "compiles", "interpreted", "no_autograd", "packages", "parts", "seeded"]


@pytest.fixture
def content(parts):
    """An experiment of toy-parts, as a dict to be changed."""
    return {"name": "points", **read_toml(toy_parts.experiment)}


@pytest.fixture
def run(content, parts, tmp_path):
    """A run that can predict rows."""
    return train_experiment(content, {"epochs": 2}, output=tmp_path / "runs", quiet=True)


@pytest.fixture
def rows(tmp_path):
    """A file of rows to predict."""
    path = tmp_path / "rows.csv"
    path.write_text(ROWS)
    return path
