"""An experiment from start to finish."""

import json
import re

import pytest
import torch
import toy_parts

from mytorch.core import ArgumentError
from mytorch.experiments import ExperimentError, RunError, load, load_experiment, train_experiment
from mytorch.experiments.tables.report import run_summary
from mytorch.plugins import Callback, PluginError, PluginWarning, StopTraining, UnknownNameError, hookimpl
from mytorch.train import NotFiniteError, step


def run(source, tmp_path, overrides=None, **options):
    return train_experiment(source, overrides, output=tmp_path / "runs", quiet=True, **options)


def test_a_run(parts, tmp_path, no_autograd):
    done = run("points", tmp_path, {"epochs": 4})
    names = {path.name for path in done.path.iterdir()}
    kept = {
        "checkpoint.safetensors",
        "data.json",
        "experiment.toml",
        "figures",
        "history.csv",
        "model.json",
        "run.lock",
        "summary.json",
        "weights.safetensors",
    }
    assert names == kept
    assert done.path.parent == tmp_path / "runs"
    assert done.experiment == load_experiment("points", {"epochs": 4})
    assert len(done.history) == 4
    assert done.summary["status"] == "finished"
    again = load(str(done.path))
    torch.testing.assert_close(again.net.state_dict(), done.net.state_dict(), rtol=0, atol=0)
    judged = again.evaluate()
    assert judged == pytest.approx(done.summary["test"])


def test_one_experiment_one_result(content, tmp_path):
    first, second = (run(content, tmp_path) for _ in range(2))
    assert first.path != second.path
    for name in ("experiment.toml", "weights.safetensors", "model.json"):
        assert (first.path / name).read_bytes() == (second.path / name).read_bytes()


def test_a_run_can_be_run_again_from_its_own_file(content, tmp_path):
    first = run(content, tmp_path)
    second = run(first.path / "experiment.toml", tmp_path)
    assert first.experiment == second.experiment
    assert (first.path / "weights.safetensors").read_bytes() == (second.path / "weights.safetensors").read_bytes()


def test_an_experiment_object_and_float64(content, tmp_path):
    done = run(load_experiment(content, {"dtype": "float64"}), tmp_path)
    assert done.net.param()[0].value.dtype == torch.float64
    assert done.evaluate()["loss"] == pytest.approx(done.summary["test"]["loss"], rel=1e-12)


def test_without_test_data_the_training_data_judges(content, tmp_path):
    del content["data"]["test"]
    done = run(content, tmp_path)
    assert done.evaluate()["error_rate"] == done.history[-1]["train_error_rate"]


def test_validation_stands_beside_the_test_and_selects(content, tmp_path):
    content["data"] = {"train": {"type": "Points", "samples": 200}, "targets": "one-hot"}
    content["data"]["split"] = {"validation": 0.2, "test": 0.1, "seed": 4}
    run = train_experiment(content | {"callbacks": ["KeepBest"]}, output=tmp_path, quiet=True)
    columns = (run.path / "history.csv").read_text().splitlines()[0].split(",")
    names = [f"{part}_{name}" for part in ("train", "validation") for name in ("loss", "error_rate")]
    assert columns[3:] == names
    assert run.summary["best"]["monitor"] == "validation_loss"
    assert run.summary["best"]["value"] == min(record["validation_loss"] for record in run.history)
    assert run.evaluate() == pytest.approx(run.summary["test"])
    content["data"]["split"].pop("test")
    run = train_experiment(content | {"callbacks": ["KeepBest"]}, output=tmp_path, quiet=True)
    assert run.evaluate()["loss"] == pytest.approx(run.summary["best"]["value"])


def test_threads_are_put_back(content, tmp_path):
    torch.set_num_threads(2)

    class Look:
        @hookimpl
        def batch_ended(self):
            assert torch.get_num_threads() == 1

    run(content, tmp_path, callbacks=[Look()])
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize(
    ("overrides", "options", "error"),
    [
        ({"optimizer.lr": -1}, {}, ExperimentError),
        ({"loss.type": "Gone"}, {}, UnknownNameError),
        ({}, {"callbacks": [object()]}, PluginError),
        ({"batch_size": 0}, {}, ExperimentError),
    ],
)
def test_a_mistake_writes_nothing(content, tmp_path, overrides, options, error):
    with pytest.raises(error):
        run(content, tmp_path, overrides, **options)
    assert list(tmp_path.iterdir()) == []


def test_what_toml_cannot_hold_writes_nothing(content, tmp_path):
    content["data"]["train"] = {"type": "Points", "samples": 4, "seed": 1, "dtype": "float32"}
    content["description"] = "x"
    experiment = load_experiment(content)
    experiment.optimizer.__pydantic_extra__["lr"] = toy_parts  # as only Python can
    with pytest.raises(ExperimentError):
        run(experiment, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "callbacks",
    [["mytorch-train:EMA", "mytorch-train:SWA"], [{"type": "mytorch-train:KeepBest", "monitor": "test_los"}]],
)
def test_what_a_callback_refuses_at_the_start_leaves_no_folder(content, tmp_path, callbacks):
    with pytest.raises(ArgumentError):
        run(content | {"callbacks": callbacks}, tmp_path)
    assert not list(tmp_path.iterdir())


def test_averaging_callbacks_are_told_of_a_start_twice_and_average_one_run(content, tmp_path):
    done = run(content | {"callbacks": [{"type": "mytorch-train:EMA", "decay": 0.5}]}, tmp_path)
    assert done.summary["average"] == {"of": "EMA", "updates": 12}


