"""A run that keeps the weights of its best epoch has them in its folder."""

import pytest
import torch
from matplotlib.axes import Axes
from toy_metrics import Told
from toy_parts import SGD, Chain, Noise, SquaredError, Table, network

from mytorch.experiments import Recorder, load, train_experiment
from mytorch.experiments.tables.report import run_summary
from mytorch.plugins import hookimpl
from mytorch.train import KeepBest, NotFiniteError, fit


class Remember:
    """The weights and buffers after each epoch."""

    def __init__(self, then=None):
        self.states, self.then = [], then

    @hookimpl
    def epoch_ended(self, run, epoch):
        self.states.append({name: value.clone() for name, value in run.net.state_dict().items()})
        if self.then is not None and epoch == 4:
            raise self.then


def train(*values, callbacks, then=None, epochs=5, lr=0.05):
    net, remember = Chain(network(), Noise()), Remember(then)
    data = Table(torch.randn(20, 2), torch.randn(20, 2))
    options = {"metrics": [Told(*values)], "callbacks": [remember, *callbacks], "quiet": True}
    try:
        training = fit(net, SquaredError(), SGD(net.param(), lr), data, epochs=epochs, batch_size=4, **options)
    except (KeyboardInterrupt, ArithmeticError):
        training = None
    return net, remember.states, training


def same(net, state):
    return all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_saved_are_the_best_weights(tmp_path, order):
    callbacks = [KeepBest("train_told"), Remember()][::order]
    net, states, _ = train(5, 2, 3, 2, 4, callbacks=[*callbacks, Recorder(tmp_path)])
    run = load(next(tmp_path.iterdir()))
    assert same(net, states[1])
    assert same(run.net, states[1])
    assert run.summary["best"] == {"epoch": 2, "monitor": "train_told", "value": 2}
    assert run.summary["last"]["epoch"] == 5
    assert "\nThe weights are those of epoch 2: train told 2\n" in run_summary(run)


def test_the_curves_mark_the_best_epoch(tmp_path, monkeypatch):
    marked = []
    monkeypatch.setattr(Axes, "axvline", lambda _axes, at, **_: marked.append(at))
    train(5, 2, 3, 2, 4, callbacks=[KeepBest("train_told"), Recorder(tmp_path)])
    assert marked == [2, 2]  # loss and metric
    train(5, 4, 3, 2, 1, callbacks=[KeepBest("train_told"), Recorder(tmp_path)])
    assert marked == [2, 2]


def test_ctrl_c_keeps_the_best_too(tmp_path):
    net, states, _ = train(
        5, 2, 3, 4, then=KeyboardInterrupt(), callbacks=[KeepBest("train_told"), Recorder(tmp_path)]
    )
    run = load(next(tmp_path.iterdir()))
    assert run.summary["status"] == "interrupted"
    assert same(net, states[1])
    assert same(run.net, states[1])


def test_a_run_that_fails_later_keeps_the_best(tmp_path):
    class Explode:
        @hookimpl
        def epoch_ended(self, run, epoch):
            if epoch == 3:
                run.optimizer.param_groups[0]["lr"] = 1e30

    net, states, training = train(5, 2, 3, 4, callbacks=[KeepBest("train_told"), Explode(), Recorder(tmp_path)])
    assert training is None
    assert same(net, states[1])
    assert load(next(tmp_path.iterdir())).summary["reason"].startswith(NotFiniteError.__name__)


def test_an_experiment_names_it(content, tmp_path):
    run = train_experiment(
        content | {"callbacks": [{"type": "KeepBest", "monitor": "test_loss"}], "epochs": 4},
        output=tmp_path,
        quiet=True,
    )
    best = min(run.history, key=lambda record: record["test_loss"])
    assert run.summary["best"] == {"epoch": best["epoch"], "monitor": "test_loss", "value": best["test_loss"]}
    assert run.evaluate()["loss"] == pytest.approx(best["test_loss"])
