"""Runs that are resumed in their folder, and what is said of those that died."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from toy_parts import SGD, Points, SquaredError, network

from mytorch.core import StateError, random_state
from mytorch.data.preparation.encoded_targets import EncodedTargets
from mytorch.experiments import Recorder, RunError, list_runs, load, resume, train_experiment
from mytorch.experiments.file.load_experiment import load_experiment
from mytorch.experiments.runs.history_file import HistoryFile
from mytorch.experiments.runs.run_lock import lock_run
from mytorch.experiments.runs.weights_epoch import RunWarning, weights_epoch
from mytorch.plugins import Callback, FileError, hookimpl
from mytorch.train import Interrupted, fit, read_checkpoint


class StopAt(Callback):
    """Asks the process to end after a batch."""

    def __init__(self, step, number=signal.SIGTERM):
        self.step, self.number = step, number

    def batch_ended(self):
        self.step -= 1
        if self.step == 0:
            os.kill(os.getpid(), self.number)


def only(folder):
    (path,) = (entry for entry in folder.iterdir() if entry.is_dir())
    return path


def interrupted(content, folder, step=6, **overrides):
    """The folder of a run of 3 epochs of 4 batches that ended after a batch, before it was trained to the end."""
    with pytest.raises(Interrupted) as info:
        train_experiment(content, overrides, output=folder, callbacks=[StopAt(step)], quiet=True)
    assert f"Resume with: mytorch resume {only(folder)}" in info.value.__notes__
    return only(folder)


def end_of(run):
    """What must be equal in the folder of a run."""
    state = read_checkpoint(run.path)
    state["optimizer"].pop("type", None)
    state = {name: state[name] for name in ("net", "optimizer", "random", "order", "epoch")}
    state["random"] = {name: value for name, value in state["random"].items() if name == "cpu"}
    history = [{name: value for name, value in record.items() if name != "seconds"} for record in run.history]
    return {"net": run.net.state_dict(), "state": state, "history": history}


def require_same(run, other):
    torch.testing.assert_close(end_of(run), end_of(other), rtol=0, atol=0)


@pytest.mark.parametrize("step", [1, 4, 6, 11])
def test_a_run_that_was_interrupted_goes_on_in_its_folder(content, parts, tmp_path, step):
    content["optimizer"]["momentum"] = 0.9
    whole = train_experiment(content, output=tmp_path / "whole", quiet=True, callbacks=[StopAt(0)])
    path = interrupted(content, tmp_path / "ended", step)
    (listed,) = list_runs(tmp_path / "ended")
    assert (listed.status, listed.reason) == ("interrupted", "ended by SIGTERM")
    assert listed.epochs == listed.weights_epoch == step // 4 - (step % 4 == 0)
    run = resume(path, quiet=True)
    assert run.path == path == only(tmp_path / "ended")
    require_same(run, whole)
    assert run.summary["status"] == "finished"
    assert run.summary["resumed"] == [{"epoch": (step - 1) // 4, "batch": (step - 1) % 4 + 1}]


def test_a_run_is_resumed_by_an_experiment_and_a_finished_one_by_more_epochs(content, parts, tmp_path):
    longer = train_experiment(content, {"epochs": 5}, output=tmp_path / "whole", quiet=True)
    run = train_experiment(content, output=tmp_path / "runs", quiet=True)
    with pytest.raises(
        RunError, match=r"one that is finished after 3 of 3 epochs; train longer with epochs=6 \(--set epochs=6\)"
    ):
        resume(run.path, quiet=True)
    assert run.history == load(run.path).history
    require_same(train_experiment(content, {"epochs": 5}, resume=run.path, quiet=True), longer)
    assert load_experiment(run.path / "experiment.toml").epochs == 5


def test_what_came_after_the_checkpoint_is_cut_off_and_trained_again(content, parts, tmp_path, capsys):
    whole = train_experiment(content, output=tmp_path / "whole", quiet=True)
    path = interrupted(content, tmp_path / "ended", 6)
    history = path / "history.csv"
    lines = history.read_text().splitlines()
    history.write_text("\n".join([*lines, lines[-1].replace("1,", "2,", 1), lines[-1].replace("1,", "3,", 1), "half"]))
    as_if_killed(path)
    run = resume(path)
    said = capsys.readouterr().err
    assert f"{path} goes on after 1 epoch and 2 batches; its history has 3 epochs after it, to be" in said
    assert run.summary["resumed"][0]["trained_again"] == 3
    require_same(run, whole)


def as_if_killed(path):
    """The summary that a process leaves which was killed: that of its start."""
    summary = json.loads((path / "summary.json").read_text())
    del summary["sha256"], summary["files"]
    (path / "summary.json").write_text(json.dumps({**summary, "status": "running", "reason": None, "epochs": 0}))


def test_a_run_that_died_says_so_and_old_weights_are_told(content, parts, tmp_path):
    path = train_experiment(content, output=tmp_path, quiet=True).path
    as_if_killed(path)
    lock = lock_run(path)
    assert [(run.status, run.epochs) for run in list_runs(tmp_path)] == [("running", 3)]
    lock.release()
    (listed,) = list_runs(tmp_path)
    assert listed.status == "died"
    assert listed.reason.endswith(f"is gone; go on with: mytorch resume {path}")
    shutil.copy(interrupted(content, tmp_path / "other", 5) / "weights.safetensors", path)
    assert list_runs(tmp_path)[0].weights_epoch == 1
    with pytest.warns(RunWarning, match=r"its weights are those of epoch 1, while its history has 3 epochs"):
        load(path)
    summary = json.loads((path / "summary.json").read_text())
    (path / "summary.json").write_text(json.dumps({**summary, "process": {"pid": 1, "host": "elsewhere"}}))
    (path / "run.lock").unlink()
    assert list_runs(tmp_path)[0].reason == "process 1 on elsewhere, as far as can be told from here"


@pytest.mark.parametrize("step", [2, 6, 11])
def test_a_process_may_be_killed_while_it_resumes(content, parts, tmp_path, monkeypatch, step):
    """Its weights are those of the checkpoint, and say so, before the history is cut back to it."""
    whole = train_experiment(content, output=tmp_path / "whole", quiet=True)
    path = interrupted(content, tmp_path / "ended", step)
    as_if_killed(path)
    shutil.copy(whole.path / "weights.safetensors", path)  # those of the end, which came after the checkpoint
    shutil.copy(whole.path / "history.csv", path)
    seen, rewrite = [], HistoryFile.rewrite

    def look():
        with random_state():  # a model is built, from random numbers
            seen.append((weights_epoch(path), len(load(path).history)))

    def rewriting(history, records):
        with pytest.warns(RunWarning, match="while its history has 3 epochs"):
            look()
        return rewrite(history, records)

    class Look(Callback):
        def batch_ended(self):
            if len(seen) == 1:
                look()

    monkeypatch.setattr(HistoryFile, "rewrite", rewriting)
    require_same(resume(path, quiet=True, callbacks=[Look()]), whole)
    assert seen == [(step // 4, 3), (step // 4, step // 4)]


def test_a_run_that_was_killed_before_its_first_checkpoint_begins_anew_in_its_folder(content, parts, tmp_path):
    whole = train_experiment(content, output=tmp_path / "whole", quiet=True)
    path = tmp_path / "killed"
    shutil.copytree(whole.path, path)
    (path / "checkpoint.safetensors").unlink()
    with pytest.raises(RunError, match=r"without which a run that is finished cannot be resumed; train it anew"):
        resume(path, quiet=True)
    (path / "summary.json").unlink()
    (path / "model.json").unlink()
    require_same(resume(path, quiet=True), whole)
    assert len((path / "history.csv").read_text().splitlines()) == 4


class EndAt(Callback):
    """Ends a run as a second signal does, or an error of a callback: at once, without a checkpoint."""

    must_succeed = True

    def __init__(self, error, moment):
        self.error, self.moment = error, moment

    def training_started(self):
        if self.moment == "start":
            raise self.error

    def batch_ended(self):
        if self.moment == "batch":
            raise self.error


@pytest.mark.parametrize("moment", ["start", "batch"])
@pytest.mark.parametrize("error", [Interrupted(signal.SIGTERM), ValueError("no")], ids=["interrupted", "failed"])
def test_a_run_that_ended_before_its_first_checkpoint_begins_anew_in_its_folder(
    content, parts, tmp_path, error, moment
):
    whole = train_experiment(content, output=tmp_path / "whole", quiet=True)
    with pytest.raises(type(error)):
        train_experiment(content, output=tmp_path / "ended", quiet=True, callbacks=[EndAt(error, moment)])
    path = only(tmp_path / "ended")
    assert not (path / "checkpoint.safetensors").exists()
    run = resume(path, quiet=True)
    assert run.path == path
    require_same(run, whole)


def test_one_process_at_a_time(content, parts, tmp_path):
    path = interrupted(content, tmp_path)
    before = {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}
    lock = lock_run(path)
    with pytest.raises(RunError, match=r"must be trained by one process at a time, got one that another process"):
        resume(path, quiet=True)
    assert before == {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}
    lock.release()
    resume(path, quiet=True)


def test_a_checkpoint_that_another_process_wrote_meanwhile_is_not_trained_over(content, parts, tmp_path):
    path = interrupted(content, tmp_path)

    class Other(Callback):
        must_succeed = True

        @hookimpl(tryfirst=True)  # before the recorder takes the lock
        def training_started(self, run):
            if run.resumed is not None and not self.done:
                self.done = True
                resume(path, quiet=True)

    other = Other()
    other.done = False
    with pytest.raises(RunError, match="another process has trained on meanwhile; resume the run again"):
        resume(path, quiet=True, callbacks=[other])
    assert load(path).summary["status"] == "finished"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"optimizer.lr": 0.5}, r"of which only epochs may change; optimizer.lr must be 0.1, got 0.5"),
        ({"batch_size": 8}, r"batch_size must be 32, got 8"),
        ({"seed": 1}, r"seed must be 0, got 1"),
        ({"animate": True}, r"animate must be False, got True"),
        ({"device": "meta"}, r"device must be 'cpu', got 'meta'.*--accept-differences"),
        ({"engine": "compiled"}, r"engine must be 'eager', got 'compiled'.*--accept-differences"),
        ({"evaluate_every": 2}, r"evaluate_every must be 1, got 2.*--accept-differences"),
        ({"dtype": "float64"}, r"dtype must be 'float32', got 'float64'"),
        ({"data.train.seed": 5}, r"training data must be 100 rows, .* got 100 rows, .*accept_differences"),
    ],
)
def test_other_settings_are_refused_with_nothing_changed(content, parts, tmp_path, change, text):
    path = interrupted(content, tmp_path)
    before = {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}
    with pytest.raises(RunError, match=text):
        resume(path, change, quiet=True)
    assert before == {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}


def test_differences_are_accepted_and_noted(content, parts, tmp_path):
    path = interrupted(content, tmp_path)
    run = resume(path, {"data.train.seed": 5, "evaluate_every": 2}, quiet=True, accept_differences=True)
    told = run.summary["resumed"][0]["differences"]
    assert [line.partition(" must")[0] for line in told] == ["evaluate_every", "training data"]


def test_a_schedule_as_long_as_the_run_does_not_get_longer_unasked(content, parts, tmp_path):
    content["schedule"] = {"type": "Ramp"}
    run = train_experiment(content, output=tmp_path, quiet=True)
    with pytest.raises(RunError, match="got one whose length follows the epochs, 3 then and 5 now"):
        resume(run.path, {"epochs": 5}, quiet=True)
    assert len(resume(run.path, {"epochs": 5}, quiet=True, accept_differences=True).history) == 5


def test_a_moved_or_copied_run_goes_on(content, parts, tmp_path):
    whole = train_experiment(content, output=tmp_path / "whole", quiet=True)
    path = interrupted(content, tmp_path / "ended")
    shutil.copytree(path, tmp_path / "copy")
    shutil.move(path, tmp_path / "moved")
    for place in ("copy", "moved"):
        require_same(resume(tmp_path / place, quiet=True), whole)


@pytest.mark.parametrize(
    "name", ["checkpoint.safetensors", "data.json", "model.json", "experiment.toml", "summary.json"]
)
def test_a_flipped_byte_is_an_error(content, parts, tmp_path, name):
    path = interrupted(content, tmp_path)
    whole = (path / name).read_bytes()
    for place in {len(whole) // 3, len(whole) // 2, len(whole) - 3}:
        (path / name).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises((RunError, FileError, ValueError), match=None if name == "experiment.toml" else name):
            resume(path, quiet=True)


@pytest.mark.parametrize("name", ["data.json", "model.json", "experiment.toml", "history.csv", "weights.safetensors"])
def test_every_file_that_is_not_as_it_was_written_is_told_when_a_run_is_opened(content, parts, tmp_path, name):
    path = train_experiment(content, output=tmp_path, quiet=True).path
    if name == "weights.safetensors":
        (path / name).write_bytes((path / name).read_bytes()[:-1] + b"?")
    elif name == "data.json":
        content = json.loads((path / name).read_text())
        del content["classes"]
        (path / name).write_text(json.dumps(content, indent=2))
    else:
        (path / name).write_text((path / name).read_text() + "\n")
    with pytest.raises(RunError, match=rf"{name}: must have the content that was written, got different content"):
        load(path)


def test_a_run_trained_from_python(tmp_path):
    data = EncodedTargets(Points(70), "one-hot", torch.float32)

    def train(folder, epochs=3, resume=None, callbacks=()):
        torch.manual_seed(4)
        net = network()
        options = {"epochs": epochs, "batch_size": 32, "quiet": True, "resume": resume}
        recorder = Recorder(folder, quiet=True)
        return fit(net, SquaredError(), SGD(net.param(), 0.1, 0.9), data, callbacks=[recorder, *callbacks], **options)

    whole = train(tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(tmp_path / "ended", callbacks=[StopAt(4)])
    path = only(tmp_path / "ended")
    with pytest.raises(RunError, match=r"must have an experiment.toml to be resumed, .* fit\(resume=FOLDER\)"):
        resume(path)
    train(tmp_path / "ended", resume=path)
    assert only(tmp_path / "ended") == path
    require_same(load(path), load(whole.folder))


def test_a_state_that_does_not_fit_leaves_the_run_alone(tmp_path):
    data = EncodedTargets(Points(70), "one-hot", torch.float32)

    def train(wide, **options):
        net = network(wide=wide)
        options = {
            "epochs": 3,
            "batch_size": 32,
            "quiet": True,
            "callbacks": [Recorder(tmp_path, quiet=True)],
        } | options
        return fit(net, SquaredError(), SGD(net.param(), 0.1), data, **options)

    path = train(4).folder
    before = {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}
    with pytest.raises(StateError) as info:
        train(5, resume=path, epochs=4)
    assert f"while the state of {path / 'checkpoint.safetensors'} was put back" in info.value.__notes__
    assert before == {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}
    assert load(path).summary["status"] == "finished"


def test_a_process_that_was_killed_is_resumed_by_another(tmp_path):
    """As users do it: two processes, and the second knows nothing of the first."""
    pytest.importorskip("mytorch.cli", reason="it is mytorch-cli that has the command")
    command = [sys.executable, "-m", "mytorch"]
    settings = ["--set", "epochs=60", "--set", "checkpoint_every=0", "--quiet"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def run(*more):
        return subprocess.run([*command, *more], cwd=tmp_path, env=environment, capture_output=True, text=True)

    assert run("train", "disk", *settings, "-o", "whole").returncode == 0
    process = subprocess.Popen([*command, "train", "disk", *settings, "-o", "killed"], cwd=tmp_path, env=environment)
    while not list(tmp_path.glob("killed/*/checkpoint.safetensors")) and process.poll() is None:
        pass
    process.kill()
    process.wait()
    path = only(tmp_path / "killed")
    listed = json.loads(run("runs", "killed", "--json").stdout)
    assert listed[0]["status"] == "died"
    done = run("resume", str(path))
    assert done.returncode == 0, done.stderr
    assert "goes on after" in done.stderr
    require_same(load(path), load(only(Path(tmp_path) / "whole")))
