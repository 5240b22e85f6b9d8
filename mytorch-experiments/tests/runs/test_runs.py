"""The runs of a folder."""

import json
import random
from datetime import datetime

import pytest

from mytorch.experiments import RunError
from mytorch.experiments.runs.digests import digests
from mytorch.experiments.runs.runs import list_runs
from mytorch.experiments.tables.runs_table import show_runs

LAST = {"epoch": 3, "lr": 0.1, "seconds": 0.5, "train_loss": 0.25, "test_accuracy": 0.75, "test_loss": 0.5}

FILES = ("experiment.toml", "data.json", "model.json", "history.csv", "weights.safetensors")
"""What the summary names, without the checkpoint, which predictions do not need."""


def make(parent, name, history="", **summary):
    """A folder that looks like a run."""
    folder = parent / name
    folder.mkdir(parents=True)
    content = {"status": "finished", "reason": None, "epochs": 3, "seconds": 1.5, "last": LAST, **summary}
    (folder / "summary.json").write_text(json.dumps(content))
    if history:
        (folder / "history.csv").write_text(history)
    return folder


def test_runs_are_listed_newest_first(tmp_path):
    names = ["my best", "a-20010301-000000", "c-20010101-120000-2", "b-20010101-120000"]
    for name in reversed(names):
        folder = make(tmp_path, name)
    (tmp_path / "notes").mkdir()
    (tmp_path / "file").write_text("")
    runs = list_runs(str(tmp_path))
    assert [run.path.name for run in runs] == names
    assert runs[1].when == datetime(2001, 3, 1)
    assert abs((runs[0].when - datetime.fromtimestamp(folder.stat().st_mtime)).total_seconds()) <= 2
    first = runs[1]
    assert (first.status, first.epochs, first.seconds, first.judged_on) == ("finished", 3, 1.5, "test")
    assert first.figures == {"loss": 0.5, "accuracy": 0.75}
    assert list(first.figures) == ["loss", "accuracy"]
    assert json.loads(json.dumps(first.as_data()))["name"] == names[1]


def test_without_test_data_the_training_s_figures_are_taken(tmp_path):
    make(tmp_path, "a-20260101-000000", last={"epoch": 3, "train_loss": 0.25, "train_error_rate": 0.5})
    make(tmp_path, "b-20260101-000000", last=None, status="running")
    untold, told = list_runs(tmp_path)
    assert (told.judged_on, told.figures) == ("train", {"loss": 0.25, "error_rate": 0.5})
    assert (untold.judged_on, untold.figures) == (None, {})


def test_without_test_data_the_figures_of_the_validation_part_are_taken(tmp_path):
    make(tmp_path, "a-20260101-000000", last={"epoch": 3, "train_loss": 0.25, "validation_loss": 0.5})
    make(tmp_path, "b-20250101-000000", last={"validation_loss": 0.5, "test_loss": 0.75})
    without, with_test = list_runs(tmp_path)
    assert (without.judged_on, without.figures) == ("validation", {"loss": 0.5})
    assert (with_test.judged_on, with_test.figures) == ("test", {"loss": 0.75})


def test_a_run_that_was_cut_off_shows_what_it_took_last(tmp_path):
    history = "epoch,train_loss,test_loss\n1,3.0,\n2,2.0,2.5\n3,1.0,\n"
    make(tmp_path, "a-20260101-000000", history, status="interrupted", last={"epoch": 3, "train_loss": 1.0})
    (run,) = list_runs(tmp_path)
    assert (run.judged_on, run.figures) == ("test", {"loss": 2.5})


