"""`model.from`: a model begins with the weights of another one."""

import re
import shutil

import pytest
import torch

from mytorch.experiments import ExperimentError, resume, train_experiment
from mytorch.experiments.file.build import build
from mytorch.experiments.file.load_experiment import load_experiment, to_toml
from mytorch.experiments.tables.start_table import show_start
from mytorch.experiments.training.check_experiment import check_experiment
from mytorch.plugins import Callback

SHORT = {"epochs": 1, "data.train.samples": 50, "data.test.samples": 20}


@pytest.fixture
def trained(tmp_path):
    return train_experiment("disk-tuned", SHORT, output=tmp_path, quiet=True)


def start(trained, **said):
    return {**SHORT, "seed": 1, "model.from": {"path": str(trained.path), **said}}


def test_a_path_takes_everything(trained):
    built = build(load_experiment("disk-tuned", {**SHORT, "seed": 1, "model.from": str(trained.path)}))
    for ours, theirs in zip(built.setup.net.param(), trained.net.param(), strict=True):
        assert torch.equal(ours.value, theirs.value)


def test_a_table_takes_leaves_and_freezes(trained, tmp_path):
    run = train_experiment("disk-tuned", start(trained, leave=["6.*"], freeze="0.*"), output=tmp_path, quiet=True)
    old, new = dict(trained.net.named_param()), dict(run.net.named_param())
    assert torch.equal(new["0.weight"].value, old["0.weight"].value)
    assert not torch.equal(new["2.weight"].value, old["2.weight"].value)
    again = load_experiment(run.path / "experiment.toml")
    assert again.model.start.leave == ["6.*"]
    assert to_toml(again) == (run.path / "experiment.toml").read_text()


def test_the_table_lists_each_tensor_and_counts_what_is_too_long(trained, capsys):
    built = build(load_experiment("disk-tuned", start(trained, leave=["6.*"], freeze="0.*")))
    show_start(built.started)
    shown = re.sub(" +", " ", capsys.readouterr().out)
    assert "2.weight taken 25 x 25 625" in shown
    assert "0.bias taken, frozen 25 25" in shown
    assert "6.weight new 2 x 25 50" in shown
    assert "6.weight left in the file 2 x 25 50" in shown
    many = type(built.started)({f"layer.{n}": (2, 3) for n in range(20)}, {}, {}, {})
    show_start(many)
    assert "9 more taken 54" in re.sub(" +", " ", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("nowhere", "nowhere: must be the folder of a run or a safetensors file, got nothing there"),
        (3, 'model.from: must be a table such as { path = "..." }, got 3'),
        ({"take": "*"}, "model.from.path: must be given"),
        ({"path": "x", "leav": "*"}, "model.from.leav: unknown key. Nearest: leave."),
    ],
)
def test_what_is_no_start_is_refused_with_its_key(said, text):
    with pytest.raises(ExperimentError, match=re.escape(text)):
        check_experiment("disk-tuned", {**SHORT, "model.from": said})


def test_weights_of_another_shape_are_refused_by_check_too(trained):
    with pytest.raises(
        ExperimentError, match=re.escape("model.from: warm_start: 0.weight must be (7, 2), got (25, 2)")
    ):
        check_experiment(
            "disk-tuned", {**start(trained), "model.layers.0.out_features": 7, "model.layers.2.in_features": 7}
        )


def test_a_run_is_resumed_without_the_weights_that_it_began_with(trained, tmp_path):
    class Interrupt(Callback):
        must_succeed = True

        def epoch_ended(self, epoch):
            if epoch == 2:
                raise KeyboardInterrupt

    overrides = {**start(trained, freeze="0.*"), "epochs": 4, "checkpoint_every": 1e-6}
    with pytest.raises(KeyboardInterrupt):
        train_experiment("disk-tuned", overrides, output=tmp_path / "new", callbacks=[Interrupt()], quiet=True)
    (path,) = (tmp_path / "new").iterdir()
    frozen = dict(trained.net.named_param())["0.weight"].value
    shutil.rmtree(trained.path)
    run = resume(path, quiet=True)
    assert [record["epoch"] for record in run.history] == [1, 2, 3, 4]
    assert torch.equal(dict(run.net.named_param())["0.weight"].value, frozen)
