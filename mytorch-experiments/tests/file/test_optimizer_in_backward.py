"""The key optimizer_in_backward of an experiment: in its run and in parity."""

import pytest
import torch

from mytorch.core import ArgumentError
from mytorch.experiments import ExperimentError, load_experiment, train_experiment
from mytorch.experiments.parity import compare
from mytorch.experiments.training.check_experiment import check_experiment


def test_the_key_of_an_experiment(content, tmp_path):
    content |= {"epochs": 2, "optimizer_in_backward": True}
    run = train_experiment(content, output=tmp_path, quiet=True)
    plain = train_experiment(content | {"optimizer_in_backward": False}, output=tmp_path, quiet=True)
    torch.testing.assert_close(run.net.state_dict(), plain.net.state_dict(), rtol=0, atol=0)
    assert "optimizer_in_backward = true" in (run.path / "experiment.toml").read_text()
    both = content | {"clip_grad_norm": 1.0}
    with pytest.raises(ArgumentError, match="optimizer_in_backward: must be left out with clip_grad_norm = 1"):
        train_experiment(both, output=tmp_path / "none", quiet=True)
    with pytest.raises(ExperimentError, match="optimizer_in_backward: must be left out with clip_grad_norm = 1"):
        check_experiment(both)
    assert not (tmp_path / "none").exists()


def test_parity_takes_the_step_of_the_experiment(content):
    assert compare(load_experiment(content | {"epochs": 2, "optimizer_in_backward": True})).passed
    with pytest.raises(ArgumentError, match="optimizer_in_backward: must be left out with clip_grad_norm = 1"):
        compare(load_experiment(content | {"optimizer_in_backward": True, "clip_grad_norm": 1.0}))
