"""Figures of what a network makes of some rows: only what suits the data is drawn, in the units of the data."""

import numpy as np
import pytest
import torch
from toy_parts import Dense, Table

from mytorch.core import Module
from mytorch.data import Shapes, SineMixtures, Standardize, Standardized, StandardizedTargets, Windows
from mytorch.data.preparation.standardized_targets import learn_targets
from mytorch.experiments.figures import sample_figures
from mytorch.experiments.figures.sample_figures import draw_forecasts, draw_reconstructions


class Given(Module):
    """A network that gives what it is told."""

    def __init__(self, outputs):
        self._outputs = outputs

    def forward(self, x):
        return self._outputs(x), None


@pytest.fixture
def drawn(monkeypatch):
    """The figures in place of their files."""
    found = []
    monkeypatch.setattr(sample_figures, "save", lambda figure, path: found.append(figure) or path)
    return found


@pytest.mark.parametrize("standardized", [False, True])
@pytest.mark.parametrize("targets", [["load"], ["heat", "load"]])
def test_forecasts_have_the_history_before_them_in_units(tmp_path, drawn, standardized, targets):
    draw = np.random.default_rng(0)
    series = {"load": draw.normal(size=90) * 50 + 900, "heat": draw.normal(size=90)}
    np.savez(tmp_path / "series.npz", **series)
    plain = Windows(tmp_path / "series.npz", targets, history=40, horizon=3, dtype="float64")
    data = plain
    if standardized:
        data = Standardized(plain, Standardize.fit(plain))
        data = StandardizedTargets(data, learn_targets(data))
    net = Given(lambda x: torch.zeros(len(x), 3 * len(targets), dtype=torch.float64))
    assert draw_forecasts(net, data, tmp_path / "f.png", "a title") == tmp_path / "f.png"
    (figure,) = drawn
    assert len(figure.axes) == 6
    expected = series[targets[0]]
    mean = plain[:][1][:, :: len(targets)].mean(0) if standardized else torch.zeros(3)
    for axes, begin in zip(figure.axes, [0, 9, 19, 28, 38, 47], strict=True):
        history, came, forecast = (line.get_ydata() for line in axes.lines[:3])
        np.testing.assert_allclose(history, expected[begin + 16 : begin + 40])
        np.testing.assert_allclose(came, expected[begin + 39 : begin + 43])
        np.testing.assert_allclose(forecast[1:], mean.numpy(), atol=1e-9)


def test_few_windows_and_one_step(tmp_path):
    data = SineMixtures(3, history=5)
    net = Given(lambda x: x[:, -1])
    draw_forecasts(net, data, tmp_path / "f.png", "a title")
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("pair", [False, True])
def test_reconstructions_stand_below_their_images(tmp_path, drawn, pair):
    data = Shapes(30, size=8, task="reconstruction")
    net = Given(lambda x: (x / 2, x, x) if pair else x / 2)
    draw_reconstructions(net, data, tmp_path / "r.png", "a title")
    (figure,) = drawn
    assert len(figure.axes) == 20
    low, high = data.inputs[[0, 3, 6, 10, 13, 16, 19, 23, 26, 29]].aminmax()
    image, other = (figure.axes[number].images[0].get_array() for number in (0, 10))
    np.testing.assert_allclose(image, (data.inputs[0, 0] - low) / (high - low), atol=1e-6)
    np.testing.assert_allclose(other, ((data.inputs[0, 0] / 2 - low) / (high - low)).clamp(0, 1), atol=1e-6)


def test_what_does_not_suit_is_not_drawn(tmp_path):
    points = Table(torch.randn(9, 2), torch.zeros(9, dtype=torch.int64))
    for draw in (draw_forecasts, draw_reconstructions):
        assert draw(Dense(2, 2), points, tmp_path / "x.png", "a title") is None
    assert draw_reconstructions(Dense(8, 3), Shapes(9, size=8), tmp_path / "x.png", "") is None
    same = Shapes(9, size=8, task="reconstruction")
    assert draw_reconstructions(Given(lambda x: x.flatten(1)), same, tmp_path / "x.png", "") is None
    assert draw_forecasts(Given(lambda x: x), SineMixtures(9), tmp_path / "x.png", "") is None
    assert list(tmp_path.iterdir()) == []
