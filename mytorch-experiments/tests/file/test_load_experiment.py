"""Experiment files: what they may say, and what their errors say."""

import errno
import os
from pathlib import Path

import pytest
import toy_parts

from mytorch.core import MytorchError
from mytorch.experiments import ExperimentError, RunError, UnknownKeyError, load, load_experiment
from mytorch.experiments.file.build import build
from mytorch.experiments.file.load_experiment import read_toml, resolve_paths, to_toml
from mytorch.experiments.training.check_experiment import check_experiment
from mytorch.plugins import FileError, PluginError, UnknownNameError


def test_from_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(toy_parts.experiment.read_text())
    experiment = load_experiment(path)
    assert experiment.name == "mine"
    assert load_experiment(str(path)) == experiment
    assert (experiment.epochs, experiment.batch_size, experiment.seed, experiment.dtype) == (3, 32, 0, "float32")
    assert experiment.optimizer.type == "toy-parts:SGD"
    assert experiment.optimizer.arguments == {"lr": 0.1}
    assert experiment.schedule is None


@pytest.mark.parametrize("name", ["points", "toy-parts:points"])
def test_by_name(parts, name):
    assert load_experiment(name).name == "points"


def test_from_a_dict_that_stays_as_it_is(content):
    copy = {**content, "optimizer": dict(content["optimizer"])}
    experiment = load_experiment(content, {"optimizer.lr": 0.5})
    assert experiment.optimizer.arguments["lr"] == 0.5
    assert content == copy


def test_the_shipped_ones_are_valid():
    shipped = {"adding-lstm": 20, "autoencoder": 30, "digits-cnn": 20, "disk": 25, "disk-tuned": 25}
    shipped |= {"resnet": 20, "shapes-unet": 12, "sine-forecast": 10, "text-gpt": 10, "text-lstm": 10, "vae": 30}
    for name, epochs in shipped.items():
        assert load_experiment(name).epochs == epochs


def test_to_toml_comes_back(tmp_path, content):
    content |= {"schedule": {"type": "Ramp"}, "metrics": ["ErrorRate", {"type": "Accuracy"}], "threads": 1}
    experiment = load_experiment(content)
    path = tmp_path / "again.toml"
    path.write_text(to_toml(experiment))
    assert load_experiment(path) == experiment
    assert "seed = 0" in path.read_text()


def test_to_toml_of_what_toml_cannot_hold(content):
    content["loss"]["rule"] = abs
    with pytest.raises(ExperimentError, match=r"every value must be what TOML can hold, got .*builtin_function"):
        to_toml(load_experiment(content))


