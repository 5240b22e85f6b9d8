"""What the shipped experiments come to, and that PyTorch comes to the same."""

import numpy as np
import pytest
from PIL import Image

from mytorch.data import Shapes
from mytorch.experiments import load_experiment, train_experiment
from mytorch.experiments.parity import compare

RESULTS = {
    "adding-lstm": ("loss", 0.0, 0.005),
    "autoencoder": ("loss", 0.01, 0.025),
    "shapes-unet": ("iou", 0.93, 1.0),
    "sine-forecast": ("mean_absolute_error", 0.0, 0.1),
    "vae": ("loss", 150.0, 330.0),
}
"""A number of the test part, and between which bounds it must be."""


@pytest.mark.parametrize("name", RESULTS)
def test_the_result_is_as_it_is_told(name, tmp_path):
    metric, low, high = RESULTS[name]
    assert low <= train_experiment(name, output=tmp_path, quiet=True).evaluate()[metric] <= high


def test_digits_are_read_right_in_the_mean_of_five_seeds(tmp_path):
    shares = []
    for seed in range(5):
        overrides = {"seed": seed, "data.split.seed": seed, "metrics": ["Accuracy"]}
        run = train_experiment("digits-cnn", overrides, output=tmp_path / str(seed), quiet=True)
        shares.append(run.summary["test"]["accuracy"])
    assert sum(shares) / len(shares) >= 0.985


@pytest.mark.parametrize("name", ["digits-cnn", *RESULTS])
def test_pytorch_takes_the_same_steps(name):
    assert compare(load_experiment(name, {"epochs": 1}), runs=1).passed


def test_resnet_learns_a_folder_of_coloured_shapes_as_pytorch_does(tmp_path):
    shapes, draw = Shapes(240, size=32, noise=0.15), np.random.default_rng(0)
    for row, (pixels, kind) in enumerate(zip(*shapes[:], strict=True)):
        colour = draw.uniform(0.4, 1, 3)
        file = tmp_path / "images" / shapes.classes[kind] / f"{row}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        image = np.clip(pixels.numpy()[0, ..., None] * colour * 255, 0, 255)
        Image.fromarray(image.astype(np.uint8)).save(file)
    found = {"data.train.path": str(tmp_path / "images"), "threads": 1, "epochs": 6}
    run = train_experiment("resnet", found, output=tmp_path / "runs", quiet=True)
    assert run.summary["test"]["accuracy"] > 0.85  # 1/3 by chance
    assert compare(load_experiment("resnet", {**found, "epochs": 1, "dtype": "float64"}), runs=1).passed
