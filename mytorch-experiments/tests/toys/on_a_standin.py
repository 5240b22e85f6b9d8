"""An experiment on an accelerator, a GPU or a stand-in for one: training, figures, judging, predicting.

The variable ACCELERATOR names it.
"""

import os

import pytest
import torch

from mytorch.core import ArgumentError
from mytorch.experiments import (
    ExperimentError,
    ParityError,
    RunError,
    judge,
    load,
    load_experiment,
    resume,
    train_experiment,
)
from mytorch.experiments.parity.compare import compare
from mytorch.experiments.runs.influences import influences_of_run
from mytorch.experiments.runs.pruning import row_scores
from mytorch.experiments.training.check_experiment import check_experiment
from mytorch.experiments.training.find_batch_size import find_batch_size
from mytorch.train.device import device_of

DEVICE = os.environ.get("ACCELERATOR", "standin")
if DEVICE == "standin":
    import standin

SHORT = {"epochs": 2, "data.train.samples": 100, "data.test.samples": 60, "batch_size": 20}


@pytest.fixture
def there(tmp_path):
    return train_experiment("disk-tuned", {**SHORT, "device": DEVICE}, output=tmp_path / "there", quiet=True)


def test_an_experiment_trained_there_is_that_of_the_processor(there, tmp_path):
    here = train_experiment("disk-tuned", SHORT, output=tmp_path / "here", quiet=True)
    for ours, theirs in zip(here.history, there.history, strict=True):
        assert ours["validation_loss"] == pytest.approx(theirs["validation_loss"], rel=1e-4)
    assert (there.path / "figures" / "decision_boundary.png").is_file()
    assert load_experiment(there.path / "experiment.toml").device == DEVICE


def test_a_run_is_judged_and_predicts_on_either(there):
    here, moved = load(there.path), load(there.path, device=DEVICE)
    assert device_of(here.net).type == "cpu"
    assert device_of(moved.net).type == DEVICE
    assert judge(here).results == pytest.approx(judge(moved).results, rel=1e-5)
    points = torch.rand(7, 2)
    assert torch.allclose(here.predict(points).probabilities, moved.predict(points).probabilities, atol=1e-5)


def test_a_run_goes_on_elsewhere_where_that_is_accepted(there):
    longer = {"epochs": 3, "device": "cpu"}
    with pytest.raises(RunError, match=rf"device must be '{DEVICE}', got 'cpu'.*accept them .*--accept-differences"):
        resume(there.path, longer, quiet=True)
    run = resume(there.path, longer, quiet=True, accept_differences=True)
    assert run.summary["resumed"] == [
        {"epoch": 2, "batch": 0, "differences": [f"device must be {DEVICE}:0, got cpu"]},
    ]
    assert [record["epoch"] for record in run.history] == [1, 2, 3]
    back = resume(there.path, {"epochs": 4, "device": DEVICE}, quiet=True, accept_differences=True)
    assert len(back.history) == 4


@pytest.mark.parametrize("damping", [None, 0.1])
def test_influences_and_scores_are_those_of_the_processor(tmp_path, damping):
    run = train_experiment("disk", {**SHORT, "device": DEVICE}, output=tmp_path, quiet=True)
    here, moved = load(run.path), load(run.path, device=DEVICE)
    ours, theirs = (influences_of_run(run, "3", damping=damping) for run in (here, moved))
    torch.testing.assert_close(ours.values, theirs.values, rtol=1e-3, atol=1e-4 * float(ours.values.abs().max()))
    assert (ours.predicted, ours.training.cells(5)) == (theirs.predicted, theirs.training.cells(5))
    for by in ("error", "gradient"):
        torch.testing.assert_close(row_scores([here], by).values, row_scores([moved], by).values, rtol=1e-3, atol=1e-5)


def test_a_batch_size_is_advised_there():
    found = find_batch_size("disk", {**SHORT, "device": DEVICE}, steps=3)
    here = find_batch_size("disk", SHORT, steps=3)
    assert found.measured[0].scale == pytest.approx(here.measured[0].scale, rel=1e-3)


def test_check_tries_a_step_there():
    if DEVICE == "standin":
        standin.reads.clear()
    assert "disk-tuned" in check_experiment("disk-tuned", {**SHORT, "device": DEVICE})
    assert DEVICE != "standin" or standin.reads


def test_a_device_that_is_not_there_is_refused(there):
    with pytest.raises(ExperimentError, match="device must be one that torch knows"):
        check_experiment("disk-tuned", {"device": "gpu"})
    with pytest.raises(ArgumentError, match="device must be one that torch knows, such as cpu or cuda:0, got 'gpu'"):
        load(there.path, device="gpu")
    with pytest.raises(ParityError, match=f"device must be cpu, where both compute in one order, got '{DEVICE}'"):
        compare(load_experiment("disk", {"device": DEVICE}))
