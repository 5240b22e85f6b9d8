"""What a run leaves in its folder, and when."""

import csv
import json
import math

import pytest
import torch
from toy_parts import SGD, Chain, Dense, Line, Noise, Points, SquaredError, network

from mytorch.core import ArgumentError, DescriptionError
from mytorch.data.preparation.encoded_targets import EncodedTargets
from mytorch.experiments import Recorder, RunError, load
from mytorch.experiments.callbacks import recorder as implementation
from mytorch.experiments.figures.attempt import FigureWarning
from mytorch.plugins import Callback, FileError, StopTraining, hookimpl
from mytorch.train import ErrorRate, NotFiniteError, fit, load_model, sealed


def train(folder, net=None, *, lr=0.1, callbacks=(), **options):
    net = net or network()
    options = {"epochs": 3, "batch_size": 32, "metrics": [ErrorRate()]} | options
    data = EncodedTargets(Points(70), "one-hot", torch.float32)
    return fit(
        net,
        SquaredError(),
        SGD(net.param(), lr),
        data,
        callbacks=[*callbacks, Recorder(folder)],
        quiet=True,
        **options,
    )


def only(folder):
    (path,) = folder.iterdir()
    return path


def read(folder, name="summary.json"):
    return json.loads((only(folder) / name).read_text())


class Act:
    """Does something at one moment."""

    def __init__(self, hook, action):
        setattr(self, hook, hookimpl(action))


def test_a_run_is_kept(tmp_path):
    net = network()
    training = train(tmp_path, net, test=EncodedTargets(Points(20, 1), "one-hot", torch.float32))
    path = only(tmp_path)
    assert path.name.startswith("chain-")
    names = {"data.json", "figures", "history.csv", "model.json", "summary.json", "weights.safetensors"}
    assert {entry.name for entry in path.iterdir()} == names | {"checkpoint.safetensors", "run.lock"}
    assert {entry.name for entry in (path / "figures").iterdir()} == {
        "decision_boundary.png",
        "loss.png",
        "error_rate.png",
    }
    run = load(path)
    assert run.history == training.history
    assert not run.net.training
    torch.testing.assert_close(run.net.state_dict(), net.state_dict(), rtol=0, atol=0)
    assert run.data == {"columns": ["x", "y"], "classes": ["below", "above"], "preparation": None}
    assert run.experiment is None
    with pytest.raises(RunError, match=r"must have an experiment.toml to be evaluated, got a run trained from Python"):
        run.evaluate()


def test_the_summary(tmp_path):
    training = train(tmp_path)
    summary = read(tmp_path)
    assert summary["status"] == "finished"
    assert summary["reason"] is None
    assert (summary["epochs"], summary["epochs_planned"]) == (3, 3)
    assert summary["last"] == training.history[-1]
    assert summary["seconds"] == pytest.approx(sum(record["seconds"] for record in training.history))
    assert summary["loss"] == "SquaredError"
    assert summary["optimizer"] == "SGD(lr=0.1, momentum=0.0)"
    assert summary["versions"]["torch"] == torch.__version__


def test_what_hooks_note_stands_in_the_summary_and_replaces_nothing(tmp_path):
    def note(run):
        run.notes.update(best={"epoch": 1}, status="perfect")

    train(tmp_path, callbacks=[Act("training_started", note)])
    summary = read(tmp_path)
    assert (summary["best"], summary["status"]) == ({"epoch": 1}, "finished")