def change(content, key, value):
    *parents, last = key.split(".")
    for name in parents:
        content = content[int(name) if isinstance(content, list) else name]
    if value is ...:
        del content[last]
    else:
        content[last] = value


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("epoch", 3, r"experiment: epoch: unknown key. Nearest: epochs"),
        ("EPOCHS", 3, r"experiment: EPOCHS: unknown key. Nearest: epochs"),
        ("data.standardise", True, r"experiment: data.standardise: unknown key. Nearest: standardize"),
        ("data.split", {"tests": 0.5}, r"data.split.tests: unknown key. Nearest: test\."),
        ("epochs", ..., r"experiment: epochs: must be given"),
        ("model", ..., r"experiment: model: must be given"),
        ("model.type", ..., r"experiment: model.type: must be given"),
        ("data.train.type", ..., r"experiment: data.train.type: must be given"),
        ("name", ..., r"experiment: name: must be given"),
        ("epochs", "many", r"experiment: epochs: must be a whole number, got 'many'$"),
        ("epochs", "3", r"experiment: epochs: must be a whole number, got '3'; leave out the quotes$"),
        ("epochs", 10**18, r"experiment: epochs: must be at most 1,000,000,000, got 1000000000000000000"),
        ("batch_size", 10**10, r"experiment: batch_size: must be at most 1,000,000,000"),
        ("accumulate", 10**10, r"experiment: accumulate: must be at most 1,000,000,000"),
        ("evaluate_every", 10**10, r"experiment: evaluate_every: must be at most 1,000,000,000"),
        ("threads", 100_000, r"experiment: threads: must be at most 1,024, got 100000"),
        ("model.size", -(10**30), r"experiment: model.size: must be a number of 64 bits at most, got -1000"),
        ("model.sizes", [[1], [2**64]], r"experiment: model.sizes.1.0: must be a number of 64 bits at most"),
        ("k" * 5000, 1, r"experiment: k+\.\.\.k+: a key must have at most 200 characters, got more"),
        ("name", "", r"experiment: name: must be text of at least 1 character, got ''"),
        ("name", "x" * 101, r"experiment: name: must be text of at most 100 characters, got 'xxx"),
        ("name", "a\x1b[31m", r"experiment: name: must be one line of text without control .*, got 'a\\x1b\[31m'"),
        ("name", "a\nb", r"experiment: name: must be one line of text without control characters, got 'a\\nb'"),
        ("data.targets", "one-hott", r"data.targets: must be 'as-is', .*, got 'one-hott'. Nearest: one-hot."),
        ("epochs", 3.5, r"experiment: epochs: must be a whole number, got 3.5"),
        ("epochs", True, r"experiment: epochs: must be a whole number, got True"),
        ("epochs", 0, r"experiment: epochs: must be at least 1, got 0"),
        ("seed", -1, r"experiment: seed: must be at least 0, got -1"),
        ("seed", 2**63, r"experiment: seed: must be a number of 64 bits at most, got 9223372036854775808"),
        ("threads", 0, r"experiment: threads: must be at least 1, got 0"),
        ("name", "", r"experiment: name: .*at least 1 character"),
        ("dtype", "float16", r"experiment: dtype: must be 'float32' or 'float64', got 'float16'"),
        (
            "data.targets",
            "onehot",
            r"data.targets: must be 'as-is', 'one-hot', 'binary' or 'standardize', got 'onehot'",
        ),
        ("data.split", {"test": 1.5}, r"data.split.test: must be below 1, got 1.5"),
        ("data.split", {"validation": 0}, r"data.split.validation: must be above 0, got 0"),
        ("data.split", {"seed": 1}, r"data.split: must have validation, test or both, got neither"),
        ("data.split", {"test": 0.5, "stratify": "no"}, r"data.split.stratify: must be true or false, got 'no'"),
        ("data.split", {"test": 0.5, "seed": 2**63}, r"data.split.seed: must be a number of 64 bits at most, got"),
        ("optimizer", "SGD", r'experiment: optimizer: must be a table such as \{ type = "..." \}, got \'SGD\''),
        ("data", 5, r"experiment: data: must be a table"),
        ("metrics", "ErrorRate", r"experiment: metrics: must be a list such as \[1, 2\], got 'ErrorRate'"),
        ("metrics", [5], r"experiment: metrics.0: must be text in quotes or a table such as .*, got 5"),
        ("requires", [1], r"experiment: requires.0: must be text in quotes, got 1"),
        ("optimizer.type", 5, r"experiment: optimizer.type: must be text in quotes, got 5"),
    ],
)
def test_errors_name_the_key_the_rule_and_the_value(content, key, value, text):
    change(content, key, value)
    with pytest.raises(ExperimentError, match=text) as info:
        load_experiment(content)
    if value is not ... and key not in ("data", "model"):
        assert len(str(info.value).splitlines()) <= 2


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_part_of_its_own_and_a_split_for_it(content, part):
    content["data"] |= {part: content["data"]["test"], "split": {part: 0.5}}
    with pytest.raises(ExperimentError, match=rf"^experiment: data: must have either {part} or split.{part}, got"):
        load_experiment(content)


def test_one_part_of_its_own_and_a_split_for_the_other(content):
    content["data"]["split"] = {"validation": 0.5}
    assert load_experiment(content).data.split.validation == 0.5


def test_the_path_of_every_part_is_meant_from_the_file(tmp_path):
    content = {"data": {part: {"type": "Table", "path": "a.csv"} for part in ("train", "validation", "test")}}
    resolve_paths(content, tmp_path)
    assert {spec["path"] for spec in content["data"].values()} == {str(tmp_path / "a.csv")}


def test_every_error_at_once(content):
    content |= {"epoch": 3, "seed": "x"}
    del content["epochs"]
    with pytest.raises(ExperimentError) as info:
        load_experiment(content)
    assert {line.split(": ")[1] for line in str(info.value).splitlines()} == {"epoch", "epochs", "seed"}


