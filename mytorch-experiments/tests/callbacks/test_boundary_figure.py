"""Runs whose data have two columns and classes draw their decision boundary."""

import itertools
import os
import signal

import pytest
import torch
from PIL import Image
from toy_metrics import Told
from toy_parts import SGD, Chain, Dense, Line, Points, SquaredError, network

from mytorch.data.preparation.encoded_targets import EncodedTargets
from mytorch.experiments import ExperimentError, Recorder, load, resume, train_experiment
from mytorch.experiments.callbacks import boundary_figure
from mytorch.experiments.callbacks.boundary_figure import FRAMES, BoundaryAnimation
from mytorch.experiments.runs.run_folder import RunFolder
from mytorch.experiments.tables.report import run_summary
from mytorch.plugins import Callback, hookimpl
from mytorch.train import Interrupted, KeepBest, fit


def figures(path):
    return sorted(figure.name for figure in (path / "figures").iterdir())


@pytest.fixture
def frames(monkeypatch):
    """The titles of the frames of animations, which are not drawn."""
    titles = []
    monkeypatch.setattr(
        boundary_figure, "animate_decision_boundary", lambda _plane, drawn, _path: titles.extend(t for t, _ in drawn)
    )
    return titles


def train(tmp_path, **options):
    net, data = network(), EncodedTargets(Points(40), "one-hot", torch.float32)
    options = {"epochs": 2, "batch_size": 20, "quiet": True} | options
    options["callbacks"] = [*options.get("callbacks", ()), Recorder(tmp_path)]
    fit(net, SquaredError(), SGD(net.param()), data, **options)
    (path,) = tmp_path.glob("chain-*")
    return path


def test_a_run_from_python(tmp_path):
    assert figures(train(tmp_path)) == ["decision_boundary.png", "loss.png"]


def test_a_run_without_two_columns_draws_none_and_says_nothing(tmp_path):
    net = Chain(Dense(1, 1))
    fit(
        net,
        SquaredError(),
        SGD(net.param()),
        Line(8),
        epochs=2,
        batch_size=4,
        quiet=True,
        callbacks=[Recorder(tmp_path)],
    )
    (path,) = tmp_path.iterdir()
    assert figures(path) == ["loss.png"]


def test_a_run_without_epochs_draws_none(tmp_path):
    path = train(tmp_path, epochs=0)
    assert not (path / "figures").exists()


class Interrupt:
    @hookimpl
    def epoch_ended(self, epoch):
        if epoch == 2:
            raise KeyboardInterrupt


def test_after_ctrl_c_what_was_trained_is_drawn(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, epochs=5, callbacks=[Interrupt()])
    assert "decision_boundary.png" in figures(next(tmp_path.iterdir()))


def test_an_experiment_that_asks_for_an_animation(content, tmp_path):
    run = train_experiment(content | {"animate": True, "epochs": 4}, output=tmp_path, quiet=True)
    assert figures(run.path) == ["decision_boundary.gif", "decision_boundary.png", "error_rate.png", "loss.png"]
    with Image.open(run.path / "figures" / "decision_boundary.gif") as picture:
        assert picture.n_frames == 6  # before the first epoch, after each, and what is kept
    assert "figures: decision_boundary.gif, decision_boundary.png, error_rate.png" in run_summary(run)


def test_an_animation_changes_nothing_in_the_run(content, tmp_path):
    content["model"]["layers"].insert(0, {"type": "Noise"})
    one, other = (
        train_experiment(content | {"animate": animate}, output=tmp_path, quiet=True) for animate in (True, False)
    )
    for name in ("weights.safetensors", "model.json"):
        assert (one.path / name).read_bytes() == (other.path / name).read_bytes()


@pytest.mark.parametrize(("epochs", "last"), [(5, 1), (5, 3), (64, 61)])
def test_a_resumed_animation_is_that_of_a_run_without_interruption(content, tmp_path, monkeypatch, epochs, last):
    """Also where every second frame is left out by then."""
    drawn = []
    monkeypatch.setattr(
        boundary_figure, "animate_decision_boundary", lambda _plane, frames, _path: drawn.append(frames)
    )
    content |= {"animate": True, "epochs": epochs, "batch_size": 8}
    content["data"]["train"]["samples"] = 16
    train_experiment(content, output=tmp_path, quiet=True)

    class EndWithin(Callback):
        def batch_ended(self, epoch, batch):
            if (epoch, batch) == (last, 1):
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        train_experiment(content, output=tmp_path / "ended", quiet=True, callbacks=[EndWithin()])
    (path,) = (tmp_path / "ended").iterdir()
    resume(path, quiet=True)
    whole, resumed = drawn[0], drawn[-1]
    assert [title for title, _ in resumed] == [title for title, _ in whole]
    assert all(torch.equal(one, other) for (_, one), (_, other) in zip(resumed, whole, strict=True))


def test_an_animation_of_other_data_is_refused_before_anything_is_written(content, tmp_path):
    content["model"] = {"type": "Dense", "in_features": 3, "out_features": 2}
    content["data"] = {"train": {"type": "Points", "samples": 10}, "targets": "as-is"}
    content["loss"], content["animate"] = {"type": "SquaredError"}, True

    class Numbers(Points):
        classes = None

        def batch_at(self, indices):
            inputs, targets = super().batch_at(indices)
            return torch.cat((inputs, inputs[:, :1]), 1), targets

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toy_parts.Points", Numbers)
        with pytest.raises(
            ExperimentError, match=r"animate: must be left out unless data have two columns and classes, got inputs of"
        ):
            train_experiment(content, output=tmp_path / "runs", quiet=True)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("epochs", [1, 57, 58, 59, 60, 200])
def test_frames_are_few_and_even(content, tmp_path, frames, epochs):
    content |= {"animate": True, "epochs": epochs}
    content["data"]["train"]["samples"], content["batch_size"] = 8, 8
    train_experiment(content, output=tmp_path, quiet=True)
    assert FRAMES / 2 < len(frames) <= FRAMES or len(frames) == epochs + 2
    assert frames[0] == "epoch 0"
    assert frames[-1].startswith(f"epoch {epochs}: train error rate ")
    assert frames[-1].endswith(" (kept)")
    seen = [int(title.split(":")[0].split()[1]) for title in frames[:-1]]
    assert {after - before for before, after in itertools.pairwise(seen)} == {seen[1]}


def test_the_last_frame_is_of_the_weights_that_are_kept(tmp_path, frames):
    callbacks = [BoundaryAnimation(RunFolder(tmp_path)), KeepBest("train_told")]
    path = train(tmp_path, epochs=4, metrics=[Told(5, 2, 3, 4)], callbacks=callbacks)
    loss = load(path).history[1]["train_loss"]
    assert frames[-1] == f"epoch 2: train loss {loss:.4g} (kept)"


def test_a_run_that_fails_at_once_has_no_animation(tmp_path, frames):
    net = Chain(Dense(1, 1))
    with pytest.raises(ArithmeticError):
        fit(
            net,
            SquaredError(),
            SGD(net.param(), lr=1e30),
            Line(8),
            epochs=2,
            batch_size=4,
            quiet=True,
            callbacks=[BoundaryAnimation(None)],
        )
    assert not frames
