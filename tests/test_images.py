"""An experiment on a folder of images, from training to predictions."""

import csv
import json
import os
import signal

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from mytorch.commands.evaluate import evaluate
from mytorch.commands.predict import predict
from mytorch.core import MytorchError
from mytorch.data import ImageFolder
from mytorch.experiments import load, resume, train_experiment
from mytorch.experiments.training.check_experiment import check_experiment
from mytorch.nn import AdaptiveAvgPool2d, CrossEntropyLoss, Flatten, Linear, Sequential
from mytorch.plugins import Callback
from mytorch.train import Interrupted, read_checkpoint
from mytorch.train import evaluate as judge


def save(path, stripes, seed):
    """A noisy image of 14 by 18 pixels with stripes that lie or stand."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(seed)
    wave = 80 * np.sin(np.arange(18) + draw.uniform(0, 6))
    pattern = wave[:14, None] if stripes == "lying" else wave[None]
    pixels = np.clip(128 + pattern[..., None] + draw.normal(size=(14, 18, 3)) * 30, 0, 255)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("stripes")
    for stripes, seeds in (("lying", range(60)), ("standing", range(60, 110))):
        for seed in seeds:
            save(place / "train" / stripes / f"{seed}.{'png' if seed % 2 else 'jpg'}", stripes, seed)
    for number in range(9):
        save(place / "new" / f"photo {number}.png", ("lying", "standing")[number % 2], 500 + number)
    return place


def experiment(path, **data):
    return {
        "name": "stripes",
        "requires": ["mytorch-nn", "mytorch-optim", "mytorch-data"],
        "epochs": 6,
        "batch_size": 20,
        "metrics": ["Accuracy"],
        "data": {
            "standardize": True,
            "train": {"type": "ImageFolder", "path": str(path / "train"), "size": 12},
            "split": {"validation": 0.2, "test": 0.2},
            "augment": {"flip": True, "random_crop": 2},
            **data,
        },
        "model": {
            "type": "Sequential",
            "layers": [
                {"type": "Conv2d", "in_channels": 3, "out_channels": 6, "kernel_size": 3},
                {"type": "ReLU"},
                {"type": "Dropout", "p": 0.1},
                {"type": "AdaptiveMaxPool2d", "output_size": 1},
                {"type": "Flatten"},
                {"type": "Linear", "in_features": 6, "out_features": 2},
            ],
        },
        "loss": {"type": "CrossEntropyLoss"},
        "optimizer": {"type": "Adam", "lr": 0.03},
    }


@pytest.fixture(scope="module")
def run(folder):
    return train_experiment(experiment(folder), output=folder / "runs", quiet=True)


def command(function, *arguments):
    result = CliRunner().invoke(function, list(map(str, arguments)))
    assert result.exit_code == 0, result.exception
    return result.output


def test_predictions_stand_beside_the_names_of_the_files(run, folder, tmp_path):
    assert run.evaluate()["accuracy"] > 0.9
    output = command(predict, run.path, folder / "new", "-o", tmp_path / "p.csv")
    assert output.startswith("Wrote 9 predictions to ")
    with (tmp_path / "p.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["file", "prediction", "probability_lying", "probability_standing"]
    assert [row[0] for row in rows] == [f"photo {number}.png" for number in range(9)]
    pixels = ImageFolder(folder / "new", size=12, targets=False)[:][0].double()
    mean, std = (torch.tensor(run.data["preparation"]["standardize"][key]) for key in ("mean", "std"))
    x = ((pixels - mean.reshape(-1, 1, 1)) / std.reshape(-1, 1, 1)).float()
    expected = run.net(x).softmax(1)
    assert [float(row[2]) for row in rows] == pytest.approx(expected[:, 0].tolist(), rel=1e-4)
    command(predict, run.path, folder / "new" / "photo 3.png", "-o", tmp_path / "one.csv")
    assert (tmp_path / "one.csv").read_text().splitlines()[1].startswith("photo 3.png,")


def test_another_folder_is_evaluated_class_by_class(run, folder, tmp_path):
    told = json.loads(command(evaluate, run.path, "--data", folder / "train", "--json"))
    assert told["rows"] == 110
    assert told["accuracy"] > 0.9
    assert told["confusion"]["classes"] == ["lying", "standing"]
    assert sum(told["confusion"]["counts"][0]) == 60
    assert list(told["baselines"]) == ["linear model", "majority class"]
    drawn = {path.name for path in (run.path / "figures").iterdir()}
    assert {"predictions-train.png", "filters-train.png", "confusion-train.png"} <= drawn
    with pytest.raises(
        MytorchError, match=r"must have a folder for each class, such as .*, got 9 images without a cla"
    ):
        run.evaluate(folder / "new")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "b.png").write_bytes(b"no image")
    with pytest.raises(MytorchError, match=r"b\.png: must be a PNG or JPEG image, got something else"):
        run.predict(broken)


def test_only_the_training_is_on_changed_images_and_the_rest_on_plain_ones(run, folder):
    plain = train_experiment(experiment(folder, augment=None), {"epochs": 1}, output=folder / "runs", quiet=True)
    assert plain.data["preparation"] == run.data["preparation"]
    assert load(run.path).evaluate() == run.summary["test"] == run.evaluate()
    whole = ImageFolder(folder / "train", size=12)
    pixels = whole[:][0].movedim(1, -1).flatten(0, -2).double()
    learned = run.data["preparation"]["standardize"]["mean"]
    assert learned == pytest.approx(pixels.mean(0).tolist(), abs=0.02)


class StopAt(Callback):
    """Asks the process to end after a batch."""

    def __init__(self, batch):
        self.batch = batch

    def batch_ended(self):
        self.batch -= 1
        if self.batch == 0:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("batch", [3, 13, 16])
def test_a_resumed_run_draws_the_same_changes(run, folder, tmp_path, batch):
    with pytest.raises(Interrupted):
        train_experiment(experiment(folder), output=tmp_path, callbacks=[StopAt(batch)], quiet=True)
    (path,) = tmp_path.iterdir()
    resumed = resume(path, quiet=True)
    torch.testing.assert_close(resumed.net.state_dict(), run.net.state_dict(), rtol=0, atol=0)
    losses = [[record["train_loss"] for record in one.history] for one in (resumed, run)]
    assert losses[0] == losses[1]


def test_a_resumed_run_knows_its_images_again(run, folder, tmp_path):
    parts = read_checkpoint(run.path)["conditions"]
    assert parts["training data"].startswith("66 rows, ")  # a digest: of the images without their changes
    assert parts["training data"] != "66 rows"


def test_the_check_of_the_experiment_names_a_wrong_key(folder, tmp_path):
    check_experiment(experiment(folder))
    with pytest.raises(MytorchError, match=r"data\.augment\.flop: unknown key\. Nearest: flip"):
        check_experiment(experiment(folder, augment={"flop": True}))
    with pytest.raises(MytorchError, match=r"data\.train\.size: must be "):
        check_experiment(experiment(folder), {"data.train.size": "large"})
    with pytest.raises(MytorchError, match="Augmented: flip or random_crop must be given, got neither"):
        train_experiment(experiment(folder, augment={}), output=tmp_path, quiet=True)


def test_large_images_are_judged_a_few_at_once(folder, monkeypatch):
    seen, batch_at = [], ImageFolder.batch_at
    monkeypatch.setattr(ImageFolder, "batch_at", lambda data, rows: seen.append(len(rows)) or batch_at(data, rows))
    net = Sequential(AdaptiveAvgPool2d(1), Flatten(), Linear(3, 2))
    judge(net, CrossEntropyLoss(), ImageFolder(folder / "train", size=200))
    most = 2**24 // (200 * 200 * 3 * 4 + 8)
    assert seen == [1, most, most, most, 110 - 3 * most]
