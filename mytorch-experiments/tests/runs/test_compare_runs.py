"""Two runs side by side."""

import json
import math
import re
import shutil

import pytest
import tomli_w
from matplotlib.figure import Figure

from mytorch.experiments import RunError, train_experiment
from mytorch.experiments.figures.runs_figure import draw_comparison
from mytorch.experiments.runs.compare_runs import compare_runs
from mytorch.experiments.tables.runs_table import show_comparison


@pytest.fixture
def two(content, tmp_path):
    """Two runs of which the second takes longer steps, has a longer net, and one more metric."""
    train = {"output": tmp_path / "runs", "quiet": True}
    content["data"]["validation"] = dict(content["data"]["test"])
    a = train_experiment(content, **train)
    content["model"]["layers"] = [*content["model"]["layers"], {"type": "Rectify"}]
    content["metrics"] = ["ErrorRate", "Accuracy"]
    return a, train_experiment(content, {"optimizer.lr": 0.05, "threads": 2}, **train)


def test_what_differed(two):
    a, b = two
    comparison = compare_runs(a.path, str(b.path))
    assert comparison.differences == [
        ("threads", "1", "2"),
        ("metrics", '["ErrorRate"]', '["ErrorRate", "Accuracy"]'),
        ("optimizer.lr", "0.1", "0.05"),
        ("model.layers.3.type", "-", '"Rectify"'),
    ]
    assert comparison.histories == (a.history, b.history)
    figures = {figure.name: figure for figure in comparison.figures}
    assert list(figures)[:2] == ["epochs", "seconds"]
    assert (figures["epochs"].a, figures["epochs"].better) == (3, None)
    for name in ("train_loss", "test_loss", "test_error_rate"):
        ours, theirs = (
            run.history[-1][name] if name == "train_loss" else run.summary["test"][name.removeprefix("test_")]
            for run in two
        )
        assert (figures[name].a, figures[name].b) == (ours, theirs)
        assert figures[name].better == ("a" if ours < theirs else "b" if theirs < ours else None)
    assert (figures["test_accuracy"].a, figures["test_accuracy"].better) == (None, None)


def test_higher_is_better_for_some(two):
    a, b = two
    for run, accuracy in ((a, 0.5), (b, 0.75)):
        summary = run.path / "summary.json"
        last = {"accuracy": accuracy, "error_rate": 1 - accuracy, "stranger": accuracy}
        summary.write_text(json.dumps({**json.loads(summary.read_text()), "last": {}, "test": last}))
    better = {figure.name: figure.better for figure in compare_runs(a.path, b.path).figures}
    assert (better["test_accuracy"], better["test_error_rate"], better["test_stranger"]) == ("b", "b", None)


def test_values_of_different_losses_are_not_compared(two):
    a, b = two
    file = b.path / "experiment.toml"
    text = file.read_text()
    file.write_text(text.replace('[loss]\ntype = "', '[loss]\ntype = "Other'))
    better = {figure.name: figure.better for figure in compare_runs(a.path, b.path).figures}
    assert (better["train_loss"], better["test_loss"]) == (None, None)


@pytest.mark.parametrize(
    ("changed", "other"),
    [
        ({"data.standardize": True}, {}),
        ({"data.train.features": ["x"], "data.test.encode": "one-hot"}, {}),
        ({"data.train.path": "b.csv"}, {"train": ["data.train.path"], "validation": ["data.train.path"]}),
        ({"data.test.path": "b.csv"}, {"test": ["data.test.path"]}),
        ({"data.split.seed": 1}, {"train": ["data.split.seed"], "validation": ["data.split.seed"]}),
    ],
)
def test_numbers_of_different_rows_are_not_compared(two, changed, other, capsys):
    """The test part is a data set of its own, the validation part is split from the training rows."""
    for run, extra in zip(two, ({}, changed), strict=True):
        data = {"train": {"type": "Table", "path": "a.csv"}, "test": {"type": "Table", "path": "t.csv"}}
        content = {"name": "made", "data": {**data, "split": {"validation": 0.2}}, "loss": {"type": "MSELoss"}}
        for key, value in extra.items():
            table, *words = key.split(".")
            content[table] = _with(content[table], words, value)
        (run.path / "experiment.toml").write_text(tomli_w.dumps(content))
        summary = json.loads((run.path / "summary.json").read_text())
        figures = {f"{part}_loss": 1.0 + (run is two[1]) for part in ("train", "validation")}
        summary |= {"last": figures, "test": {"loss": 2.0 - (run is two[1])}}
        (run.path / "summary.json").write_text(json.dumps(summary))
    comparison = compare_runs(*(run.path for run in two))
    assert comparison.other_rows == other
    better = {figure.name: figure.better for figure in comparison.figures if figure.name.endswith("loss")}
    best = {"train_loss": "a", "validation_loss": "a", "test_loss": "b"}
    assert better == {name: None if name.removesuffix("_loss") in other else best[name] for name in best}
    show_comparison(comparison)
    last = capsys.readouterr().out.splitlines()[-1]
    if other:
        ((_, (key,)), *_) = other.items()
        assert last == f"Not the same rows, so not comparable: {', '.join(other)} ({key} differs)"
    else:
        assert last == "* is better"


