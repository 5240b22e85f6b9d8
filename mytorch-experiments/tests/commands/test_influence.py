"""mytorch influence: rows of every kind of data are told by what their user knows of them."""

import csv
import re

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from mytorch.commands.experiment import experiment
from mytorch.commands.influence import influence
from mytorch.core import ArgumentError, Module
from mytorch.experiments import RunError, load, train_experiment
from mytorch.experiments.file.build import build_data
from mytorch.experiments.file.origin import Origin
from mytorch.experiments.runs.influences import influences_of_run
from mytorch.plugins import FileError

SGD = {"type": "SGD", "lr": 0.1}


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        return CliRunner().invoke(influence, list(map(str, arguments)))

    return invoke


def table(tmp_path, **data):
    """A run of a table whose first column is the number of the row; every seventh row lacks a cell."""
    torch.manual_seed(0)
    lines = ["number,x,y"]
    for number, (x, noise) in enumerate(torch.randn(70, 2).tolist(), 1):
        lines.append(f"{number},{'' if number % 7 == 0 else x},{x + 0.1 * noise > 0}")
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    read = {"type": "Table", "path": str(tmp_path / "t.csv"), "target": "y", "missing": "drop"}
    content = {
        "name": "table",
        "epochs": 3,
        "batch_size": 8,
        "data": {"train": read, "standardize": True, **data},
        "model": {"type": "Linear", "in_features": 2, "out_features": 2},
        "loss": {"type": "CrossEntropyLoss"},
        "optimizer": SGD,
    }
    return train_experiment(content, output=tmp_path / "runs", quiet=True)


SPLIT = {"split": {"validation": 0.2, "test": 0.2}}


def a_test_row(run):
    """The number in the file of the first row of the test part."""
    return int(Origin.of(build_data(run.experiment).test).numbers[0])


def test_rows_have_their_numbers_in_the_file_however_they_were_split(tmp_path, call):
    run = table(tmp_path, **SPLIT)
    row = a_test_row(run)
    result = call(run.path, row, "--csv", "i.csv", "--top", 3)
    assert result.exit_code == 0, result
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"Row {row} of the test part: target ")
    assert lines[2] == "Most helpful of 36 training rows, which lower this loss:"
    assert lines[3].split() == ["row", "number", "x", "target", "influence"]
    assert lines[-1] == "Wrote 36 rows to i.csv"
    written = list(csv.reader((tmp_path / "i.csv").read_text().splitlines()))
    assert written[0] == ["row", "number", "x", "target", "influence"]
    assert all(int(cells[0]) == float(cells[1]) and int(cells[0]) % 7 for cells in written[1:])
    values = [float(cells[-1]) for cells in written[1:]]
    assert values == sorted(values, reverse=True)
    file = {cells[0]: cells for cells in csv.reader((tmp_path / "t.csv").read_text().splitlines())}
    assert all(file[cells[0]][2] == cells[3] for cells in written[1:])
    assert lines[4].split()[:1] == written[1][:1]
    assert lines[10].split()[:1] == written[-1][:1]


def test_it_is_that_of_the_function(tmp_path):
    from mytorch.nn import CrossEntropyLoss
    from mytorch.train.quantities import influence as of_rows

    run = table(tmp_path, **SPLIT)
    parts = build_data(run.experiment)
    row = a_test_row(run)
    for damping in (None, 0.1):
        found = influences_of_run(run, str(row), damping=damping)
        at = Origin.of(parts.test).numbers.tolist().index(row)
        wanted = of_rows(run.net, CrossEntropyLoss(), parts.training, parts.test[[at]], damping=damping)
        torch.testing.assert_close(found.values, wanted[:, 0])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["900"], r"row must be one of the 12 rows of the test part, .*, such as \d+ or \d+, got '900'$"),
        (["name"], "got 'name'$"),
        (["0"], "got '0'$"),
        (["7"], "got '7'$"),  # which was left out
        (["1", "--part", "validation", "--row-of", "t.csv"], None),
        (["1", "--damping", "0"], None),
        (["1", "--part", "some"], None),
    ],
)
def test_a_row_that_is_not_there_is_refused(tmp_path, call, arguments, text):
    result = call(table(tmp_path, **SPLIT).path, *arguments)
    assert result.exit_code == (2 if text is None else 1)
    if text is not None:
        assert isinstance(result.exception, ArgumentError)
        assert re.search(text, str(result.exception))


def test_a_row_of_another_part_is_told_of(tmp_path, call):
    run = table(tmp_path, **SPLIT)
    row = influences_of_run(run, str(a_test_row(run))).training.numbers[0]
    with pytest.raises(ArgumentError, match=r"which is a row of the training part; choose it with --part training"):
        influences_of_run(run, str(int(row)))
    assert call(run.path, int(row), "--part", "training", "--damping", 0.1).exit_code == 0
    assert call(run.path, int(row), "--part", "training", "--csv", "i.csv").exit_code == 0
    assert isinstance(call(run.path, int(row), "--csv", "i.csv").exception, FileError)


