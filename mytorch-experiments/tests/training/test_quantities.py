"""Quantities of the backward by name in an experiment."""

import pytest

from mytorch.experiments import train_experiment
from mytorch.experiments.training.check_experiment import check_experiment
from mytorch.plugins import MytorchError

pytestmark = pytest.mark.filterwarnings("ignore::mytorch.train.quantities.QuantityWarning")  # of the toy layers
QUANTITIES = ["LayerGradients", {"type": "GradientNoise", "by_parameter": True}]


def test_the_history_of_a_run_has_their_columns(content, parts, tmp_path):
    run = train_experiment(content, {"epochs": 2, "quantities": QUANTITIES}, output=tmp_path / "runs", quiet=True)
    header, *lines = (run.path / "history.csv").read_text().splitlines()
    names = header.split(",")
    assert {"noise_scale", "gradient_variance/0.weight", "gradient_norm/0.weight", "dead_units/0.weight"} <= set(names)
    assert all("" not in line.split(",") for line in lines)


def test_single_samples_are_clipped(content, parts, tmp_path):
    changes = {"epochs": 2, "clip_sample_norm": 0.01, "quantities": ["SampleNorms"]}
    run = train_experiment(content, changes, output=tmp_path / "runs", quiet=True)
    assert "sample_norm_max" in (run.path / "history.csv").read_text()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"quantities": ["GradientNois"]}, "Nearest: GradientNoise"),
        ({"quantities": [{"type": "GradientNoise", "by": 1}]}, r"quantities\.0\.by"),
        ({"quantities": ["GradientNoise"], "accumulate": 2}, "quantities: must be left out with accumulate = 2"),
        ({"clip_sample_norm": 0}, "clip_sample_norm"),
        ({"clip_sample_norm": 1.0, "precision": "bfloat16"}, "clip_sample_norm: must be left out with precision"),
    ],
)
def test_what_is_wrong_is_said_before_training(content, parts, changes, text):
    with pytest.raises(MytorchError, match=text):
        check_experiment(content | changes)
