"""The figures and tables of a judgement."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from mytorch.experiments.figures.attempt import FigureWarning
from mytorch.experiments.figures.judgement_figures import draw_judgement, likely_shares
from mytorch.experiments.predict.judge import Judgement
from mytorch.experiments.predict.judgement import Confusion, Residuals
from mytorch.experiments.tables.judgement_table import mistakes, show_judgement
from mytorch.plugins import FileError

PNG = b"\x89PNG\r\n\x1a\n"


def of_classes(count, rows=200, **more):
    names = tuple(f"class {number}" for number in range(count))
    confusion = Confusion(names, torch.zeros(count, count, dtype=torch.int64))
    wanted, probabilities = torch.randint(count, (rows,)), torch.rand(rows, count).double().softmax(1)
    confusion.add(probabilities, probabilities.argmax(1), wanted)
    return Judgement({"loss": 0.25, "error_rate": 0.5}, rows, "test data", confusion, None, 0)


def of_numbers(outputs=1, rows=200):
    true = torch.randn(rows, outputs).double()
    names = tuple(f"price {number}" for number in range(outputs))
    residuals = Residuals(true + 0.1 * torch.randn(rows, outputs), true, names)
    return Judgement({"loss": 0.25}, rows, "test data", None, residuals, 3)


@pytest.fixture
def drawn(monkeypatch):
    figures = {}
    monkeypatch.setattr(
        Figure, "savefig", lambda figure, path, **_: (figures.update({path.name.split(".")[1]: figure}), path.touch())
    )
    return figures


def names_of(folder):
    return sorted(path.name for path in folder.iterdir())


def test_figures_go_into_the_run_and_replace_their_own(tmp_path):
    run = tmp_path / "disk-1"
    run.mkdir()
    for _ in range(2):
        paths = draw_judgement(of_classes(3), run, None, None)
        assert [path.name for path in paths] == ["confusion.png", "calibration.png"]
        assert all(path.read_bytes().startswith(PNG) for path in paths)
    (residuals,) = draw_judgement(of_numbers(), run, None, Path("far/new rows.csv"))
    assert residuals.name == "residuals-new-rows.png"
    assert names_of(run / "figures") == ["calibration.png", "confusion.png", "residuals-new-rows.png"]


def test_figures_of_several_runs_in_one_folder(tmp_path, drawn):
    for name in ("disk-1", "disk-2"):
        draw_judgement(of_classes(2), tmp_path / name, tmp_path / "deep/figures", None)
    assert names_of(tmp_path / "deep/figures") == [
        "disk-1-calibration.png",
        "disk-1-confusion.png",
        "disk-2-calibration.png",
        "disk-2-confusion.png",
    ]
    assert not (tmp_path / "disk-1").exists()


def test_a_confusion_has_numbers_and_names_while_they_fit(tmp_path, drawn):
    (tmp_path / "figures").mkdir()
    for count, numbers, named in [(3, 9, 3), (20, 0, 20), (100, 0, None)]:
        judgement = of_classes(count)
        draw_judgement(judgement, tmp_path, None, None)
        axes = drawn["confusion"].axes[0]
        assert len(axes.texts) == numbers
        shown = [text.get_text() for text in axes.get_yticklabels() if text.get_text().startswith("class")]
        assert len(shown) == (named or 0)
    judgement = of_classes(2)
    draw_judgement(judgement, tmp_path, None, None)
    texts = [int(text.get_text()) for text in drawn["confusion"].axes[0].texts]
    assert texts == judgement.confusion.counts.flatten().tolist()


def test_calibration_shows_what_is_counted(tmp_path, drawn):
    judgement = of_classes(2)
    draw_judgement(judgement, tmp_path, None, None)
    upper, lower = drawn["calibration"].axes
    confusion = judgement.confusion
    filled = confusion.rows > 0
    (dots,) = (each for each in upper.collections if each.get_label().startswith("this model"))
    sums = torch.stack((confusion.confidence, confusion.right), 1)[filled]
    assert dots.get_offsets().tolist() == (sums / confusion.rows[filled, None]).tolist()
    assert [bar.get_height() for bar in lower.patches] == confusion.rows.tolist()


def test_the_legend_of_the_calibration_is_no_wider_than_its_axes(tmp_path, drawn):
    draw_judgement(of_classes(2), tmp_path, None, None)
    figure = drawn["calibration"]
    figure.draw_without_rendering()
    legend, axes = figure.legends[0].get_window_extent(), figure.axes[0].get_window_extent()
    assert axes.x0 < legend.x0 < legend.x1 < axes.x1


def test_the_interval_of_a_share():
    low, high = likely_shares(torch.tensor([0.5, 1.0, 0.0]).double(), torch.tensor([10.0, 20.0, 5.0]).double())
    torch.testing.assert_close(low, torch.tensor([0.2366, 0.8389, 0.0]).double(), atol=5e-5, rtol=0)  # by statsmodels
    torch.testing.assert_close(high, torch.tensor([0.7634, 1.0, 0.4345]).double(), atol=5e-5, rtol=0)


def test_dots_of_the_calibration_are_larger_for_more_rows(tmp_path, drawn):
    (tmp_path / "figures").mkdir()
    judgement = of_classes(3)
    judgement.confusion.rows = torch.tensor([0.0] * 7 + [1, 10, 100]).double()
    judgement.confusion.right = judgement.confusion.rows * 0.5
    judgement.confusion.confidence = judgement.confusion.rows * 0.9
    draw_judgement(judgement, tmp_path, None, None)
    upper = drawn["calibration"].axes[0]
    (dots,) = (each for each in upper.collections if each.get_label().startswith("this model"))
    small, middle, large = dots.get_sizes()
    assert small < middle < large
    lengths = [float(np.diff(segment[:, 1])[0]) for segment in upper.collections[0].get_segments()]
    assert lengths == sorted(lengths, reverse=True)


def test_bars_of_residuals_are_as_many_as_the_rows_bear(tmp_path, drawn):
    (tmp_path / "figures").mkdir()
    bars = []
    for rows in (13, 200, 5000, 400_000):
        draw_judgement(of_numbers(rows=rows), tmp_path, None, None)
        bars.append(len(drawn["residuals"].axes[1].patches))
        assert all(bar.get_edgecolor() == (1, 1, 1, 1) for bar in drawn["residuals"].axes[1].patches)  # seen apart
    assert bars == sorted(bars)
    assert bars[0] < 10 < bars[2] <= bars[3] <= 60


def test_a_figure_that_fails_is_told_and_the_others_are_drawn(tmp_path, monkeypatch):
    (tmp_path / "figures").mkdir()
    monkeypatch.setattr("mytorch.experiments.figures.judgement_figures._confusion", lambda *_: 1 / 0)
    with pytest.warns(FigureWarning, match=r"the figure confusion could not be drawn \(ZeroDivisionError: "):
        assert [path.name for path in draw_judgement(of_classes(3), tmp_path, None, None)] == ["calibration.png"]


def test_residuals_of_several_outputs_and_many_rows(tmp_path, drawn):
    draw_judgement(of_numbers(8, 6000), tmp_path, None, None)
    figure = drawn["residuals"]
    assert len(figure.axes) == 4  # predicted against true of three, and a box for each of all
    assert len(figure.axes[3].patches) == 8
    assert max(figure.get_size_inches()) < 10
    assert len(figure.axes[0].collections[0].get_offsets()) == 5000
    draw_judgement(of_numbers(2, 6000), tmp_path, None, None)
    figure = drawn["residuals"]
    assert len(figure.axes) == 4
    assert len(figure.axes[0].collections[0].get_offsets()) == 5000
    assert sum(bar.get_height() for bar in figure.axes[1].patches) == 6000


@pytest.mark.filterwarnings("error")
def test_constant_numbers_and_one_row(tmp_path):
    for rows in (1, 3):
        same = torch.full((rows, 1), 7.0).double()
        judgement = Judgement({"loss": 0.0}, rows, "test data", None, Residuals(same, same, ("t",)), 0)
        draw_judgement(judgement, tmp_path, None, None)


def test_nothing_to_draw(tmp_path):
    assert draw_judgement(Judgement({"loss": 1.0}, 3, "test data", None, None, 0), tmp_path, None, None) == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match=r"file: must be a folder that can be written, got"):
        draw_judgement(of_classes(2), tmp_path, tmp_path / "file", None)


def test_few_classes_are_shown_as_a_matrix(capsys):
    judgement = of_classes(2)
    show_judgement(judgement)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    (a, b), (c, d) = judgement.confusion.counts.tolist()
    assert lines[:3] == [["network"], ["loss", "0.25"], ["error", "rate", "0.5"]]
    assert lines[3:5] == [[], ["200", "rows", "of", "test", "data"]]
    assert lines[6:8] == [["class", "0", str(a), str(b)], ["class", "1", str(c), str(d)]]
    assert lines[8][:3] == ["expected", "calibration", "error"]


def beside(results, higher, **baselines):
    """A judgement of numbers beside those of baselines."""
    judgement = Judgement(results, 20, "test data", None, None, 0, higher={"loss": False, **higher})
    judgement.baselines = {name.replace("_", " "): found for name, found in baselines.items()}
    return judgement


def test_a_loss_that_is_a_metric_too_is_shown_once(capsys):
    same = {"loss": 0.0059104399, "log_loss": 0.0059104501, "accuracy": 0.5}
    show_judgement(beside(same, {}, mean={**same, "accuracy": 0.7}))
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:3]] == ["log", "accuracy"]
    show_judgement(beside(same, {}, mean={**same, "loss": 0.26}))
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:4]] == ["loss", "log", "accuracy"]


@pytest.mark.parametrize(
    ("linear", "majority", "told"),
    [
        ((0.3, 0.8), (0.7, 0.4), None),
        ((0.2, 0.8), (0.7, 0.4), None),  # better in one number, worse in the other
        ((0.25, 0.9), (0.7, 0.4), "the linear model"),
        ((0.1, 0.95), (0.25, 0.9), "the linear model and the majority class"),
    ],
)
def test_a_network_that_adds_nothing_is_told(capsys, linear, majority, told):
    names = ("loss", "accuracy", "colour")  # of which nothing says whether higher is better
    found = [dict(zip(names, (*numbers, 7.0), strict=True)) for numbers in ((0.25, 0.9), linear, majority)]
    found[0]["colour"] = 9.0
    judgement = beside(found[0], {"accuracy": True}, linear_model=found[1], majority_class=found[2])
    show_judgement(judgement)
    line = f"The network is no better than {told} in any of these numbers, so it is not needed."
    assert (line in capsys.readouterr().out.splitlines()) == (told is not None)
    assert bool(judgement.as_good) == (told is not None)


def test_a_class_without_a_row_is_told(capsys):
    judgement = of_classes(4)
    show_judgement(judgement)
    assert "No row is of class" not in capsys.readouterr().out
    judgement.confusion.counts[1:3] = 0
    show_judgement(judgement)
    told = "No row is of class class 1, class 2: these numbers do not show how well it is predicted"
    assert told in capsys.readouterr().out.splitlines()


def test_many_classes_are_shown_as_their_mistakes(capsys):
    judgement = of_classes(30, 500)
    show_judgement(judgement)
    out = capsys.readouterr().out
    assert "The most frequent mistakes among 30 classes:" in out
    found = mistakes(judgement.confusion)
    assert len(found) == 10
    counts = judgement.confusion.counts
    assert [count for *_, count in found] == sorted((count for *_, count in found), reverse=True)
    assert all(true != said and counts[true, said] == count for true, said, count in found)
    judgement.confusion.counts = torch.eye(30, dtype=torch.int64)
    assert mistakes(judgement.confusion) == []


def test_residuals_are_shown_in_a_table(capsys):
    show_judgement(of_numbers())
    out = capsys.readouterr().out
    assert "3 of them are left out below: " in out
    assert [line.split() for line in out.splitlines()][5] == [
        *("true", "-", "predicted", "mean", "std", "5", "%", "median", "95", "%", "largest")
    ]
    assert "price 0 " in out


def test_a_long_name_is_cut_and_markup_is_text(capsys):
    judgement = of_classes(2)
    judgement.confusion.classes = ("[red]a[/red]", "x" * 40)
    show_judgement(judgement)
    out = capsys.readouterr().out
    assert "[red]a[/red]" in out
    assert f"{'x' * 17}..." in out
    assert "x" * 18 not in out


def test_of_few_rows_points_are_larger_and_counts_whole(tmp_path, drawn):
    (tmp_path / "figures").mkdir()
    sizes = {}
    for rows in (13, 1000):
        draw_judgement(of_numbers(rows=rows), tmp_path, None, None)
        left, right = drawn["residuals"].axes
        sizes[rows] = left.collections[0].get_sizes()[0]
        assert all(tick == int(tick) for tick in right.get_yticks())
    assert sizes[13] > sizes[1000]
    draw_judgement(of_classes(3, rows=13), tmp_path, None, None)
    assert all(tick == int(tick) for tick in drawn["calibration"].axes[1].get_yticks())
