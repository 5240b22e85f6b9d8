"""mytorch prune-data lists the rows that teach most, and an experiment trains on those that a file lists."""

import csv
import re

import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from mytorch.commands.prune_data import prune_data
from mytorch.core import ArgumentError
from mytorch.experiments import ExperimentError, train_experiment
from mytorch.experiments.file.build import build_data
from mytorch.experiments.file.load_experiment import load_experiment
from mytorch.experiments.file.origin import Origin
from mytorch.experiments.runs import pruning
from mytorch.experiments.runs.pruning import row_scores
from mytorch.nn import CrossEntropyLoss, MSELoss
from mytorch.plugins import FileError
from mytorch.train.quantities import error_norms, sample_norms

SMALL = {
    "data.train.samples": 60,
    "epochs": 2,
    "data.split": {"test": 0.2},
    "data.validation": None,
    "data.test": None,
}

KINDS = [("one-hot", {"type": "MSELoss"}), ("as-is", {"type": "CrossEntropyLoss"})]


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        return CliRunner().invoke(prune_data, list(map(str, arguments)))

    return invoke


def trained(tmp_path, **changed):
    return train_experiment("disk", {**SMALL, **changed}, output=tmp_path / "runs", quiet=True)


def read(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_the_rows_with_the_largest_scores_are_listed_and_trained_on(call, tmp_path):
    runs = [trained(tmp_path, seed=seed) for seed in (1, 2)]
    result = call(*(run.path for run in runs), "--output", "kept.csv")
    assert result.exit_code == 0, result.exception
    assert re.match(r"Wrote 24 of 48 training rows to kept.csv, those with the largest error norms, ", result.stdout)
    lines = read(tmp_path / "kept.csv")
    assert list(lines[0]) == ["row", "x", "y", "target", "error_norm"]
    parts = build_data(runs[0].experiment)
    numbers = Origin.of(parts.training).numbers.tolist()
    batch = parts.training[:]
    scores = torch.stack([error_norms(run.net, MSELoss(), *batch) for run in runs]).mean(0)
    wanted = [numbers[at] for at in scores.argsort(descending=True)[:24].tolist()]
    assert [int(line["row"]) for line in lines] == wanted
    pruned = trained(tmp_path, **{"data.keep": "kept.csv"})
    assert pruned.experiment.data.keep == str(tmp_path / "kept.csv")
    kept = build_data(pruned.experiment)
    assert sorted(Origin.of(kept.training).numbers.tolist()) == sorted(wanted)
    assert len(kept.test) == len(parts.test)  # the rows that judge stay


def test_scores_are_norms_of_gradients(tmp_path):
    run = trained(tmp_path)
    batch = build_data(run.experiment).training[:]
    for by, norms in (("error", error_norms), ("gradient", sample_norms)):
        wanted = norms(run.net, MSELoss(), *batch).double()
        torch.testing.assert_close(row_scores([run], by).values, wanted)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("settings", [{"weight": [1.0, 4.0]}, {"ignore_index": 0}])
@pytest.mark.parametrize("by", ["error", "gradient"])
def test_scores_do_not_depend_on_the_rows_of_a_batch(tmp_path, monkeypatch, by, settings, reduction):
    """With class weights, and with targets that are ignored, of which some batches have nothing else."""
    settings = {"reduction": reduction, **settings}
    run = trained(
        tmp_path, loss={"type": "CrossEntropyLoss", **settings}, **{"data.targets": "as-is", "optimizer.lr": 1e-3}
    )
    whole = row_scores([run], by).values
    if "weight" in settings:
        settings["weight"] = torch.tensor(settings["weight"])
    norms = {"error": error_norms, "gradient": sample_norms}[by]
    wanted = norms(run.net, CrossEntropyLoss(**settings), *build_data(run.experiment).training[:])
    torch.testing.assert_close(whole, wanted.double())
    assert ("ignore_index" in settings) == bool((whole == 0).any())
    for size in (1, 7):
        monkeypatch.setattr(pruning, "BATCH", size)
        torch.testing.assert_close(row_scores([run], by).values, whole, rtol=1e-5, atol=1e-6)


def test_all_scores(call, tmp_path):
    run = trained(tmp_path)
    assert call(run.path, "--keep", 1, "--by", "gradient", "-o", "all.csv").exit_code == 0
    values = [float(line["gradient_norm"]) for line in read(tmp_path / "all.csv")]
    assert len(values) == 48
    assert values == sorted(values, reverse=True)
    assert isinstance(call(run.path, "-o", "all.csv").exception, FileError)


def test_runs_of_other_rows_are_refused(call, tmp_path):
    runs = [trained(tmp_path), trained(tmp_path, **{"data.split.seed": 1})]
    result = call(*(run.path for run in runs), "--output", "kept.csv")
    assert isinstance(result.exception, ArgumentError)
    assert "prune-data: runs must have been trained on the same rows, got 48 of " in str(result.exception)
    assert not (tmp_path / "kept.csv").exists()
    assert call("--output", "kept.csv").exit_code == 2
    assert call(runs[0].path, "--output", "kept.csv", "--keep", 0).exit_code == 2


def test_runs_of_other_data_are_refused_where_the_numbers_are_the_same(call, tmp_path):
    runs = [trained(tmp_path, **{"data.train.seed": seed}) for seed in (0, 1)]
    result = call(*(run.path for run in runs), "--output", "kept.csv")
    assert isinstance(result.exception, ArgumentError)
    assert "prune-data: runs must have been trained on the same rows, got 48 of " in str(result.exception)
    encoded = [trained(tmp_path, **{"data.targets": kind, "loss": loss}) for kind, loss in KINDS]
    assert call(*(run.path for run in encoded), "--output", "kept.csv").exit_code == 0


@pytest.mark.parametrize("beginning", ["", "\ufeff"])
def test_a_list_that_a_spreadsheet_wrote(tmp_path, beginning):
    (tmp_path / "kept.csv").write_text(f"{beginning}row,note\r\n3,\r\n5,hard\r\n", encoding="utf-8")
    changed = {**SMALL, "data.split": None, "data.keep": str(tmp_path / "kept.csv")}
    assert Origin.of(build_data(load_experiment("disk", changed)).training).numbers.tolist() == [3, 5]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "must be a readable CSV file in UTF-8, got No such file"),
        ("a,b\n1,2\n", "must be a CSV file with a column 'row', got none"),
        ("row\n", "column 'row' must hold whole numbers from 1, got no line"),
        ("row\n1\n2.5\n", "column 'row' must hold whole numbers from 1, got '2.5'"),
        ("row\n0\n", "column 'row' must hold whole numbers from 1, got '0'"),
        ("row,x\n1\n61,3\n", "numbers must be those of rows of the training data set, 1 to 60, got 61"),
        ("row\n{test}\n", "must list at least one row of the training part, got 1 others"),
        (b"row\n\xff\n", "must be a readable CSV file in UTF-8"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(tmp_path, text, told):
    test = Origin.of(build_data(load_experiment("disk", SMALL)).test).numbers[0]
    if text is not None:
        content = text if isinstance(text, bytes) else text.format(test=int(test)).encode()
        (tmp_path / "kept.csv").write_bytes(content)
    with pytest.raises(ExperimentError, match=re.escape(told)) as caught:
        trained(tmp_path, **{"data.keep": str(tmp_path / "kept.csv")})
    assert str(caught.value).startswith(f"data.keep: {tmp_path / 'kept.csv'}: ")


def test_a_path_in_a_file_starts_at_the_file(tmp_path):
    (tmp_path / "e.toml").write_text(
        'epochs = 1\nbatch_size = 4\n[data]\ntrain = { type = "Disk" }\nkeep = "kept.csv"\n[model]\ntype = "ReLU"\n'
        '[loss]\ntype = "MSELoss"\n[optimizer]\ntype = "SGD"\n'
    )
    assert load_experiment(tmp_path / "e.toml").data.keep == str(tmp_path / "kept.csv")


def test_images_are_kept_by_their_names(call, tmp_path):
    folder = tmp_path / "images"
    for number in range(12):
        (folder / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), 20 * number).save(folder / "ab"[number % 2] / f"{number}.png")
    content = {
        "name": "images",
        "epochs": 1,
        "batch_size": 4,
        "data": {"train": {"type": "ImageFolder", "path": str(folder), "size": 4, "mode": "grey"}},
        "model": {"type": "Sequential", "layers": [{"type": "Flatten"},
                                                   {"type": "Linear", "in_features": 16, "out_features": 2}]},
        "loss": {"type": "CrossEntropyLoss"},
        "optimizer": {"type": "SGD", "lr": 0.1},
    }  # fmt: skip
    run = train_experiment(content, output=tmp_path / "runs", quiet=True)
    assert call(run.path, "-o", "kept.csv").exit_code == 0
    listed = {line["file"] for line in read(tmp_path / "kept.csv")}
    Image.new("L", (4, 4)).save(folder / "a" / "0-first.png")  # moves the numbers of all others
    kept = build_data(load_experiment(content, {"data.keep": str(tmp_path / "kept.csv")})).training
    assert set(kept.row_names[1]) == listed
    (tmp_path / "kept.csv").write_text("row,file\n1,a/99.png\n")
    with pytest.raises(ExperimentError, match=r"names must be those of rows of the training data set, got 'a/99.png'"):
        build_data(load_experiment(content, {"data.keep": str(tmp_path / "kept.csv")}))
