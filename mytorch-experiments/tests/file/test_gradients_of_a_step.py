"""The keys that clip and accumulate gradients: in a run, in parity, in an exported step."""

import shutil

import pytest
import torch

from mytorch.experiments import ExperimentError, load_experiment, train_experiment
from mytorch.experiments.explain_experiment import explain_experiment
from mytorch.experiments.export import export_step
from mytorch.experiments.file.build import build
from mytorch.experiments.parity import compare
from mytorch.experiments.training.check_experiment import check_experiment


def test_the_key_of_an_experiment(content, tmp_path):
    content |= {"epochs": 2}
    clipped = train_experiment(content | {"clip_grad_norm": 0.01}, output=tmp_path, quiet=True)
    again = train_experiment(str(clipped.path / "experiment.toml"), output=tmp_path, quiet=True)
    assert again.experiment.clip_grad_norm == 0.01
    torch.testing.assert_close(again.net.state_dict(), clipped.net.state_dict(), rtol=0, atol=0)
    free = train_experiment(content, output=tmp_path, quiet=True)
    assert not torch.equal(free.net.param()[0].value, clipped.net.param()[0].value)
    with pytest.raises(ExperimentError, match="clip_grad_norm: must be above 0, got 0"):
        load_experiment(content | {"clip_grad_norm": 0})


def test_parity_clips_both_sides(content):
    content |= {"epochs": 2, "clip_grad_norm": 0.05}
    assert compare(load_experiment(content)).passed


@pytest.mark.skipif(not shutil.which("g++"), reason="exporting needs a C++ compiler")
def test_an_exported_step_accumulates_and_clips(content, tmp_path):
    content |= {
        "epochs": 1,
        "accumulate": 2,
        "clip_grad_norm": 1e-3,
        "optimizer": {"type": "toy-parts:SGD", "lr": 1.0},
    }
    run = train_experiment(content, output=tmp_path, quiet=True)
    layout = export_step(run.path, tmp_path / "step.pt2", batch_size=3)
    assert [leaf["shape"][0] for leaf in layout["batch"]] == [3, 3, 3, 3]

    from torch._inductor.package import load_package

    start, package = (load_package(str(tmp_path / "step.pt2"), name).loader for name in ("start", "model"))
    before = start.run([])
    inputs, targets = next(iter(build(run.experiment).setup.batches))
    given = [tensor[:3] for tensor in (*inputs, *targets)]
    after, _ = package.run([*before, torch.tensor([1.0], dtype=torch.float64), *given])
    assert 0.98e-3 < (after - before[0]).norm() < 1.01e-3


@pytest.mark.parametrize(
    "options", [{"accumulate": 3}, {"clip_grad_value": 0.01}, {"accumulate": 2, "clip_grad_value": 0.01}]
)
def test_parity_accumulates_and_clips_values_on_both_sides(content, options):
    assert compare(load_experiment(content | {"epochs": 2} | options)).passed


def test_accumulation_is_that_of_large_batches_in_a_run_and_its_check(content, tmp_path):
    content |= {"epochs": 2, "batch_size": 5, "accumulate": 2}
    run = train_experiment(content, output=tmp_path, quiet=True)
    assert run.experiment.accumulate == 2
    large = train_experiment(content | {"batch_size": 10, "accumulate": 1}, output=tmp_path, quiet=True)
    torch.testing.assert_close(run.net.state_dict(), large.net.state_dict(), rtol=1e-5, atol=1e-6)
    assert "2 epochs of" in check_experiment(content)
    explanation = explain_experiment(run.path)
    assert ", batch 1 of " in explanation.title
    with pytest.raises(ExperimentError, match="accumulate: must be at least 1, got 0"):
        load_experiment(content | {"accumulate": 0})
    with pytest.raises(ExperimentError, match="optimizer_in_backward: must be left out with accumulate = 2, since"):
        check_experiment(content | {"optimizer_in_backward": True})
