"""Data sets of files in an experiment: where a path leads, and what a test file is read by."""

import pytest

from mytorch.experiments import load_experiment
from mytorch.experiments.file.build import build
from mytorch.experiments.file.load_experiment import to_toml

EXPERIMENT = """
epochs = 1
batch_size = 2
data.train = { type = "Shifted", path = "data/train.csv" }
data.test = { type = "Shifted", path = "data/test.csv" }
model = { type = "Dense", in_features = 1, out_features = 1 }
loss = { type = "SquaredError" }
optimizer = { type = "toy-parts:SGD", lr = 0.1 }
"""


@pytest.fixture
def shifted(parts, tmp_path, monkeypatch):
    """An experiment file in a folder with its data, seen from another folder with other data."""
    parts("table-parts", "[mytorch.datasets]\nShifted = toy_rows:Shifted\n")
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for folder, first in ((home, 10), (elsewhere, 500)):
        (folder / "data").mkdir(parents=True)
        (folder / "data/train.csv").write_text(f"{first}\n{first + 2}\n{first + 4}\n")
        (folder / "data/test.csv").write_text(f"{first + 20}\n{first + 21}\n")
    (home / "shifted.toml").write_text(EXPERIMENT)
    monkeypatch.chdir(elsewhere)
    return home / "shifted.toml"


def test_a_test_file_is_read_like_the_training_file(shifted):
    built = build(load_experiment(shifted))
    assert built.setup.batches.data.inputs.flatten().tolist() == [0, 2, 4]
    assert built.parts.test.inputs.flatten().tolist() == [20, 21]


def test_an_experiment_may_say_otherwise(shifted):
    built = build(load_experiment(shifted, {"data.test.like": {"first": 5}}))
    assert built.parts.test.inputs.flatten().tolist() == [25, 26]


def test_a_path_is_meant_from_the_folder_of_the_file(shifted):
    experiment = load_experiment(shifted)
    assert experiment.data.train.arguments["path"] == str(shifted.parent / "data/train.csv")
    assert experiment.data.test.arguments["path"] == str(shifted.parent / "data/test.csv")


def test_a_path_in_an_override_is_meant_from_the_current_folder(shifted, tmp_path):
    experiment = load_experiment(shifted, {"data.train.path": "data/train.csv"})
    assert experiment.data.train.arguments["path"] == str(tmp_path / "elsewhere/data/train.csv")
    assert experiment.data.test.arguments["path"] == str(shifted.parent / "data/test.csv")


def test_a_path_in_a_dict_is_meant_from_the_current_folder_and_the_dict_stays(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content["data"]["train"] = {"type": "Shifted", "path": "train.csv"}
    assert load_experiment(content).data.train.arguments["path"] == str(tmp_path / "train.csv")
    assert content["data"]["train"]["path"] == "train.csv"


def test_an_absolute_path_stays_and_a_run_finds_its_data_again(shifted, tmp_path, monkeypatch):
    experiment = load_experiment(shifted)
    (tmp_path / "run").mkdir()
    kept = tmp_path / "run/experiment.toml"
    kept.write_text(to_toml(experiment))
    monkeypatch.chdir(tmp_path)
    assert load_experiment(kept).data.train.arguments == experiment.data.train.arguments
