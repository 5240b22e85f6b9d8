"""Predictions of models that give more than a row of numbers for each row, as a file of arrays."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from mytorch.commands.predict import predict
from mytorch.core import ShapeError
from mytorch.data import Shapes
from mytorch.experiments import RunError, load_experiment, train_experiment

SIZE = 12


def experiment(task, channels, loss):
    return {
        "name": task,
        "requires": ["mytorch-nn", "mytorch-optim", "mytorch-data"],
        "epochs": 1,
        "batch_size": 20,
        "data": {"train": {"type": "Shapes", "samples": 60, "size": SIZE, "task": task}},
        "model": {"type": "Conv2d", "in_channels": 1, "out_channels": channels, "kernel_size": 3, "padding": 1},
        "loss": {"type": loss},
        "optimizer": {"type": "SGD", "lr": 0.05},
    }


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "images.npz"
    np.savez(path, inputs=Shapes(7, size=SIZE, seed=3).inputs)
    return path


@pytest.fixture(scope="module")
def segmentation(tmp_path_factory):
    content = experiment("segmentation", 4, "CrossEntropyLoss")
    return train_experiment(content, output=tmp_path_factory.mktemp("runs"), quiet=True)


def write(run, rows, output, *options):
    return CliRunner().invoke(predict, [str(run.path), str(rows), "--output", str(output), *options])


def test_each_pixel_has_a_class(segmentation, images, tmp_path):
    result = write(segmentation, images, tmp_path / "masks.npz", "--batch-size", "3")
    assert result.output == f"Wrote 7 predictions to {tmp_path / 'masks.npz'}\n"
    outputs = segmentation.net(Shapes(7, size=SIZE, seed=3).inputs)
    with np.load(tmp_path / "masks.npz") as written:
        assert sorted(written) == ["classes", "prediction", "probabilities"]
        assert written["classes"].tolist() == ["background", "square", "disc", "triangle"]
        assert np.array_equal(written["prediction"], outputs.argmax(1).numpy())
        np.testing.assert_allclose(written["probabilities"], outputs.double().softmax(1).numpy(), rtol=1e-5)
    assert torch.equal(segmentation.predict(images).indices, outputs.argmax(1))


def test_an_image_has_its_reconstruction(images, tmp_path):
    run = train_experiment(experiment("reconstruction", 1, "MSELoss"), output=tmp_path / "runs", quiet=True)
    assert write(run, images, tmp_path / "again.npz").exit_code == 0
    with np.load(tmp_path / "again.npz") as written:
        assert list(written) == ["prediction"]
        expected = run.net(Shapes(7, size=SIZE, seed=3).inputs).double().numpy()
        np.testing.assert_allclose(written["prediction"], expected, rtol=1e-5)


def test_each_letter_of_a_text_has_the_one_behind_it(tmp_path):
    (tmp_path / "sea.txt").write_text("she sells sea shells by the sea shore\n" * 20)
    keys = {"data.train.path": str(tmp_path / "sea.txt"), "data.train.block_size": 16, "epochs": 1}
    run = train_experiment(load_experiment("text-lstm", keys), output=tmp_path / "runs", quiet=True)
    assert write(run, tmp_path / "sea.txt", tmp_path / "next.npz").exit_code == 0
    with np.load(tmp_path / "next.npz") as written:
        assert written["prediction"].shape == (47, 16)
        assert tuple(written["classes"]) == tuple(run.data["classes"])


def test_what_a_table_cannot_hold_is_told(segmentation, images, tmp_path):
    output = tmp_path / "masks.csv"
    wanted = (
        r"masks.csv: must be an NPZ file for a model that gives \(4, 12, 12\) for each row, got a CSV file, .*; "
        r"write --output .*masks.npz$"
    )
    with pytest.raises(RunError, match=wanted):
        raise write(segmentation, images, output).exception
    with pytest.raises(
        RunError, match=r"masks.npz: columns to keep must go into a CSV file, got one of arrays; leave"
    ):
        raise write(segmentation, images, tmp_path / "masks.npz", "--keep", "all").exception
    assert not list(tmp_path.iterdir())


def test_classes_of_steps_of_sequences_of_different_lengths_are_no_arrays(tmp_path):
    lines = [f"{who},{when},{when % 3},{'ab'[when % 2]}" for who in range(20) for when in range(1 + who % 5)]
    (tmp_path / "walks.csv").write_text("\n".join(["who,when,x,y", *lines]))
    train = {"type": "Sequences", "path": str(tmp_path / "walks.csv"), "target": "y", "id": "who", "time": "when"}
    content = experiment("walks", 2, "CrossEntropyLoss")
    content["data"] = {"train": {**train, "per_step": True}}
    layers = [{"type": "Linear", "in_features": 1, "out_features": 2}, {"type": "Permute", "dims": [0, 2, 1]}]
    content["model"] = {"type": "Padded", "layers": layers}
    run = train_experiment(content, output=tmp_path / "runs", quiet=True)
    with pytest.raises(ShapeError, match=r"outputs of all rows must have one shape, got those of sequences of dif"):
        run.predict(tmp_path / "walks.csv", batch_size=3)
