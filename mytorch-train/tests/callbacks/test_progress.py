"""What is shown while a training goes on."""

import io
import re

import pytest
from rich.console import Console
from toy_parts import SGD, Chain, Dense, Line, SquaredError

from mytorch.plugins import StopTraining, hookimpl
from mytorch.train import MeanAbsoluteError, fit
from mytorch.train.callbacks.progress import Progress


def shown(terminal, *, epochs=3, callbacks=(), error=None, width=150, **options):
    console = Console(force_terminal=terminal, file=io.StringIO(), width=width)
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
        rf"test, judged once with the weights that are kept: loss {number}  mean absolute error {number}", tested
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


def test_a_bar_on_a_terminal():
    text = shown(True)
    assert "3/3" in text
    assert "train loss" in text
    assert "train mean absolute error" in text
    assert is_closed(text)


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