def test_a_part_that_is_absent_and_a_run_without_experiment_are_refused(tmp_path):
    run = table(tmp_path)
    assert influences_of_run(run, "1").row == "row 1 of the training part"
    with pytest.raises(ArgumentError, match="part must be one that the run has, the training part, got 'test'"):
        influences_of_run(run, "1", "test")
    run.experiment = None
    with pytest.raises(RunError, match="got a run trained from Python"):
        influences_of_run(run, "1")


def test_a_row_of_a_file(tmp_path, call):
    run = table(tmp_path, **SPLIT)
    (tmp_path / "new.csv").write_text("number,x,y\n1,0.5,True\n2,-0.5,False\n")
    result = call(run.path, 2, "--row-of", "new.csv", "--top", 1)
    assert re.match(r"Row 2 of new.csv: target False, predicted (False|True) \(\d\d.\d%\), loss ", result.stdout)


class Centre(Module):
    """y = x - mean of x over the batch, in every mode"""

    def forward(self, x):
        return x - x.mean(0), None

    def backward(self, d_y, _):
        return d_y - d_y.mean(0)


def test_a_net_that_mixes_the_batch_is_refused_by_name(tmp_path):
    from mytorch.nn import Sequential

    run = table(tmp_path)
    run.net = Sequential(run.net, Centre()).eval()
    with pytest.raises(ArgumentError, match=r"layer '1' \(Centre\), which mixes the batch"):
        influences_of_run(run, "1")


def test_images_have_the_names_of_their_files(tmp_path, call):
    for number in range(12):
        folder = tmp_path / "images" / ("dark" if number % 2 else "light")
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), 20 * number if number % 2 else 255 - number).save(folder / f"{number}.png")
    content = {
        "name": "images",
        "epochs": 1,
        "batch_size": 4,
        "data": {"train": {"type": "ImageFolder", "path": str(tmp_path / "images"), "size": 4, "mode": "grey"}},
        "model": {"type": "Sequential", "layers": [{"type": "Flatten"},
                                                   {"type": "Linear", "in_features": 16, "out_features": 2}]},
        "loss": {"type": "CrossEntropyLoss"},
        "optimizer": SGD,
    }  # fmt: skip
    run = train_experiment(content, output=tmp_path / "runs", quiet=True)
    name = load(run.path) and influences_of_run(run, "1").training.source.row_names[1][3]
    result = call(run.path, name, "--top", 2)
    assert result.stdout.startswith(f"Row {name} of the training part: target dark, predicted ")
    assert result.stdout.splitlines()[3].split() == ["row", "file", "target", "influence"]


def test_blocks_of_a_text_are_shown(tmp_path, call):
    (tmp_path / "a.txt").write_text("hello world, " * 100)
    changed = {"epochs": 1, "data.train.path": str(tmp_path / "a.txt"), "data.train.block_size": 13}
    run = train_experiment("text-lstm", changed, output=tmp_path / "runs", quiet=True)
    result = call(run.path, a_test_row(run), "--top", 2)
    assert result.exit_code == 0, result.exception
    assert result.stdout.splitlines()[3].split() == ["row", "text", "target", "influence"]
    assert "hello world," in result.stdout


@pytest.mark.filterwarnings("ignore::mytorch.data.SplitWarning")
def test_sequences_have_their_ids(tmp_path, call):
    lines = ["walk,step,a,kind"]
    for walk in range(40):
        lines += [
            f"w{walk},{step},{step * (1 - walk % 2 * 2)},{('up', 'down')[walk % 2]}" for step in range(2 + walk % 4)
        ]
    (tmp_path / "walks.csv").write_text("\n".join(lines) + "\n")
    new = CliRunner().invoke(
        experiment, ["new", "walks.csv", "--target", "kind", "--id", "walk", "--time", "step", "-o", "walks.toml"]
    )
    assert new.exit_code == 0, new.output
    run = train_experiment("walks.toml", {"epochs": 1}, output=tmp_path / "runs", quiet=True)
    name = Origin.of(build_data(run.experiment).validation).cells(0)[1]
    for damping in ((), ("--damping", 0.1)):  # batches are padded to different lengths
        result = call(run.path, name, "--top", 2, *damping)
        assert result.exit_code == 0, result.exception
        assert result.stdout.startswith(f"Row {name} of the validation part: target ")
        assert result.stdout.splitlines()[3].split() == ["row", "walk", "target", "influence"]
