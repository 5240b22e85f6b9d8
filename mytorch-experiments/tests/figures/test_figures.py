"""Figures of a run."""

import itertools
import math
import subprocess
import sys

import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from toy_parts import Dense, Points

from mytorch.data.plot import plot_points
from mytorch.experiments import draw_decision_boundary
from mytorch.experiments.figures.attempt import FigureWarning, attempt
from mytorch.experiments.figures.figures import draw_history, draw_quantity, finish, new_figure, plot_series, save
from mytorch.plugins import FileError

HISTORY = [
    {"epoch": 1, "train_loss": 0.3, "test_loss": 0.4, "train_error_rate": 0.2, "test_error_rate": 0.3},
    {"epoch": 2, "train_loss": 0.2},
    {"epoch": 3, "train_loss": 0.1, "test_loss": 0.2, "train_error_rate": 0.1, "test_error_rate": 0.2},
]


def test_one_figure_a_quantity(tmp_path):
    paths = draw_history(HISTORY, tmp_path)
    assert [path.name for path in paths] == ["loss.png", "error_rate.png"]
    for path in paths:
        assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        picture = imread(path)
        assert picture.shape[:2] == (600, 960)
        assert picture.min() < 0.5 < picture.max()
    assert {path.name for path in tmp_path.iterdir()} == {"loss.png", "error_rate.png"}


def test_validation_stands_between_training_and_test(monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: (drawn.append(figure), path.touch()))
    history = [{"epoch": 1, "train_loss": 0.1, "validation_loss": 0.2, "test_loss": 0.3, "validation_f1": 0.5}]
    draw_history(history, tmp_path)
    (loss,), (f1,) = (figure.axes for figure in drawn)
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["train", "validation", "test"]
    assert [list(line.get_ydata()) for line in loss.lines] == [[0.1], [0.2], [0.3]]
    assert len({line.get_color() for line in loss.lines}) == 3
    assert [text.get_text() for text in f1.get_legend().get_texts()] == ["validation"]


def test_training_and_test_stand_in_one_picture(monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: (drawn.append(figure), path.touch()))
    draw_quantity(HISTORY, "error_rate", tmp_path / "x.png")
    (axes,) = drawn[0].axes
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("Error rate", "epoch", "error rate")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["train", "test"]
    assert [list(line.get_xdata()) for line in axes.lines] == [[1, 3], [1, 3]]
    assert [list(line.get_ydata()) for line in axes.lines] == [[0.2, 0.1], [0.3, 0.2]]
    assert axes.get_ylim()[0] == 0


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are written."""
    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: (figures.append(figure), path.touch()))
    return figures


def test_the_runs_name_stands_above_and_the_axis_ends_with_the_last_epoch(drawn, tmp_path):
    for last in (1, 7, 25, 26, 100, 343):
        history = [{"epoch": epoch, "train_loss": 1 / epoch} for epoch in range(1, last + 1)]
        draw_history(history, tmp_path, "disk-20260101-120000")
        (axes,) = drawn[-1].axes
        assert drawn[-1].get_suptitle() == "disk-20260101-120000"
        ticks = axes.get_xticks().tolist()
        assert ticks[-1] == last
        assert len(ticks) <= 9
        assert all(tick == int(tick) for tick in ticks)
        gaps = [after - before for before, after in itertools.pairwise(ticks)]
        assert all(gap >= (last - 1) / 12 for gap in gaps)


def test_the_epoch_whose_weights_are_kept_is_marked_unless_it_is_the_last(drawn, tmp_path):
    for kept, marked in ((2, True), (3, False), (None, False)):
        draw_history(HISTORY, tmp_path, "disk-20260101-120000", kept)
        (axes,) = drawn[-1].axes
        texts = [text.get_text() for text in axes.get_legend().get_texts()]
        assert texts == ["train", "test"] + ["epoch 2, whose weights are kept"] * marked
        assert [list(line.get_xdata()) for line in axes.lines[2:]] == [[2, 2]] * marked
        assert axes.get_xlim()[0] < 2 < axes.get_xlim()[1]


def test_the_axis_begins_at_zero_only_where_the_values_come_near(drawn, tmp_path):
    for values, begins in (([0.3, 0.1], True), ([0.99, 0.95], False), ([-0.5, 0.3], False)):
        draw_history([{"epoch": at, "train_loss": value} for at, value in enumerate(values, 1)], tmp_path)
        assert (drawn[-1].axes[0].get_ylim()[0] == 0) == begins


NAMES = ["$10-$20", "a_b^c", r"\alpha\$", "100 %", "日本 \N{GRINNING FACE}", "$", "<b>", "{x}", "$\\frac{1}$"]


@pytest.mark.parametrize("name", NAMES)
def test_any_text_is_drawn_as_it_stands(tmp_path, name):
    figure, axes = new_figure()
    axes.set_title(name)
    axes.set_xticks([0, 1], [name, name])
    axes.plot([0, 1], label=name)
    axes.legend()
    figure.suptitle(name)
    save(figure, tmp_path / "x.png")
    assert imread(tmp_path / "x.png").min() < 0.5


@pytest.mark.parametrize("name", NAMES)
def test_names_of_a_data_set_too(tmp_path, name):
    data = Points(20)
    data.classes, data.columns = (name, f"{name} too"), (name, "y")
    plot_points(data, tmp_path / "points.png")
    draw_decision_boundary(Dense(2, 2), data, tmp_path / "boundary.png", test=data, title=name)
    assert len(list(tmp_path.iterdir())) == 2


def test_an_attempt_tells_in_a_line_what_was_not_drawn():
    with (
        pytest.warns(FigureWarning, match=r"^the figure x could not be drawn \(ValueError: no way\); everything else"),
        attempt("the figure x"),
    ):
        raise ValueError("no\nway")
    with pytest.raises(FileError), attempt("the figure x", FileError):
        raise FileError("full")
    with pytest.raises(KeyboardInterrupt), attempt("the figure x"):
        raise KeyboardInterrupt


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("rest", [[], HISTORY])
def test_numbers_that_are_not_finite_are_left_out(tmp_path, value, rest):
    draw_history([*rest, {"epoch": 4, "train_loss": value, "test_loss": 0.1}], tmp_path)
    draw_history([*rest, {"epoch": 4, "train_loss": value}], tmp_path)


def test_one_epoch_and_negative_values(tmp_path):
    figure, axes = new_figure()
    plot_series(axes, [{"epoch": 1, "x": -2.0}], "x", label="x", color="k")
    finish(axes, "x", "x")
    assert axes.get_ylim()[0] < -2
    figure.savefig(tmp_path / "x.png")


def test_nothing_to_draw(tmp_path):
    assert draw_history([], tmp_path) == []


def test_a_figure_that_cannot_be_written(tmp_path, monkeypatch):
    with pytest.raises(FileError, match=r"loss.png: must be writable, got"):
        draw_history(HISTORY, tmp_path / "none")

    def full(figure, path, **_):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(FileError, match=r"loss.png: must be writable, got .*No space left"):
        draw_history(HISTORY, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_window_is_opened():
    import matplotlib.pyplot as plt

    new_figure()
    assert plt.get_fignums() == []


def test_who_draws_nothing_does_not_wait_for_matplotlib():
    code = "import sys, mytorch.train, mytorch.commands.train; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