def test_errors_in_a_file_name_it(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("epochs = 'x'")
    with pytest.raises(ExperimentError, match=rf"{path}: epochs: must be a whole number"):
        load_experiment(path)


def test_a_file_that_is_no_toml(tmp_path, monkeypatch):
    def refuse(*_args, **_options):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    path = tmp_path / "mine.toml"
    path.write_text("epochs = 3\nseed = = 4\n")
    with pytest.raises(ExperimentError, match=r"mine.toml: must be TOML, got something else: .*line 2"):
        load_experiment(path)
    path.write_bytes(b"\x80\x02}q\x00.\xff\xfe")
    with pytest.raises(ExperimentError, match=r"mine.toml: must be a readable text file in UTF-8, got"):
        load_experiment(path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", refuse)
        with pytest.raises(ExperimentError) as info:
            load_experiment(path)
    assert str(info.value) == f"{path}: must be a readable text file in UTF-8, got Too many open files"
    path.write_bytes(b"epochs = 3\0")
    with pytest.raises(ExperimentError, match=r"mine.toml: must be TOML"):
        load_experiment(path)


def test_a_folder_and_a_missing_file(tmp_path):
    for source, what in [(tmp_path, "a folder"), (tmp_path / "x.toml", "no such file"), ("gone.toml", "no such file")]:
        with pytest.raises(ExperimentError, match=rf"must be a TOML file or the name of an installed one, got {what}"):
            load_experiment(source)


@pytest.mark.parametrize("name", ["iris.csv", "IRIS.CSV", "iris.2024.csv.gz", "iris.parquet"])
def test_a_table_is_told_what_makes_an_experiment_of_it(tmp_path, name):
    path = tmp_path / name
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ExperimentError) as info:
        load_experiment(path)
    assert str(info.value) == (
        f"experiment: must be a TOML file or the name of an installed one, got the table {path}; write an experiment "
        f"that learns one of its columns with: mytorch experiment new {path}"
    )


def test_another_type_that_does_not_take_what_the_file_set_for_the_first(content):
    content["optimizer"] |= {"momentum": 0.9, "nesterov": True}
    with pytest.raises(ExperimentError) as info:
        build(load_experiment(content, {"optimizer.type": "mytorch-optim:Adam"}))
    assert str(info.value).startswith("optimizer.momentum: Adam has no argument 'momentum', nor 'nesterov'. Known: ")
    assert info.value.__notes__ == [
        "The table has the settings of toy-parts:SGD, which --set optimizer.type=mytorch-optim:Adam left there; "
        "replace it whole: --set 'optimizer={type = \"mytorch-optim:Adam\"}'"
    ]
    whole = load_experiment(content, {"optimizer": {"type": "mytorch-optim:Adam"}})
    assert type(build(whole).setup.optimizer).__name__ == "Adam"
    with pytest.raises(ExperimentError) as info:
        build(load_experiment(content, {"optimizer.rate": 1.0}))
    assert not hasattr(info.value, "__notes__")


def test_a_folder_does_not_hide_an_installed_experiment(parts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "points").mkdir()
    assert load_experiment("points").name == "points"
    (tmp_path / "gone").mkdir()
    with pytest.raises(ExperimentError, match=r"installed one, got a folder: gone"):
        load_experiment("gone")


def test_an_unknown_name(parts):
    with pytest.raises(UnknownNameError, match=r"experiment: 'poinst' is not installed. Nearest: points") as info:
        load_experiment("poinst")
    assert "There is no file 'poinst' either; an experiment file ends in .toml." in info.value.__notes__


def test_an_entry_point_that_is_no_path(parts):
    with pytest.raises(PluginError, match=r"'no-path' of toy-parts 1.0 must be the path of a TOML file, got a str"):
        load_experiment("no-path")


def test_an_override_takes_a_section_away(content):
    content["schedule"] = {"type": "Ramp"}
    assert load_experiment(content, {"schedule": None}).schedule is None


def test_overrides_reach_lists_and_make_tables(content):
    changes = {
        "model.layers.0.out_features": 7,
        "schedule.type": "Ramp",
        "data.split.test": 0.5,
        "metrics.0": "Accuracy",
    }
    del content["data"]["test"]
    experiment = load_experiment(content, changes)
    assert experiment.model.arguments["layers"][0]["out_features"] == 7
    assert experiment.schedule.type == "Ramp"
    assert experiment.data.split.test == 0.5
    assert experiment.metrics == ["Accuracy"]


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("model.layers.9.bias", r"--set model.layers.9.bias: index must be a number below 3, got '9'"),
        ("model.layers.x.bias", r"--set model.layers.x.bias: index must be a number below 3, got 'x'"),
        ("model.layers.-1", r"index must be a number below 3, got '-1'"),
        ("model.layers.²", r"index must be a number below 3, got '²'"),
        ("epochs.x", r"--set epochs.x: epochs must be a table or list, got 3"),
        ("metrics.0.x", r"--set metrics.0.x: metrics.0 must be a table or list, got 'ErrorRate'"),
        ("optimiser.lr", r"experiment: optimiser: unknown key. Nearest: optimizer"),
    ],
)
def test_overrides_that_lead_nowhere(content, key, text):
    with pytest.raises(ExperimentError, match=text):
        load_experiment(content, {key: 1})