def test_two_runs_get_two_folders(tmp_path):
    train(tmp_path)
    train(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("quiet", [False, True])
def test_the_folder_is_made_when_the_training_starts_and_told(tmp_path, capsys, quiet):
    recorder, net = Recorder(tmp_path / "runs", quiet=quiet), network()
    assert recorder.path is None
    assert not (tmp_path / "runs").exists()
    given = net, SquaredError(), SGD(net.param()), EncodedTargets(Points(20), "one-hot", torch.float32)
    fit(*given, epochs=1, batch_size=10, callbacks=[recorder], quiet=True)
    assert recorder.path == only(tmp_path / "runs")
    assert capsys.readouterr().err == ("" if quiet else f"The run is kept in {recorder.path}\n")
    assert len(load(recorder.path, {type(m).__name__: type(m) for m in net.modules()}).history) == 1


def test_everything_is_written_as_it_happens(tmp_path):
    seen = []

    def look(run, epoch):
        with (only(tmp_path) / "history.csv").open() as file:
            seen.append([row["epoch"] for row in csv.DictReader(file)])
        assert read(tmp_path)["status"] == "running"
        load_model(only(tmp_path))

    train(tmp_path, callbacks=[Act("epoch_ended", look)])  # told after the recorder, which was added later
    assert seen == [["1"], ["1", "2"], ["1", "2", "3"]]


def test_every_column_from_the_first_line(tmp_path):
    train(tmp_path, evaluate_every=2, validation=EncodedTargets(Points(20, 1), "one-hot", torch.float32))
    lines = (only(tmp_path) / "history.csv").read_text().splitlines()
    assert lines[0] == "epoch,lr,seconds,train_loss,train_error_rate,validation_loss,validation_error_rate"
    assert lines[1].endswith(",,,")
    assert list(load(only(tmp_path)).history[0]) == ["epoch", "lr", "seconds", "train_loss"]


def test_weights_are_kept_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr(implementation, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(implementation, "SOON", 0.0)
    kept = []

    def look(run):
        current = run.net.state_dict()
        kept.append(
            all(torch.equal(value, current[name]) for name, value in load_model(only(tmp_path)).state_dict().items())
        )

    train(tmp_path, callbacks=[Act("epoch_ended", look)])
    assert kept == [True] * 3


def raises(error, epoch=2):
    def act(run, epoch):
        if run.epoch == when:
            raise error

    when = epoch
    return Act("epoch_ended", act)


def test_a_run_that_a_hook_stopped_is_finished(tmp_path):
    train(tmp_path, callbacks=[raises(StopTraining())])
    summary = read(tmp_path)
    assert (summary["status"], summary["epochs"]) == ("finished", 2)


def test_ctrl_c_keeps_what_was_trained(tmp_path):
    net = network()
    with pytest.raises(KeyboardInterrupt) as info:
        train(tmp_path, net, callbacks=[raises(KeyboardInterrupt())])
    assert info.value.__notes__ == [f"What was trained so far lies in {only(tmp_path)}"]
    run = load(only(tmp_path))
    assert (run.summary["status"], run.summary["reason"], len(run.history)) == ("interrupted", "interrupted", 2)
    torch.testing.assert_close(run.net.state_dict(), net.state_dict(), rtol=0, atol=0)
    assert (run.path / "figures" / "loss.png").exists()


def test_ctrl_c_while_the_end_is_written(tmp_path, monkeypatch):
    net, save = network(), implementation.save_weights
    calls = []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise KeyboardInterrupt
        save(*arguments)

    monkeypatch.setattr(implementation, "save_weights", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, net)
    run = load(only(tmp_path))
    assert run.summary["status"] == "interrupted"
    torch.testing.assert_close(run.net.state_dict(), net.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("part", ["draw_quantity", "new_figure", "save"])
def test_a_figure_that_fails_ends_no_run(tmp_path, monkeypatch, part):
    def fail(*_, **__):
        raise ValueError("a formula\nthat is none")

    monkeypatch.setattr(f"mytorch.experiments.figures.figures.{part}", fail)
    with pytest.warns(
        FigureWarning, match=r"the figures of the history could not be drawn \(ValueError: a formula that"
    ):
        train(tmp_path)
    assert (read(tmp_path)["status"], read(tmp_path)["epochs"]) == ("finished", 3)
    load_model(only(tmp_path))


def test_a_failure_says_why(tmp_path):
    with pytest.raises(NotFiniteError) as info:
        train(tmp_path, lr=1e30)
    assert info.value.__notes__ == [f"No epoch was completed; the run lies in {only(tmp_path)}"]
    summary = read(tmp_path)
    assert summary["status"] == "failed"
    assert summary["reason"].startswith("NotFiniteError: training: every value must stay finite")
    assert all(value.isfinite().all() for value in load_model(only(tmp_path)).state_dict().values())


class Lost(Callback):
    """Leaves values that are not finite, as a process does whose part of the weights is gone, and an error."""

    must_succeed = True

    def __init__(self, epoch, error):
        self.epoch, self.error = epoch, error

    def batch_ended(self, run, epoch):
        if epoch == self.epoch:
            run.net.param()[0].value.fill_(math.nan)
            raise self.error


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize(("epoch", "of"), [(1, "from before the first epoch"), (3, "of epoch 2")])
def test_the_last_good_weights_stay_where_an_error_leaves_others(tmp_path, monkeypatch, epoch, of, error):
    monkeypatch.setattr(implementation, "SOON", 0)
    monkeypatch.setattr(implementation, "CHECKPOINT_SECONDS", 0)
    with pytest.raises(error) as info:
        train(tmp_path, callbacks=[Lost(epoch, error("gone"))])
    note = f"Its weights are those {of}, since the model has values now that are not finite"
    assert note in info.value.__notes__
    assert read(tmp_path)["status"] in {"failed", "interrupted"}
    assert all(value.isfinite().all() for value in load(only(tmp_path)).net.state_dict().values())


def test_a_failure_that_is_no_fault_of_ours(tmp_path):
    class Broken(Dense):
        def backward(self, d_y, x):
            raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory") as info:
        train(tmp_path, Chain(Broken(2, 2)))
    assert f"No epoch was completed; the run lies in {only(tmp_path)}" in info.value.__notes__
    assert read(tmp_path)["reason"] == "RuntimeError: no memory"


def test_a_model_that_cannot_be_saved_fails_before_the_first_step(tmp_path):
    class Odd(Dense):
        def __init__(self, rule):
            super().__init__(2, 2)

    stepped = []
    with pytest.raises(DescriptionError, match=r"model\.rule"):
        train(tmp_path, Odd(abs), callbacks=[Act("batch_ended", lambda run: stepped.append(run))])
    assert stepped == []
    assert read(tmp_path)["status"] == "failed"


def test_what_json_cannot_hold_fails_before_the_first_step(tmp_path):
    data = Line(8)
    data.preparation = {"shift": torch.zeros(1)}
    net = Chain(Dense(1, 1))
    with pytest.raises(FileError, match=r"data.json: contents must be what JSON can hold"):
        fit(
            net,
            SquaredError(),
            SGD(net.param()),
            data,
            epochs=1,
            batch_size=4,
            callbacks=[Recorder(tmp_path)],
            quiet=True,
        )


def test_a_full_disk_ends_the_run_and_names_the_file(tmp_path, monkeypatch):
    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    def fill(run):
        monkeypatch.setattr(sealed, "save_file", full)

    with pytest.raises(FileError, match=r"weights.safetensors: must be writable, got No space left on device"):
        train(tmp_path, callbacks=[Act("epoch_ended", fill)])
    assert not list(only(tmp_path).glob("*.part"))
    load_model(only(tmp_path))


def test_a_loss_of_the_validation_that_is_not_finite_does_not_end_the_run(tmp_path):
    class Blind(SquaredError):
        def __call__(self, prediction, target):
            return super().__call__(prediction, target) * math.inf

    net = network()
    data = EncodedTargets(Points(20), "one-hot", torch.float32)
    fit(
        net,
        Blind(),
        SGD(net.param()),
        data,
        validation=data,
        epochs=2,
        batch_size=8,
        callbacks=[Recorder(tmp_path)],
        quiet=True,
    )
    assert read(tmp_path)["last"]["validation_loss"] is None
    assert load(only(tmp_path)).history[-1]["validation_loss"] == math.inf


def test_no_epochs(tmp_path):
    train(tmp_path, epochs=0)
    run = load(only(tmp_path))
    assert run.history == []
    assert run.summary["status"] == "finished"


def test_buffers_are_kept(tmp_path):
    net = Chain(network(), Noise())
    train(tmp_path, net)
    assert int(load(only(tmp_path)).net.layers[1].seen.value) == 9


def test_a_folder_that_cannot_be_made_is_what_the_error_says(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises((FileError, OSError)) as caught:
        train(tmp_path / "file")
    assert "_history" not in str(caught.value)


class Refusing(Callback):
    must_succeed = True

    def training_started(self):
        raise ArgumentError("no validation part")


def test_a_run_that_is_refused_before_the_recorder_is_told_keeps_its_error(tmp_path):
    net, recorder = network(), Recorder(tmp_path)
    data = EncodedTargets(Points(70), "one-hot", torch.float32)
    options = {"epochs": 1, "batch_size": 32, "quiet": True}
    fit(net, SquaredError(), SGD(net.param(), 0.1), data, callbacks=[recorder], **options)
    kept = {path: path.read_bytes() for path in only(tmp_path).rglob("*") if path.is_file()}
    with pytest.raises(ArgumentError, match="no validation part"):
        fit(net, SquaredError(), SGD(net.param(), 0.1), data, callbacks=[Recorder(tmp_path), Refusing()], **options)
    assert kept == {path: path.read_bytes() for path in only(tmp_path).rglob("*") if path.is_file()}


def test_a_recorder_that_fails_at_its_second_run_leaves_the_first_alone(tmp_path):
    folder = tmp_path / "runs"
    net, recorder = network(), Recorder(folder)
    data = EncodedTargets(Points(70), "one-hot", torch.float32)
    options = {"epochs": 1, "batch_size": 32, "quiet": True, "callbacks": [recorder]}
    fit(net, SquaredError(), SGD(net.param(), 0.1), data, **options)
    folder.rename(tmp_path / "moved")
    folder.write_text("")
    with pytest.raises((FileError, OSError)):
        fit(net, SquaredError(), SGD(net.param(), 0.1), data, **options)
    assert recorder.path is None
    assert read(tmp_path / "moved")["status"] == "finished"
