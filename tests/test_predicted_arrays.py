"""Predictions of models that give more than a row of numbers for each row, as a file of arrays."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from mytorch.commands.predict import predict
from mytorch.core import ShapeError
from mytorch.data import Shapes, TensorDataSet
from mytorch.experiments import RunError, load_experiment, train_experiment
from mytorch.experiments.predict.head import Head
from mytorch.experiments.predict.prediction import joined, predict_batches
from mytorch.train.errors import NotFiniteError

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


@pytest.fixture(scope="module")
def walks(tmp_path_factory):
    """A run that tells a class for each step of sequences of one to five steps, and their file."""
    folder = tmp_path_factory.mktemp("walks")
    lines = [f"{who},{when},{when % 3},{'ab'[when % 2]}" for who in range(20) for when in range(1 + who % 5)]
    (folder / "walks.csv").write_text("\n".join(["who,when,x,y", *lines]))
    train = {"type": "Sequences", "path": str(folder / "walks.csv"), "target": "y", "id": "who", "time": "when"}
    content = experiment("walks", 2, "CrossEntropyLoss")
    content["data"] = {"train": {**train, "per_step": True}}
    layers = [{"type": "Linear", "in_features": 1, "out_features": 2}, {"type": "Permute", "dims": [0, 2, 1]}]
    content["model"] = {"type": "Padded", "layers": layers}
    return train_experiment(content, output=folder / "runs", quiet=True), folder / "walks.csv"


def test_each_step_of_sequences_of_different_lengths_has_a_class(walks, tmp_path):
    run, file = walks
    found = run.predict(file, batch_size=3)
    lengths = [1 + who % 5 for who in range(20)]
    assert found.lengths.tolist() == lengths
    assert (found.probabilities.shape, found.indices.shape) == ((20, 2, 5), (20, 5))
    there = torch.arange(5) < torch.tensor(lengths).unsqueeze(1)
    expected = run.net[0](torch.arange(5.0).unsqueeze(1) % 3).double().softmax(1).T.expand(20, 2, 5)
    torch.testing.assert_close(found.probabilities, expected * there.unsqueeze(1), rtol=0, atol=1e-6)
    assert torch.equal(found.indices, expected.argmax(1).where(there, -1))
    assert write(run, file, tmp_path / "steps.npz", "--batch-size", "3").exit_code == 0
    with np.load(tmp_path / "steps.npz") as written:
        assert written["lengths"].tolist() == lengths
        assert written["who"].tolist() == [str(who) for who in range(20)]
        assert np.array_equal(written["prediction"], found.indices)


def test_a_table_has_a_line_for_each_step(walks, tmp_path):
    run, file = walks
    assert write(run, file, tmp_path / "steps.csv", "--batch-size", "3").output.startswith("Wrote 20 predictions")
    header, *lines = (tmp_path / "steps.csv").read_text().splitlines()
    assert header == "who,step,prediction,probability_a,probability_b"
    assert [line.split(",")[:2] for line in lines[:6]] == [
        ["0", "1"],
        ["1", "1"],
        ["1", "2"],
        *(["2", s] for s in "123"),
    ]
    found = run.predict(file)
    assert len(lines) == int(found.lengths.sum())
    assert [line.split(",")[2] for line in lines[3:6]] == ["ab"[index] for index in found.indices[2, :3].tolist()]
    with pytest.raises(RunError, match=r"kept.csv: columns to keep must be those of one line, got predictions of st"):
        raise write(run, file, tmp_path / "kept.csv", "--keep", "all").exception


def test_of_several_outputs_the_first_is_read_and_those_of_rows_are_kept():
    x, spread = torch.rand(7, 1), torch.rand(7)
    found = Head("numbers").read((x, spread, None, torch.zeros(()), torch.zeros(3), (x,)))
    torch.testing.assert_close(found.values, x.double())
    assert [torch.equal(other, spread) for other in found.others] == [True]
    both = joined([found, Head("numbers").read((x, spread))])
    assert (both.values.shape, both.others[0].shape) == ((14, 1), (14,))
    wide = Head("numbers").read((x, torch.rand(7, 2)))
    with pytest.raises(ShapeError, match=r"further outputs of all rows must have one shape, got \[\(\)\] and \[\(2"):
        joined([both, wide])
    with pytest.raises(ShapeError, match=r"further outputs of all rows must have one shape, got \[\(\)\] and \[\]"):
        joined([both, Head("numbers").read(x)])
    with pytest.raises(ShapeError, match=r"^predict: the model's output must be"):
        Head("numbers").read(())


def test_a_further_output_that_is_not_finite_is_told():
    data = TensorDataSet(torch.rand(5, 1), torch.zeros(5))
    outputs = torch.rand(5, 1), torch.tensor([1.0, 2.0, float("nan"), 4.0, 5.0])
    with pytest.raises(NotFiniteError, match=r"^run: every output must be finite, got nan for row 3 of the new rows"):
        list(predict_batches(data, None, lambda _inputs: outputs, Head("numbers"), "run"))


def test_the_code_of_an_autoencoder_stands_beside_its_images(images, tmp_path):
    keys = {
        f"data.{part}.{key}": value
        for part in ("train", "validation", "test")
        for key, value in {"samples": 60, "size": SIZE}.items()
    }
    keys |= {"model.encoder.layers.1.in_features": SIZE**2, "model.decoder.layers.2.out_features": SIZE**2}
    keys |= {"model.decoder.layers.3.shape": [1, SIZE, SIZE], "epochs": 1}
    run = train_experiment(load_experiment("vae", keys), output=tmp_path / "runs", quiet=True)
    assert write(run, images, tmp_path / "codes.npz").exit_code == 0
    with np.load(tmp_path / "codes.npz") as written:
        assert {name: value.shape for name, value in written.items()} == {
            "prediction": (7, 1, SIZE, SIZE),
            "output_1": (7, 8),
            "output_2": (7, 8),
        }
    with pytest.raises(
        RunError, match=r"must be an NPZ file for a model that gives \(1, 12, 12\) and 2 other outputs"
    ):
        raise write(run, images, tmp_path / "codes.csv").exception
