"""The command that suggests a learning rate."""

import pytest
import tomli_w
from click.testing import CliRunner
from PIL import Image

from mytorch.commands.lr_find import lr_find
from mytorch.experiments import load_experiment
from mytorch.experiments.figures.lr_range_figure import draw_lr_range
from mytorch.experiments.training.find_rate import find_rate
from mytorch.plugins import FileError
from mytorch.train import LRRange


@pytest.fixture
def blank_figures():
    """Figures are drawn: of a range of rates they are drawn nowhere else."""


@pytest.fixture
def call(parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(lr_find, list(map(str, arguments)))


def test_a_suggestion_and_a_figure(call, tmp_path):
    result = call("points")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert " steps of points with rates from 1e-06 to 10" in lines[0]
    assert lines[1].startswith("Suggested learning rate: ")
    assert lines[2].startswith("Take it: mytorch train points --set optimizer.lr=")
    assert lines[3] == "Drew lr-find.png"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[0] != ".") == ["lr-find.png"]
    with Image.open(tmp_path / "lr-find.png") as image:
        assert image.size == (960, 600)
    assert isinstance(call("points").exception, FileError)
    assert call("points", "--force").exit_code == 0


def test_the_rate_of_a_schedule_that_decides_it_is_suggested(call, content, tmp_path):
    content["schedule"] = {"type": "OneCycleLR", "max_lr": 0.3}
    (tmp_path / "cycle.toml").write_text(tomli_w.dumps(content))
    lines = call("cycle.toml").stdout.splitlines()
    assert lines[1].endswith("(the experiment has 0.3)")
    assert lines[2].startswith("Take it: mytorch train cycle.toml --set schedule.max_lr=0.")


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (
            LRRange([0.1, 0.2, 0.4], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0], True),
            "No suggestion: the loss nowhere falls; try",
        ),
        (LRRange([], [], [], True), "lr-find: the loss was not finite at the first step; try a smaller --start"),
    ],
)
def test_no_suggestion(call, monkeypatch, found, text):
    experiment = load_experiment("points")
    monkeypatch.setattr("mytorch.experiments.training.find_rate.find_rate", lambda *_, **__: (experiment, found))
    assert text in call("points").output


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--end", "0"), "Invalid value for '--end': 0.0 is not in the range x>0.0."),
        (("--end", "1e-7"), "Invalid value for --end: 1e-07 must be above --start, 1e-06"),
        (("--steps", "2"), "Invalid value for '--steps': 2 is not in the range x>=10."),
    ],
)
def test_options_out_of_range_are_named_as_they_were_typed(call, options, text):
    result = call("points", *options)
    assert result.exit_code == 2
    assert text in result.output


def test_a_figure_of_another_format(call):
    result = call("points", "--output", "a.svg")
    assert isinstance(result.exception, FileError)
    assert "a.svg" in str(result.exception)


def test_the_schedule_has_no_part_in_it(parts):
    _, plain = find_rate("points", {"seed": 1}, steps=20)
    _, scheduled = find_rate("points", {"seed": 1, "schedule": {"type": "toy-parts:Ramp"}}, steps=20)
    assert scheduled == plain


def test_a_figure_without_a_suggestion(tmp_path):
    assert draw_lr_range(LRRange([0.1, 0.2], [1.0, 1.0], [1.0, 1.0], False), tmp_path / "flat.png").is_file()
