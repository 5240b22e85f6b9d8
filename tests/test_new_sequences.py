"""From a table of sequences to an experiment that runs as it is and learns."""

import csv
import random

import pytest
from click.testing import CliRunner

from mytorch.commands.experiment import experiment
from mytorch.experiments import ExperimentError, load_experiment, train_experiment
from mytorch.experiments.new.sequences_experiment import new_sequences_experiment
from mytorch.experiments.training.check_experiment import check_experiment

pytest.importorskip("pyarrow", reason="pyarrow comes with mytorch-data[tables]")


def write(path, header, rows):
    random.Random(1).shuffle(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def walks(path, count=120):
    """Walks that lead up or down, with a category, missing cells and a column of times."""
    draw = random.Random(0)
    rows = []
    for number in range(count):
        up, place = draw.choice([True, False]), 0.0
        for step in range(draw.randint(2, 15)):
            place += draw.gauss(0.7 if up else -0.7, 1)
            cell = "" if draw.random() < 0.05 else round(place, 3)
            day = f"2024-{number % 12 + 1:02}-{step + 1:02}"
            rows.append([f"walk {number}", day, cell, draw.choice(["sun", "rain"]), "up" if up else "down"])
    write(path, ["walk", "day", "place", "sky", "way"], rows)


def sums(path, count=600):
    """The sum of what a sequence shows where a mark is set."""
    draw = random.Random(0)
    rows = []
    for number in range(count):
        steps = [(draw.random(), int(draw.random() < 0.4)) for _ in range(draw.randint(3, 12))]
        total = 100 * sum(x * mark for x, mark in steps) + 1000
        rows += [[number, step, x, mark, total] for step, (x, mark) in enumerate(steps)]
    write(path, ["id", "step", "x", "mark", "target"], rows)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_classes_are_learned(folder):
    walks(folder / "walks.csv")
    arguments = ["new", "walks.csv", "--target", "way", "--id", "walk", "--time", "day"]
    result = CliRunner().invoke(experiment, arguments)
    assert result.exit_code == 0, result.exception
    lines = result.output.splitlines()
    assert lines[0] == "walks.csv: 120 sequences of 2 to 15 steps, classification of way: 2 classes (down, up)"
    assert lines[1] == "2 columns to learn from: place, sky"
    assert lines[-2:] == ["Wrote walks.toml", "Next: mytorch train walks.toml --folds 5"]
    assert "3 columns, classes down, up" in check_experiment("walks.toml")
    said = load_experiment("walks.toml").data.train.arguments
    assert (said["missing"], said["features"], said["time"]) == ("mean", ["place", "sky"], "day")
    run = train_experiment("walks.toml", {"data.split.test": 0.25}, output=folder / "runs", quiet=True)
    assert run.evaluate()["accuracy"] > 0.85
    assert "must be a new file, got one that exists" in str(CliRunner().invoke(experiment, arguments).exception)


def test_numbers_are_learned_in_their_units(folder):
    sums(folder / "sums.csv")
    look, path = new_sequences_experiment("sums.csv", "id", "step")
    assert (look.count, look.folds, look.classes, look.width) == (600, 0, None, 2)
    run = train_experiment(path, output=folder / "runs", quiet=True)
    assert run.evaluate()["r2"] > 0.8


def test_what_cannot_be_learned_is_refused(folder):
    walks(folder / "few.csv", count=6)
    with pytest.raises(ExperimentError, match=r"few\.csv: must have at least 10 sequences, got 6"):
        new_sequences_experiment("few.csv", "walk", "day", "way")
    result = CliRunner().invoke(experiment, ["new", "few.csv", "--target", "way", "--id", "walk"])
    assert "--time must be given too for a table of sequences: both columns are needed" in result.output
    arguments = ["new", "few.csv", "--target", "way", "--id", "walk", "--time", "day", "--sheet", "a"]
    result = CliRunner().invoke(experiment, arguments)
    assert (
        "--sheet is an option of other sources; few.csv is read as a table of sequences, without it" in result.output
    )
    write(folder / "bare.csv", ["walk", "day", "way"], [[row // 3, row, row // 3 % 2] for row in range(60)])
    with pytest.raises(ExperimentError, match="must have a column to learn from beside id, time and target, got none"):
        new_sequences_experiment("bare.csv", "walk", "day", "way")
    assert not list(folder.glob("*.toml"))