def _with(table, words, value):
    head, *rest = words
    return {**table, head: _with(table.get(head, {}), rest, value) if rest else value}


def test_losses_of_targets_that_are_scaled_differently_are_not_compared(two):
    a, b = two
    file = b.path / "experiment.toml"
    text = file.read_text()
    file.write_text(re.sub(r'targets = "[a-z-]+"', 'targets = "standardize"', text))
    assert file.read_text() != text
    better = {figure.name: figure.better for figure in compare_runs(a.path, b.path).figures}
    assert (better["train_loss"], better["test_loss"]) == (None, None)


def test_runs_of_parts_that_are_gone_and_of_python(two, capsys):
    a, b = two
    text = (b.path / "experiment.toml").read_text()
    (b.path / "experiment.toml").write_text(text.replace('"Accuracy"', '"Gone"'))
    figures = {figure.name: figure.better for figure in compare_runs(b.path, b.path).figures}
    assert set(figures.values()) == {None}
    for run in two:
        (run.path / "experiment.toml").unlink()
    assert [key for key, *_ in compare_runs(a.path, b.path).differences] == ["optimizer"]


def test_a_comparison_on_the_terminal(two, capsys):
    comparison = compare_runs(two[0].path, two[1].path)
    show_comparison(comparison)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    names = [run.path.name for run in two]
    assert lines[0] == ["key", *names]
    assert ["optimizer.lr", "0.1", "0.05"] in lines
    assert ["last", *names] in lines
    assert lines[-1] == ["*", "is", "better"]
    assert sum("*" in "".join(line) for line in lines) > 1
    show_comparison(compare_runs(two[0].path, two[0].path))
    assert "The experiments are equal." in capsys.readouterr().out


def test_runs_that_are_called_the_same(two, tmp_path):
    other = tmp_path / "elsewhere" / two[0].path.name
    shutil.copytree(two[0].path, other)
    assert compare_runs(two[0].path, other).names == (str(two[0].path), str(other))
    assert compare_runs(two[0].path, two[1].path).names == (two[0].path.name, two[1].path.name)


def test_a_comparison_needs_two_runs(two, tmp_path):
    with pytest.raises(RunError, match=r"gone: must be the folder of a run"):
        compare_runs(two[0].path, tmp_path / "gone")
    (two[1].path / "summary.json").write_text("[]")
    with pytest.raises(RunError, match=r"summary.json: must hold an object with the status of a run"):
        compare_runs(*(run.path for run in two))


def test_both_curves_stand_in_one_figure(two, tmp_path, monkeypatch):
    drawn = []
    comparison = compare_runs(two[0].path, two[1].path)
    assert draw_comparison(comparison, tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: (drawn.append(figure), path.touch()))
    draw_comparison(comparison, tmp_path / "compare.png")
    loss, error_rate = drawn[0].axes
    assert (loss.get_title(), error_rate.get_title()) == ("Loss", "Error rate")
    assert (loss.get_legend(), error_rate.get_legend()) == (None, None)
    (legend,) = drawn[0].legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["A, validation", "A, train", "B, validation", "B, train"]
    assert list(loss.lines[0].get_ydata()) == [record["validation_loss"] for record in two[0].history]
    assert {line.get_color() for line in loss.lines} == {"#0072B2", "#D55E00"}
    assert {line.get_linestyle() for line in loss.lines} == {"--", ":"}


def test_curves_that_were_never_taken(two, tmp_path):
    comparison = compare_runs(two[0].path, two[1].path)
    comparison.histories = ([], [{"epoch": 1, "train_loss": math.nan}])
    draw_comparison(comparison, tmp_path / "compare.png")


def test_many_metrics_stand_in_rows(two, tmp_path, monkeypatch):
    drawn = []
    comparison = compare_runs(two[0].path, two[1].path)
    comparison.histories = ([{"epoch": 1, **{f"train_m{n}": n for n in range(5)}}] * 2,) * 2
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: (drawn.append(figure), path.touch()))
    draw_comparison(comparison, tmp_path / "compare.png")
    assert [axes.get_title() for axes in drawn[0].axes] == ["M0", "M1", "M2", "M3", "M4"]
