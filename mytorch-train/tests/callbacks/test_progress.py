"""What is shown while a training goes on."""

import io
import re

import pytest
from rich.console import Console
from rich.progress import ProgressSample, Task, TaskID
from toy_parts import SGD, Chain, Dense, Line, SquaredError

from mytorch.plugins import StopTraining, hookimpl
from mytorch.train import MeanAbsoluteError, fit
from mytorch.train.callbacks.progress import Progress, Times, duration


def shown(terminal, *, epochs=3, callbacks=(), error=None, width=150, colors="auto", **options):
    console = Console(force_terminal=terminal, file=io.StringIO(), width=width, color_system=colors)
    net = Chain(Dense(1, 1))
    arguments = {"epochs": epochs, "batch_size": 4, "quiet": True, "metrics": [MeanAbsoluteError()]} | options
    progress = Progress(console)
    with pytest.raises(error) if error else io.StringIO():
        fit(net, SquaredError(), SGD(net.param()), Line(8), callbacks=[*callbacks, progress], **arguments)
    return console.file.getvalue()


def is_closed(text):
    """Whether the terminal's cursor is shown again."""
    return text.rfind("\x1b[?25l") < text.rfind("\x1b[?25h")


def test_plain_lines():
    *lines, tested = shown(False, validation=Line(4), test=Line(4), epochs=10).splitlines()
    assert len(lines) == 10
    number = r"\d\.\d+(e-\d+)?"
    assert re.fullmatch(
        rf"epoch  1/10  train loss {number}  train mean absolute error {number}  "
        rf"validation loss {number}  validation mean absolute error {number}",
        lines[0],
    )
    assert re.fullmatch(
        rf"test, evaluated once with the final weights: loss {number}  mean absolute error {number}", tested
    )
    assert lines[-1].startswith("epoch 10/10  ")


def test_plain_lines_are_not_wrapped_and_hold_no_colours():
    text = shown(False, test=Line(4), width=20)
    assert len(text.splitlines()) == 4
    assert "\x1b" not in text


@pytest.mark.parametrize("epochs", [1, 49, 50, 51, 99, 101, 149, 420])
def test_there_are_about_fifty_lines_at_most_and_the_last_is_there(epochs):
    lines = shown(False, epochs=epochs, metrics=()).splitlines()
    assert min(epochs, 25) <= len(lines) <= 50
    assert lines[-1].startswith(f"epoch {epochs}/{epochs} ")


@pytest.mark.parametrize(
    ("epochs", "every", "told"), [(7, 3, [3, 6, 7]), (4, 1, [1, 2, 3, 4]), (300, 4, [*range(8, 300, 8), 300])]
)
def test_the_lines_are_of_epochs_that_were_evaluated(epochs, every, told):
    lines = shown(False, epochs=epochs, evaluate_every=every, validation=Line(4)).splitlines()
    assert [int(line.split()[1].split("/")[0]) for line in lines] == told
    assert all("validation mean absolute error" in line for line in lines)


class Stop:
    @hookimpl
    def epoch_ended(self, epoch):
        if epoch == 4:
            raise StopTraining("enough")


def test_the_last_line_is_there_when_a_run_ends_early():
    lines = shown(False, epochs=9, evaluate_every=3, callbacks=[Stop()]).splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 3/9", "epoch 4/9", "stopped by Stop: enough"]


def test_the_bar_tells_passed_and_left_time_in_words():
    task = Task(TaskID(0), "", total=10, completed=4, _get_time=lambda: 7.2)
    task.start_time = 0.0
    assert Times().render(task).plain == "7 s elapsed"
    task._progress.extend([ProgressSample(0.0, 0.0), ProgressSample(6.0, 4.0)])
    assert Times().render(task).plain == "7 s elapsed, 9 s left"
    task.finished_time = 75.0
    assert Times().render(task).plain == "1 min 15 s elapsed"
    assert [duration(seconds) for seconds in (0.2, 59.4, 60, 3599, 7265)] == [
        *("0 s", "59 s", "1 min 0 s", "59 min 59 s", "2 h 1 min")
    ]


def test_between_evaluations_the_bar_keeps_the_numbers_of_the_last():
    text = shown(True, epochs=2, evaluate_every=2, validation=Line(4))
    assert "epoch 2:" not in text
    progress = Progress()
    progress._evaluated = {"epoch": 3, "train_loss": 0.5, "validation_loss": 0.25}
    assert progress._latest({"epoch": 4, "train_loss": 0.4}).splitlines() == [
        "train       loss 0.4",
        "validation  epoch 3: loss 0.25",
    ]


def test_a_bar_on_a_terminal():
    text = shown(True)
    assert "3/3" in text
    assert "train       loss" in text
    assert "  mean absolute error" in text
    assert is_closed(text)


def test_a_full_bar_is_green_on_a_terminal_with_16_colours():
    full = re.findall(r"2/2\x1b\[0m \x1b\[([\d;]+)m━{30}\x1b", shown(True, epochs=2, colors="standard"))
    assert set(full) == {"32"}  # rich's own green would become the grey of an empty bar


def test_the_bar_moves_within_a_long_epoch(monkeypatch):
    monkeypatch.setattr("mytorch.train.callbacks.progress.BATCH_SECONDS", 0.0)
    assert "1/1" in shown(True, epochs=1)


class Ends:
    def __init__(self, error):
        self.error = error

    @hookimpl
    def batch_ended(self):
        raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), StopTraining()])
def test_the_bar_is_closed_however_it_ends(error):
    text = shown(
        True, callbacks=[Ends(error)], error=KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else None
    )
    assert is_closed(text)


def test_fit_shows_it_on_stderr(capsys):
    net = Chain(Dense(1, 1))
    fit(net, SquaredError(), SGD(net.param()), Line(8), epochs=2, batch_size=4)
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 2


def test_quiet(capsys):
    net = Chain(Dense(1, 1))
    fit(net, SquaredError(), SGD(net.param()), Line(8), epochs=2, batch_size=4, quiet=True)
    assert capsys.readouterr() == ("", "")
