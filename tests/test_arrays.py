"""An experiment on files of arrays, from training to predictions."""

import csv
import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from mytorch.commands.evaluate import evaluate
from mytorch.commands.predict import predict
from mytorch.core import MytorchError
from mytorch.experiments import RunError, load, train_experiment
from mytorch.experiments.training.check_experiment import check_experiment
from mytorch.plugins import FileError


@pytest.fixture
def images(tmp_path):
    draw = np.random.default_rng(0)
    y = draw.integers(0, 2, 200)
    x = draw.normal(size=(200, 2, 6, 6)) + 2 * y.reshape(-1, 1, 1, 1) - 1
    np.savez(tmp_path / "images.npz", x=x, y=y)
    np.savez(tmp_path / "new.npz", x=x[:7])
    return tmp_path / "images.npz"


def experiment(path, **options):
    return {
        "name": "images",
        "requires": ["mytorch-nn", "mytorch-optim", "mytorch-data"],
        "epochs": 3,
        "batch_size": 20,
        "metrics": ["Accuracy"],
        "data": {
            "train": {"type": "Arrays", "path": str(path), "inputs": "x", "targets": "y", **options},
            "split": {"test": 0.2},
        },
        "model": {
            "type": "Sequential",
            "layers": [{"type": "Flatten"}, {"type": "Linear", "in_features": 72, "out_features": 2}],
        },
        "loss": {"type": "CrossEntropyLoss"},
        "optimizer": {"type": "SGD", "lr": 0.05},
    }


def command(function, *arguments):
    result = CliRunner().invoke(function, list(map(str, arguments)))
    assert result.exit_code == 0, result.exception
    return result.output


def test_train_evaluate_and_predict(images, tmp_path):
    run = train_experiment(experiment(images, classes=["dark", "bright"]), output=tmp_path / "runs", quiet=True)
    assert run.evaluate()["accuracy"] > 0.9
    told = json.loads(command(evaluate, run.path, "--data", images, "--json"))
    assert told["rows"] == 200
    assert told["confusion"]["classes"] == ["dark", "bright"]
    output = tmp_path / "predictions.csv"
    assert command(predict, run.path, tmp_path / "new.npz", "-o", output).startswith("Wrote 7 predictions")
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["prediction", "probability_dark", "probability_bright"]
    with np.load(images) as stored:
        x = stored["x"]
    assert [row["prediction"] for row in rows] == list(load(run.path).predict(torch.from_numpy(x[:7]).float()).labels)


def test_whole_inputs_stay_whole_in_predictions(tmp_path):
    tokens = np.random.default_rng(1).integers(0, 5, (60, 4))
    np.savez(tmp_path / "words.npz", x=tokens, y=tokens[:, 0])
    said = experiment(tmp_path / "words.npz")
    said["model"]["layers"] = [
        {"type": "Embedding", "num_embeddings": 5, "embedding_dim": 3},
        {"type": "Flatten"},
        {"type": "Linear", "in_features": 12, "out_features": 5},
    ]
    run = train_experiment(said, output=tmp_path / "runs", quiet=True)
    assert len(run.predict(tmp_path / "words.npz")) == 60


def test_what_does_not_fit_is_told(images, tmp_path):
    run = train_experiment(experiment(images), {"epochs": 1}, output=tmp_path / "runs", quiet=True)
    np.savez(tmp_path / "other.npz", x=np.zeros((3, 2, 6, 5)))
    with pytest.raises(MytorchError, match=r"array 'x' must hold rows of floating-point numbers of shape \[2, 6, 6\]"):
        run.predict(tmp_path / "other.npz")
    with pytest.raises(FileError, match=r"absent\.npz: must be an NPZ file or a folder of \.npy files, got no such"):
        run.predict(tmp_path / "absent.npz")
    with pytest.raises(RunError, match=r"new\.npz: must have the column 'y' to judge by"):
        run.evaluate(tmp_path / "new.npz")
    result = CliRunner().invoke(
        predict, [str(run.path), str(tmp_path / "new.npz"), "-o", str(tmp_path / "p.csv"), "--keep", "all"]
    )
    assert "columns to keep must be those of a table, got a run of mytorch-data:Arrays" in str(result.exception)
    with pytest.raises(
        RunError, match="delimiter must be left out for a run of mytorch-data:Arrays, which reads no table"
    ):
        load(run.path, reading={"delimiter": ";"}).predict(tmp_path / "new.npz")
    with np.load(images) as stored:
        x, y = stored["x"], stored["y"]
    x[17, 1, 2, 3] = np.nan
    np.savez(tmp_path / "nan.npz", x=x, y=y)
    with pytest.raises(MytorchError, match="data: every input must be finite, got one that is not in row"):
        check_experiment(experiment(tmp_path / "nan.npz"))
