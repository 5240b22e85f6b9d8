"""The exported training step: what it computes, what it says about itself, and what is refused."""

import json
import shutil

import pytest
import torch
from click.testing import CliRunner
from toy_parts import SGD, SquaredError, Table, network

from mytorch.commands.export import step as command
from mytorch.experiments import Recorder, RunError, load_experiment, train_experiment
from mytorch.experiments.export import step as export
from mytorch.experiments.export.errors import ExportError
from mytorch.experiments.export.step import describe_layout, export_step
from mytorch.experiments.file.build import build
from mytorch.plugins import FileError
from mytorch.train import fit
from mytorch.train.step import step


@pytest.fixture
def run(content, tmp_path):
    """A finished run of the toy experiment, with momentum."""
    content["epochs"] = 1
    content["optimizer"] = {"type": "toy-parts:SGD", "lr": 0.05, "momentum": 0.9}
    return train_experiment(content, output=tmp_path / "runs", quiet=True)


@pytest.mark.skipif(not shutil.which("g++"), reason="exporting needs a C++ compiler")
def test_the_package_trains_as_eager_steps_do(run, tmp_path):
    output = tmp_path / "step.pt2"
    result = CliRunner().invoke(command, [str(run.path), "--output", str(output), "--batch-size", "3"])
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"{output}: one training step\n  carried: float32 (")
    assert "settings: lr = 0.05\n" in result.output

    from torch._inductor.package import load_package

    start, package = load_package(str(output), "start").loader, load_package(str(output)).loader
    (layout,) = json.loads(package.get_metadata()["mytorch"])["carry"]
    names = [tensor["name"] for tensor in layout["tensors"]]
    weights = run.net.state_dict()
    assert names == [*weights, *(f"{name}.momentum_buffer" for name in weights)]
    setup = build(run.experiment).setup
    setup.net.load_state_dict(weights)
    carried, settings = start.run([]), torch.tensor([0.05], dtype=torch.float64)
    for _ in range(4):
        x, t = (batch[:3] for batch in next(iter(setup.batches)))
        *carried, loss = package.run([*carried, settings, x, t])
        expected, _ = step(setup.net.train(), setup.loss, setup.optimizer, x, t)
        torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-7)
    assert len(carried) == 1
    for tensor in layout["tensors"][: len(weights)]:
        at, value = tensor["offset"], setup.net.state_dict()[tensor["name"]]
        assert tensor["shape"] == list(value.shape)
        torch.testing.assert_close(carried[0][at : at + value.numel()].view(value.shape), value, rtol=1e-5, atol=1e-6)


def test_betas_that_a_schedule_moves_are_settings_by_place(content):
    content["optimizer"] = {"type": "mytorch-optim:Adam", "lr": 0.05}
    content["schedule"] = {"type": "mytorch-optim:OneCycleLR", "max_lr": 0.05, "interval": "batch"}
    settings = describe_layout(export._try(build(load_experiment(content))))["settings"]
    assert [(setting["group"], setting["name"]) for setting in settings] == [
        (0, "betas[0]"),
        (0, "betas[1]"),
        (0, "lr"),
    ]
    assert [setting["value"] for setting in settings] == pytest.approx([0.95, 0.999, 0.002])


@pytest.mark.parametrize("changes", [{"memory": "1 GiB"}, {"saved": "disk"}, {"optimizer_in_backward": True}], ids=str)
def test_what_changes_no_number_is_exported_as_the_ordinary_step(content, changes):
    assert export._try(build(load_experiment(content | changes))).recipe.step is step


def test_refusals_before_anything_is_compiled(run, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "_compile", lambda *_given: pytest.fail("must not compile"))
    (tmp_path / "there.pt2").write_text("")
    with pytest.raises(FileError, match=r"there.pt2: must be a new file, got one that exists; choose another name"):
        export_step(run.path, tmp_path / "there.pt2")
    with pytest.raises(FileError, match=r"step.so: name must end in .pt2, got .so"):
        export_step(run.path, tmp_path / "step.so")
    rows = build(run.experiment).setup.batches.rows
    with pytest.raises(
        ExportError, match=rf"batch size must be at most the {rows} rows of the training data, got 5000"
    ):
        export_step(run.path, tmp_path / "step.pt2", batch_size=5000)
    content = run.experiment.model_dump(exclude_none=True, by_alias=True) | {"precision": "bfloat16-mixed"}
    precise = train_experiment(content, output=tmp_path / "precise", quiet=True)
    with pytest.raises(ExportError, match=r"a step must compute in float32, got precision = 'bfloat16-mixed' in .*"):
        export_step(precise.path, tmp_path / "step.pt2")
    content = run.experiment.model_dump(exclude_none=True, by_alias=True) | {"saved": "int8"}
    rounded = train_experiment(content, output=tmp_path / "rounded", quiet=True)
    with pytest.raises(ExportError, match=r"a step must save values as they are, got saved = 'int8' in .*; train"):
        export_step(rounded.path, tmp_path / "step.pt2")
    content = run.experiment.model_dump(exclude_none=True, by_alias=True) | {"rule": {"type": "FeedbackAlignment"}}
    ruled = train_experiment(content, output=tmp_path / "ruled", quiet=True)
    with pytest.raises(
        ExportError, match=r"a step must backpropagate, got rule.type = 'FeedbackAlignment' in .*; train"
    ):
        export_step(ruled.path, tmp_path / "step.pt2")
    net, data = network(), Table(torch.randn(9, 2), torch.randn(9, 2))
    fit(
        net, SquaredError(), SGD(net.param()), data, epochs=1, batch_size=9, callbacks=[Recorder(tmp_path)], quiet=True
    )
    (folder,) = tmp_path.glob("chain-*")
    with pytest.raises(
        RunError, match=r"must be the run of an experiment to export its step, got one made from Python"
    ):
        export_step(folder, tmp_path / "step.pt2")


def test_without_a_compiler_or_with_other_results_nothing_is_written(run, tmp_path, monkeypatch):
    output = tmp_path / "step.pt2"

    def no_compiler(*_given):
        raise RuntimeError("InvalidCxxCompiler: none")

    with monkeypatch.context() as patch:
        patch.setattr(export, "_compile", no_compiler)
        with pytest.raises(ExportError, match=r"export: a C\+\+ compiler is needed and none was found; install g\+\+"):
            export_step(run.path, output)
    monkeypatch.setattr(export, "_package", lambda _trial, path: path.write_text("") and {})
    monkeypatch.setattr(export._Trial, "repeat", lambda trial, _path: [trial.start[0], trial.expected[-1]])
    with pytest.raises(
        ExportError, match=r"the optimizer must start as if its state had been 0, got a SGD whose first"
    ):
        export_step(run.path, output)
    assert not output.exists()
    assert not list(tmp_path.glob("*.part"))
