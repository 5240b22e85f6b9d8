"""Sequences of different lengths, from a table to predictions, by each kind of network that knows their lengths."""

import csv
import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from mytorch.commands.evaluate import evaluate
from mytorch.commands.experiment import experiment
from mytorch.commands.predict import predict
from mytorch.core import MytorchError
from mytorch.data import RaggedDataSet, Sequences, split
from mytorch.experiments import load_experiment, train_experiment
from mytorch.experiments.parity import compare
from mytorch.nn import GRU, CrossEntropyLoss, LastStep, Linear, Padded, Take
from mytorch.optim import Adam
from mytorch.train import Batches, fit


def layer(kind, **arguments):
    return {"type": kind, **arguments}


ENCODER = layer("TransformerEncoderLayer", d_model=8, nhead=2, dim_feedforward=16, dropout=0.0, batch_first=True)
NETWORKS = {
    "lstm": [
        layer("LSTM", input_size=2, hidden_size=8, batch_first=True, bidirectional=True),
        *(layer("Take", index=0), layer("MeanStep"), layer("Linear", in_features=16, out_features=2)),
    ],
    "gru": [
        layer("GRU", input_size=2, hidden_size=8, batch_first=True),
        *(layer("Take", index=0), layer("LastStep"), layer("Linear", in_features=8, out_features=2)),
    ],
    "transformer": [
        layer("Linear", in_features=2, out_features=8),
        layer("SinusoidalPositionalEncoding", d_model=8, batch_first=True),
        layer("TransformerEncoder", encoder_layer=ENCODER, num_layers=1),
        *(layer("MeanStep"), layer("Linear", in_features=8, out_features=2)),
    ],
}


@pytest.fixture
def table(tmp_path):
    """Walks of one to twelve steps: do they lead up or down on average? The rows stand in no order."""
    draw = np.random.default_rng(0)
    lengths = draw.integers(1, 13, 240)
    who = np.repeat(np.arange(240), lengths)
    up = draw.integers(0, 2, 240)
    rows = {
        "who": np.array([f"w{number}" for number in who]),
        "when": np.concatenate([np.arange(length) for length in lengths]),
        "x": draw.normal(size=len(who)) * 30 + 40 * (2 * up[who] - 1) + 1000,
        "noise": draw.normal(size=len(who)),
        "way": np.array(["down", "up"])[up[who]],
    }
    order = draw.permutation(len(who))
    np.savez(tmp_path / "walks.npz", **{name: column[order] for name, column in rows.items()})
    return tmp_path / "walks.npz"


