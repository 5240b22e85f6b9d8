"""Groups of parameters with settings of their own in an experiment file."""

import pytest

from mytorch.experiments import ExperimentError, load, load_experiment, train_experiment
from mytorch.experiments.file.build import build
from mytorch.experiments.parity import compare
from mytorch.experiments.training.check_experiment import check_experiment


def grouped(content, *groups):
    return content | {"optimizer": {"type": "toy-parts:SGD", "lr": 0.1, "groups": list(groups)}}


def test_a_run_and_its_parity(content, tmp_path):
    content = grouped(content, {"parameters": "*bias", "lr": 0.0}, {"layers": "Dense", "momentum": 0.5}) | {
        "epochs": 2
    }
    optimizer = build(load_experiment(content)).setup.optimizer
    assert [group["lr"] for group in optimizer.param_groups] == [0.0, 0.1]
    assert [group["momentum"] for group in optimizer.param_groups] == [0.0, 0.5]
    run = train_experiment(content, output=tmp_path, quiet=True)
    assert all(value.abs().max() == 0 for name, value in run.net.state_dict().items() if name.endswith("bias"))
    again = load(run.path).experiment
    assert [rule.model_dump(exclude_none=True) for rule in again.optimizer.groups] == content["optimizer"]["groups"]
    assert compare(load_experiment(content)).passed
    override = load_experiment(content, {"optimizer.groups.0.lr": 0.3})
    assert build(override).setup.optimizer.param_groups[0]["lr"] == 0.3


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (
            {"parameters": "*bais", "lr": 0.0},
            r"optimizer.groups: parameter_groups: parameters of rule 0 must match a parameter",
        ),
        ({"layers": "Dens", "lr": 0.0}, "optimizer.groups: parameter_groups: layers of rule 0 .* Nearest: Dense"),
        ({"parameters": "*bias", "lrr": 0.0}, "optimizer.groups.0.lrr: SGD has no argument 'lrr'. Nearest: lr"),
        ({"parameters": "*bias", "lr": "0"}, "optimizer.groups.0.lr: must be a number, got '0'"),
        ({"parameters": "*bias", "lr": -1.0}, "optimizer: SGD: lr must be"),
        ({"parameters": 1, "lr": 0.0}, "optimizer.groups.0.parameters: must be text in quotes or a list such as"),
        ({"parameters": "*bias"}, "optimizer.groups: parameter_groups: rule 0 must have a setting"),
    ],
)
def test_what_is_refused_names_the_key(content, rule, text):
    for judge in (lambda given: build(load_experiment(given)), check_experiment):
        with pytest.raises(ExperimentError, match=text):
            judge(grouped(content, rule))
