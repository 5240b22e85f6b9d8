"""Cross-validation."""

import json
import statistics

import pytest
from click.testing import CliRunner

from mytorch.commands.runs import runs
from mytorch.commands.train import train
from mytorch.core import ArgumentError
from mytorch.data import Disk
from mytorch.data.split import SplitWarning
from mytorch.data.transforms import hold_out
from mytorch.experiments import ExperimentError, RunError, list_runs, load, load_experiment, train_folds
from mytorch.experiments.file.build import build_data


def fold_of(number, folds=4, **options):
    return hold_out(Disk(103), folds=folds, fold=number, **options)


def test_each_row_is_in_the_test_part_once_and_trained_on_otherwise():
    tested = [index for number in (1, 2, 3, 4) for index in fold_of(number).test.indices.tolist()]
    assert sorted(tested) == list(range(103))
    for number in (1, 4):
        parts = fold_of(number, validation=0.2)
        held = [set(part.indices.tolist()) for part in parts]
        assert set.union(*held) == set(range(103))
        assert sum(map(len, held)) == 103
        assert set(parts.test.indices.tolist()) == set(fold_of(number).test.indices.tolist())
        assert len(parts.validation) == pytest.approx(0.2 * (103 - len(parts.test)), abs=1)


def test_folds_have_their_share_of_every_class():
    classes = Disk(103).targets
    for number in (1, 2, 3, 4):
        share = float(classes[fold_of(number).test.indices].double().mean())
        assert share == pytest.approx(float(classes.double().mean()), abs=0.03)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"folds": 1, "fold": 1}, "folds must be a whole number from 2 to the 50 rows"),
        ({"folds": 51, "fold": 1}, "folds must be a whole number from 2 to the 50 rows"),
        ({"folds": 5, "fold": 6}, "fold must be a whole number from 1 to 5, got 6"),
        ({"folds": 5}, "fold must be a whole number from 1 to 5, got None"),
        ({"fold": 1}, "folds must be a whole number from 2"),
        ({"folds": 5, "fold": 1, "test": 0.2}, r"without test, got 5 and test=0\.2"),
    ],
)
def test_folds_that_do_not_fit(options, text):
    with pytest.raises(ArgumentError, match=text):
        hold_out(Disk(50), **options)


@pytest.mark.parametrize(
    ("split", "text"),
    [
        ({"folds": 3}, "must have fold from 1 to folds, or neither, got None and 3"),
        ({"folds": 3, "fold": 4}, "must have fold from 1 to folds, or neither, got 4 and 3"),
        ({"folds": 3, "fold": 1, "test": 0.2}, "must have either test or fold and folds, got both"),
    ],
)
def test_a_split_that_does_not_fit(split, text):
    with pytest.raises(ExperimentError, match=f"data.split: {text}"):
        load_experiment("disk", {"data.split": split})


@pytest.fixture
def found(content, tmp_path):
    content["data"]["split"] = {"validation": 0.2}
    return train_folds(content, {"epochs": 2}, folds=3, output=tmp_path / "runs", quiet=True)


def test_a_run_for_each_fold_and_their_mean(found):
    assert (found.folds, found.status, len(found.runs)) == (3, "finished", 3)
    loaded = [load(found.path / name) for name in found.runs]
    assert [run.summary["test"] for run in loaded] == found.results
    values = [result["error_rate"] for result in found.results]
    spread = found.spreads["error_rate"]
    assert (spread.mean, spread.deviation) == (statistics.fmean(values), statistics.stdev(values))
    assert loaded[1].evaluate() == pytest.approx(found.results[1])  # its file says which fold it is
    tested = [len(build_data(run.experiment).test) for run in loaded]
    assert sum(tested) == loaded[0].experiment.data.train.arguments["samples"]
    assert json.loads((found.path / "folds.json").read_text())["spreads"]["error_rate"]["mean"] == spread.mean


def test_runs_lists_the_folds_as_one_and_each_by_itself(found):
    (summary,) = list_runs(found.path.parent)
    assert (summary.folds, summary.status, summary.judged_on) == (3, "finished", "test")
    assert summary.figures["loss"] == found.spreads["loss"].mean
    told = CliRunner().invoke(runs, ["list", str(found.path.parent)]).output
    assert "3 folds" in told
    assert str(found.spreads["loss"]) in told
    assert len(list_runs(found.path)) == 3
    with pytest.raises(RunError, match=r"got one without summary.json; it holds runs: fold-1-"):
        load(found.path)


def test_a_damaged_summary_takes_nothing_else_down(found):
    (found.path / "folds.json").write_text('{"folds": 3}')
    (summary,) = list_runs(found.path.parent)
    assert summary.status == "damaged"
    assert "folds.json: must be as train --folds wrote it" in summary.reason


def test_a_failure_keeps_what_was_done(content, tmp_path):
    content["data"]["train"]["samples"] = 7
    with pytest.raises(ArgumentError):
        train_folds(content, folds=8, output=tmp_path, quiet=True)
    (summary,) = list_runs(tmp_path)
    assert (summary.status, summary.figures) == ("failed", {})


def test_the_command(parts, tmp_path):
    result = CliRunner().invoke(train, ["points", "--folds", "2", "--output", str(tmp_path), "--set", "epochs=1"])
    assert result.exit_code == 0
    assert "2 folds in " in result.output
    assert "error rate  0." in result.output
    with pytest.raises(ArgumentError, match="train_folds: folds must be a whole number of at least 2, got 1"):
        train_folds("points", folds=1, output=tmp_path)


def test_rare_classes_are_named_once_and_not_at_each_fold(content, tmp_path):
    content["data"]["train"]["samples"] = 12
    with pytest.warns(SplitWarning, match="in the test part") as told:
        train_folds(content, {"epochs": 1}, folds=3, output=tmp_path)
    assert len(told) == 1