def content(table, layers, **changed):
    return {
        "name": "walks",
        "requires": ["mytorch-nn", "mytorch-optim", "mytorch-data"],
        "epochs": 12,
        "batch_size": 16,
        "metrics": ["Accuracy"],
        "data": {
            "standardize": True,
            "train": layer("Sequences", path=str(table), target="way", id="who", time="when"),
            "split": {"validation": 0.2, "test": 0.25},
        },
        "model": layer("Padded", layers=layers),
        "loss": layer("CrossEntropyLoss"),
        "optimizer": layer("Adam", lr=0.02),
        **changed,
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_an_experiment_learns_and_predicts_by_sequence(table, tmp_path, name):
    run = train_experiment(content(table, NETWORKS[name]), output=tmp_path / "runs", quiet=True)
    result = CliRunner().invoke(evaluate, [str(run.path), "--json"])
    assert json.loads(result.output)["accuracy"] > 0.85, result.exception
    output = tmp_path / "predictions.csv"
    result = CliRunner().invoke(predict, [str(run.path), str(table), "-o", str(output)])
    assert result.output.startswith("Wrote 240 predictions"), result.exception
    with output.open(newline="") as file:
        header, *lines = csv.reader(file)
    assert header == ["who", "prediction", "probability_down", "probability_up"]
    data = Sequences(table, "way", id="who", time="when")
    assert [line[0] for line in lines] == data.row_names[1]
    predicted = run.predict(table)
    alone = run.predict(table, batch_size=1)
    torch.testing.assert_close(predicted.probabilities, alone.probabilities, rtol=1e-5, atol=1e-6)
    right = sum(line[1] == data.classes[target] for line, target in zip(lines, data.targets, strict=True)) / 240
    assert run.evaluate(table)["accuracy"] == pytest.approx(right, abs=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_pytorch_takes_the_same_steps(table, name):
    sgd = layer("SGD", lr=0.1)  # Adam makes steps of what rounding leaves of the keys' bias, whose gradient is 0
    assert compare(load_experiment(content(table, NETWORKS[name], epochs=2, optimizer=sgd)), runs=1).passed


def test_classes_of_steps_and_numbers_are_learned(table, tmp_path):
    layers = [
        layer("GRU", input_size=1, hidden_size=8, batch_first=True),
        *(layer("Take", index=0), layer("Linear", in_features=8, out_features=2), layer("Permute", dims=[0, 2, 1])),
    ]
    said = content(table, layers, metrics=[], epochs=6)
    said["data"]["train"] |= {"per_step": True, "features": ["x"]}
    run = train_experiment(said, output=tmp_path / "runs", quiet=True)
    assert run.evaluate()["loss"] < 0.55
    rows = dict(np.load(table))
    rows["level"] = np.where(rows["way"] == "up", 3.0, -2.5)
    np.savez(tmp_path / "numbers.npz", **rows)
    said = content(tmp_path / "numbers.npz", NETWORKS["gru"][:3], metrics=["MeanAbsoluteError"], loss=layer("MSELoss"))
    said["model"]["layers"].append(layer("Linear", in_features=8, out_features=1))
    said["data"]["train"] |= {"target": "level", "features": ["x", "noise"]}
    said["data"]["targets"] = "standardize"
    run = train_experiment(said, output=tmp_path / "runs", quiet=True)
    assert run.evaluate()["mean_absolute_error"] < 1.5
    assert run.predict(tmp_path / "numbers.npz").values.shape == (240, 1)


def test_an_experiment_with_a_mistake_is_checked(table, tmp_path):
    said = content(table, NETWORKS["gru"])
    (tmp_path / "walks.toml").write_text(_toml(said))
    result = CliRunner().invoke(experiment, ["check", str(tmp_path / "walks.toml")])
    assert "2 columns, classes down, up" in result.output, result.exception
    arguments = ["check", str(tmp_path / "walks.toml"), "--set", "data.train.id=whom"]
    result = CliRunner().invoke(experiment, arguments)
    assert "id must name a column of" in str(result.exception)
    with pytest.raises(MytorchError, match="Padded: layers must have the batch as their first axis"):
        train_experiment(content(table, [layer("LSTM", input_size=2, hidden_size=8)]), output=tmp_path, quiet=True)


def _toml(said):
    import tomli_w

    return tomli_w.dumps(said)


def test_batches_are_padded_one_by_one_and_fit_takes_lists():
    lengths = [3, 1, 4, 2] * 10
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(length, 2, generator=generator) for length in lengths]
    data = RaggedDataSet(inputs, [int(each.sum() > 0) for each in inputs])
    assert [batch["x"].shape[1] for batch, _ in Batches(data, 1)] == lengths
    part = split(data, (20, 20))[0]
    assert [batch["x"].shape[1] for batch, _ in Batches(part, 1)] == [lengths[row] for row in part.indices]
    torch.manual_seed(0)
    net = Padded(GRU(2, 8, batch_first=True), Take(0), LastStep(), Linear(8, 2))
    training = fit(net, CrossEntropyLoss(), Adam(net.param(), lr=0.02), data, epochs=40, batch_size=8, quiet=True)
    assert training.history[-1]["train_loss"] < 0.3