def test_figures_are_those_of_the_weights_that_were_kept(tmp_path):
    make(tmp_path, "a-20260101-000000", "epoch,test_loss\n1,3.0\n2,0.125\n3,0.5\n", best={"epoch": 2})
    make(tmp_path, "b-20250101-000000", best={"epoch": 2})
    kept, untold = list_runs(tmp_path)
    assert (kept.figures["loss"], untold.figures["loss"]) == (0.125, 0.5)


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("summary.json", '{"status": ', "must be a whole JSON file"),
        ("summary.json", "[1]", "must hold an object with the status of a run"),
        ("summary.json", '{"status": 3}', "must hold an object with the status of a run"),
        ("summary.json", '{"status": "failed", "last": 3}', "last must be an object, got int"),
        ("history.csv", "epoch\nzero\n", "must be a history that a run wrote"),
    ],
)
def test_a_damaged_run_takes_nothing_else_down(tmp_path, capsys, file, text, reason):
    make(tmp_path, "bad-20260201-000000", status="failed")
    (tmp_path / "bad-20260201-000000" / file).write_text(text)
    make(tmp_path, "good-20260101-000000")
    bad, good = list_runs(tmp_path)
    assert (bad.status, good.status) == ("damaged", "finished")
    assert reason in bad.reason
    show_runs([bad, good])
    out = capsys.readouterr().out
    assert f"Damaged: {tmp_path / 'bad-20260201-000000' / file}: " in out.replace("\n", " ")
    assert "good-20260101-000000" in out


@pytest.mark.parametrize("name", FILES)
def test_a_run_that_lacks_a_file_is_damaged(tmp_path, name):
    folder = make(tmp_path, "a-20260101-000000")
    for file in FILES:
        (folder / file).write_text(f"{random.random()}\n")
    make(tmp_path, "b-20250101-000000", files=digests(folder, FILES))
    (tmp_path / "b-20250101-000000/summary.json").rename(folder / "summary.json")
    assert [run.status for run in list_runs(tmp_path)] == ["finished"]
    (folder / name).unlink()
    (run,) = list_runs(tmp_path)
    assert run.status == "damaged"
    assert run.reason.startswith(f"{folder / name}: must have the content that was written, got different content: ")


def test_a_run_without_a_summary_is_damaged(tmp_path):
    (tmp_path / "a-20260101-000000").mkdir()
    (tmp_path / "a-20260101-000000/experiment.toml").write_text("")
    (run,) = list_runs(tmp_path)
    assert (run.status, run.when) == ("damaged", datetime(2026, 1, 1))
    assert "must be the folder of a run, got one without summary.json" in run.reason


def test_an_impossible_date_is_no_date(tmp_path):
    make(tmp_path, "a-20269999-000000")
    assert list_runs(tmp_path)[0].when.year < 2200


def test_a_folder_that_holds_no_runs(tmp_path):
    assert list_runs(tmp_path) == []
    with pytest.raises(RunError, match=r"gone: must be a folder that holds runs, got no folder; make one with"):
        list_runs(tmp_path / "gone")
    run = make(tmp_path, "a-20260101-000000")
    with pytest.raises(RunError, match=r"must be a folder that holds runs, got a run; list its parent"):
        list_runs(run)


def test_figures_of_training_data_are_marked(tmp_path, capsys):
    make(tmp_path, "a-20260101-000000", last={"train_loss": 0.25})
    make(tmp_path, "b-20260102-000000", last={"test_loss": 0.5})
    show_runs(list_runs(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("1.5  ")[1].strip() for line in lines[1:]] == ["0.5", "0.25 (train)"]


def test_the_table_has_a_column_a_figure(tmp_path, capsys):
    make(tmp_path, "a-20260101-000000")
    make(tmp_path, "[b]-20260102-000000", last={"test_loss": None, "test_f1": 0.123456}, seconds=None)
    show_runs(list_runs(tmp_path))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["run", "when", "status", "epochs", "seconds", "loss", "f1", "accuracy"],
        ["[b]-20260102-000000", "2026-01-02", "00:00", "finished", "3", "-", "-", "0.1235", "-"],
        ["a-20260101-000000", "2026-01-01", "00:00", "finished", "3", "1.5", "0.5", "-", "0.75"],
    ]