def test_an_error_says_where_the_run_lies(content, tmp_path):
    with pytest.raises(NotFiniteError) as info:
        run(content, tmp_path, {"optimizer.lr": 1e30})
    (path,) = (tmp_path / "runs").iterdir()
    assert info.value.__notes__ == [f"No epoch was completed; the run lies in {path}"]
    assert load(path).summary["status"] == "failed"


def test_ctrl_c(content, tmp_path):
    class Interrupt:
        @hookimpl
        def epoch_ended(self, epoch):
            if epoch == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as info:
        run(content, tmp_path, callbacks=[Interrupt()])
    (path,) = (tmp_path / "runs").iterdir()
    assert info.value.__notes__ == [f"What was trained so far lies in {path}"]
    interrupted = load(path)
    assert (interrupted.summary["status"], len(interrupted.history)) == ("interrupted", 2)
    assert interrupted.summary["test"] is None  # it was not judged, since training might go on
    assert interrupted.evaluate()["loss"] > 0


def test_the_summary_for_the_terminal(content, tmp_path):
    done = run(content, tmp_path)
    time, kept, figures, next_step = run_summary(done).splitlines()
    assert re.fullmatch(r"3 epochs in \d\S* s", time)
    assert kept == f"Run kept in {done.path}"
    assert figures == "Figures in its folder figures: decision_boundary.png, error_rate.png, loss.png"
    assert next_step == f"Evaluate it again: mytorch evaluate {done.path}"


def test_the_summary_of_a_run_that_was_stopped_at_once(content, tmp_path):
    class Stop:
        @hookimpl
        def training_started(self):
            raise StopTraining

    text = run_summary(run(content, tmp_path, callbacks=[Stop()]))
    assert text.startswith("0 of 3 epochs in 0 s\n")
    assert "Figures" not in text


def test_an_installed_hook_takes_part_and_a_broken_one_is_left_out(content, parts, tmp_path, monkeypatch):
    told = []

    class Listener:
        @hookimpl
        def epoch_ended(self, epoch):
            told.append(epoch)

    monkeypatch.setattr(toy_parts, "Listener", Listener, raising=False)
    parts("listening", "[mytorch.hooks]\nlistener = toy_parts:Listener\ngone = toy_parts:gone\n")
    with pytest.warns(PluginWarning, match=r"hook 'gone' of listening .*cannot be imported"):
        run(content, tmp_path)
    assert told == [1, 2, 3]


def test_damaged_runs(content, tmp_path):
    path = run(content, tmp_path).path
    with pytest.raises(RunError, match=r"got one without summary.json; it holds runs: points-"):
        load(path.parent)
    (path / "model.json").rename(path / "other.json")
    with pytest.raises(RunError, match=r"model.json: this file is missing; is .* a run folder\?"):
        load(path)
    (path / "other.json").rename(path / "model.json")
    (path / "weights.safetensors").unlink()
    with pytest.raises(RunError, match=r"weights.safetensors: this file is missing; a run folder has one as soon as"):
        load(path)
    (path / "summary.json").write_text("{")
    with pytest.raises(RunError):
        load(path)


def test_weights_of_another_model(content, tmp_path):
    path = run(content, tmp_path).path
    description = json.loads((path / "model.json").read_text())
    description["model"]["layers"][0]["out_features"] = 5
    (path / "model.json").write_text(json.dumps(description))
    with pytest.raises(
        Exception, match=r"Chain: state must fit the module; 0.weight must have shape \(5, 2\), got \(4, 2\)"
    ):
        load(path)


@pytest.mark.parametrize("name", ["summary.json", "data.json"])
def test_a_list_where_an_object_belongs(content, tmp_path, name):
    path = run(content, tmp_path).path
    (path / name).write_text("[1, 2]")
    with pytest.raises(RunError, match=rf"{name}: must hold an object, got list"):
        load(path)


def test_a_step_of_ones_own_is_taken(content, parts, tmp_path):
    taken = []

    def own(net, loss, optimizer, inputs, targets):
        taken.append(len(targets))
        return step(net, loss, optimizer, inputs, targets)

    found = run(content, tmp_path / "own", step=own).history
    assert len(taken) == 4 * len(found)
    plain = run(content, tmp_path / "plain").history
    assert [record["train_loss"] for record in found] == [record["train_loss"] for record in plain]
    with pytest.raises(ArgumentError, match="step: must be left out with the compiled engine"):
        run(content | {"engine": "compiled"}, tmp_path, step=own)
    with pytest.raises(ArgumentError, match="clip_grad_norm: must be left out with a step of your own \\(own\\)"):
        run(content | {"clip_grad_norm": 1.0}, tmp_path, step=own)


def test_half_precision(content, tmp_path):
    seen = []

    class Dtypes(Callback):
        def batch_ended(self, run):
            seen.append((run.setup.precision.name, {parameter.value.dtype for parameter in run.net.param()}))

    train_experiment(content, {"precision": "float16-mixed"}, output=tmp_path, quiet=True, callbacks=[Dtypes()])
    assert {name for name, _ in seen} == {"float16-mixed"}
    assert all(dtypes == {torch.float32} for _, dtypes in seen)
    seen.clear()
    done = train_experiment(content, {"precision": "bfloat16"}, output=tmp_path, quiet=True, callbacks=[Dtypes()])
    assert all(dtypes == {torch.bfloat16} for _, dtypes in seen)
    kept = load(done.path)
    assert {parameter.value.dtype for parameter in kept.net.param()} == {torch.float32}
    assert kept.evaluate() == pytest.approx(done.summary["test"])
    with pytest.raises(
        ExperimentError, match="precision: must be 'bfloat16-mixed', 'float16-mixed' or 'bfloat16', got 'half'"
    ):
        train_experiment(content, {"precision": "half"}, output=tmp_path, quiet=True)