def test_read_toml_of_a_folder(tmp_path):
    with pytest.raises(ExperimentError, match="must be a readable text file"):
        read_toml(tmp_path)


def test_a_path_of_data_is_meant_from_the_files_folder(tmp_path, monkeypatch, content):
    content["data"]["train"]["path"] = "mine.csv"
    path = tmp_path / "mine.toml"
    path.write_text(to_toml(load_experiment(content)).replace(str(Path.cwd() / "mine.csv"), "mine.csv"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load_experiment(path).data.train.arguments["path"] == str(tmp_path / "mine.csv")
    given = load_experiment(path, {"data.train.path": "given.csv"}).data.train.arguments["path"]
    assert given == str(tmp_path / "elsewhere" / "given.csv")
    content["data"]["train"]["path"] = "/absolute.csv"
    assert load_experiment(content).data.train.arguments["path"] == "/absolute.csv"


def test_what_is_nested_too_deeply_is_refused(content, tmp_path):
    nested = {"type": "Rectify"}
    for _ in range(600):
        nested = {"type": "Chain", "layers": [nested]}
    with pytest.raises(ExperimentError, match=r"^experiment: model.layers.0.*: must be at most 200 lists") as error:
        load_experiment({**content, "model": nested})
    assert len(str(error.value)) < 200
    path = tmp_path / "deep.toml"
    path.write_text(f"epochs = {'[' * 3000}{']' * 3000}")
    with pytest.raises(ExperimentError, match=rf"^{path}: must be TOML, got something else: lists or tables within"):
        load_experiment(path)
    path.write_text(f"epochs = {'9' * 5000}")
    with pytest.raises(ExperimentError, match=rf"^{path}: must be TOML, got something else"):
        load_experiment(path)


def test_of_many_problems_the_first_are_told(content):
    wrong = {f"key{number}": 1 for number in range(100)}
    with pytest.raises(ExperimentError) as error:
        load_experiment({**content, **wrong})
    assert len(str(error.value).splitlines()) == 11
    assert str(error.value).endswith("experiment: 90 more")


def test_an_error_of_a_part_names_the_file(parts, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(toy_parts.experiment.read_text().replace("Rectify", "Rectyfy"))
    for judge in (lambda source: build(load_experiment(source)), check_experiment):
        with pytest.raises(MytorchError) as error:
            judge(path)
        assert f"in {path}" in error.value.__notes__


def test_a_rate_that_the_schedule_takes_no_notice_of_cannot_be_set(content):
    content["schedule"] = {"type": "OneCycleLR", "max_lr": 0.3}
    message = (
        r"--set optimizer\.lr: must be left out where the schedule decides every learning rate, got OneCycleLR; "
        r"set schedule\.max_lr instead$"
    )
    with pytest.raises(UnknownKeyError, match=message):
        load_experiment(content, {"optimizer.lr": 0.5})
    assert load_experiment(content, {"optimizer.lr": 0.5, "schedule.max_lr": 0.5}).rate_key == "schedule.max_lr"
    other = {"optimizer.lr": 0.5, "schedule": {"type": "StepLR", "step_size": 2}}
    assert load_experiment(content, other).rate_key == "optimizer.lr"


def test_an_address_is_told_as_one():
    with pytest.raises(
        FileError, match=r"https://example.org/a.toml: must be a file of this computer, got an address"
    ):
        load_experiment(Path("https://example.org/a.toml"))
    with pytest.raises(RunError, match=r"must be the folder of a run, .* got an address; download the folder first"):
        load("https://example.org/runs/disk-1")
