"""Weights of classes in an experiment: lists for the tensors of losses, and "balanced"."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from mytorch.data import Table
from mytorch.experiments import ExperimentError, load, train_experiment
from mytorch.experiments.file.build import build
from mytorch.experiments.file.load_experiment import load_experiment
from mytorch.experiments.training.check_experiment import check_experiment

pytest.importorskip("pyarrow")
EXPERIMENT = """
name = "rare"
epochs = 2
batch_size = 20
model = { type = "Linear", in_features = 1, out_features = 3 }
optimizer = { type = "SGD", lr = 0.1 }
loss = { type = "CrossEntropyLoss", weight = "balanced" }
[data]
train = { type = "Table", path = "rare.csv", target = "y" }
split = { test = 0.2 }
"""


@pytest.fixture
def content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["often"] * 70 + ["some"] * 20 + ["rare"] * 10
    (tmp_path / "rare.csv").write_text("x,y\n" + "".join(f"{at % 13},{name}\n" for at, name in enumerate(names)))
    return tomllib.loads(EXPERIMENT)


def as_binary(content):
    content["loss"] = {"type": "BCEWithLogitsLoss", "pos_weight": "balanced"}
    content["data"]["targets"] = "binary"
    content["model"]["out_features"] = 1
    table = Path("rare.csv")
    table.write_text(table.read_text().replace("some", "often"))


def test_balanced_weights_are_those_of_scikit_learn(content):
    sklearn = pytest.importorskip("sklearn.utils.class_weight")
    built = build(load_experiment(content))
    training = built.parts.training
    targets = training.targets.numpy()
    expected = sklearn.compute_class_weight("balanced", classes=np.unique(targets), y=targets)
    torch.testing.assert_close(built.setup.loss.weight.value, torch.tensor(expected).float())
    content["data"]["targets"] = "one-hot"
    again = build(load_experiment(content)).setup.loss
    torch.testing.assert_close(again.weight.value, built.setup.loss.weight.value)


def test_the_training_rows_alone_decide(content):
    everything = build(load_experiment(content)).setup.loss.weight.value
    content["data"]["split"]["test"] = 0.5
    content["data"]["split"]["stratify"] = False
    assert not torch.equal(build(load_experiment(content)).setup.loss.weight.value, everything)


def test_a_run_keeps_the_numbers(content, tmp_path):
    run = train_experiment(content, output="runs", quiet=True)
    kept = run.experiment.loss.arguments["weight"]
    assert kept == pytest.approx([80 / (3 * 56), 80 / (3 * 8), 80 / (3 * 16)])
    (tmp_path / "rare.csv").rename(tmp_path / "elsewhere.csv")
    assert load(run.path).evaluate("elsewhere.csv")["loss"] > 0  # without the training rows


def test_weights_are_in_the_order_of_the_classes(content):
    content["loss"]["weight"] = [1.0, 50.0, 2]
    told = check_experiment(content)
    assert "classes often, rare, some, weights often 1, rare 50, some 2, 6 parameters" in told
    assert build(load_experiment(content)).setup.loss.weight.value.tolist() == [1, 50, 2]
    content["dtype"] = "float64"
    assert build(load_experiment(content)).setup.loss.weight.value.dtype is torch.float64
    content["loss"]["weight"] = [1.0, 50.0]
    with pytest.raises(ExperimentError, match=r"weight must have one number for each of 3 classes, got \(2,\)"):
        check_experiment(content)


def test_balanced_is_told_by_check(content):
    assert "weights often 0.4762, rare 3.333, some 1.667," in check_experiment(content)


def test_positive_rows_are_weighed(content):
    as_binary(content)
    built = build(load_experiment(content))
    assert built.setup.loss.pos_weight.value.tolist() == [9]
    assert ", weight of class 1 0.1111," in check_experiment(content, {"loss.pos_weight": [1 / 9]})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"loss.weight": ["a"]}, "loss.weight: must be a list of numbers such as [1.0, 50.0], got"),
        ({"loss.weight": "balancd"}, "loss.weight: must be a list of numbers such as [1.0, 50.0], got 'balancd'"),
        ({"loss.weight": [[1.0], 2.0]}, "loss.weight: must be a list of numbers"),
        ({"loss.weight": [-1.0, 1.0, 1.0]}, "weight must be at least 0 for each class"),
        (
            {"loss": {"type": "BCEWithLogitsLoss", "weight": "balanced"}, "data.targets": "binary"},
            'with data.targets = "binary" use pos_weight = "balanced"',
        ),
        (
            {"loss": {"type": "BCEWithLogitsLoss", "pos_weight": "balanced"}},
            'loss.pos_weight: "balanced" must go with columns of 0 and 1',
        ),
        ({"data.train.path": "gone.csv"}, "gone.csv: must be a file, got no such file"),
    ],
)
def test_what_weights_cannot_be(content, changes, told):
    if "data.targets" in changes:
        as_binary(content)
    with pytest.raises(ExperimentError) as info:
        check_experiment(content, changes)
    assert told in str(info.value)
    assert "Tensor" not in str(info.value)


def test_a_class_without_a_row_to_train_on(content, tmp_path):
    (tmp_path / "few.csv").write_text("x,y\n1,often\n2,some\n3,often\n4,some\n5,some\n")
    learned = Table("rare.csv", "y").preparation
    content["data"] = {"train": {"type": "Table", "path": "few.csv", "like": learned}}
    with pytest.raises(ExperimentError, match="must have a row of each class to train on, got none of class 'rare'"):
        build(load_experiment(content))
