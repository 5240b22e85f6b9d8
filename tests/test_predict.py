"""From a user's table to predictions and judgements of new ones, with the real reader of tables."""

import csv
import json
import random
import signal
from pathlib import Path

import pytest
import torch

from mytorch.core import MytorchError
from mytorch.data.table.errors import TableError
from mytorch.experiments import load, train_experiment
from mytorch.experiments.runs.write_predictions import write_predictions

COLOURS = ("red", "green, dark", 'blue "sky"')


def rows_of(count, seed):
    """Height, width (sometimes missing), colour; the kind and the price that follow from them."""
    draw = random.Random(seed)
    for number in range(count):
        height, width, colour = draw.uniform(100, 200), draw.uniform(-1, 1), draw.choice(COLOURS)
        kind = "tall, red" if height > 150 and colour == "red" else "tall" if height > 150 else "small"
        price = 50_000 + 200 * (height - 150) + 3000 * width + (4000 if colour == "red" else 0)
        yield {
            "id": f"row {number}",
            "height": height,
            "width": "" if number % 9 == 4 else width,
            "colour": colour,
            "kind": kind,
            "price": price,
        }


def write(path, rows, columns, **more):
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, extrasaction="ignore", **more)
        table.writeheader()
        table.writerows(rows)
    return path


def experiment(path, target, missing="mean", **data):
    outputs, loss = (3, "CrossEntropyLoss") if target == "kind" else (1, "MSELoss")
    layers = [
        {"type": "Linear", "in_features": 5, "out_features": 16},
        {"type": "Tanh"},
        {"type": "Linear", "in_features": 16, "out_features": outputs},
    ]
    table = {
        "type": "Table",
        "path": str(path),
        "target": target,
        "features": ["height", "width", "colour"],
        "encode": "one-hot",
        "missing": missing,
    }
    return {
        "name": target,
        "epochs": 40,
        "batch_size": 20,
        "data": {"standardize": True, "train": table, "split": {"test": 0.2}, **data},
        "model": {"type": "Sequential", "layers": layers},
        "loss": {"type": loss},
        "optimizer": {"type": "SGD", "lr": 0.1, "momentum": 0.9},
    }


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with rows.csv and a run that learned its kinds."""
    folder = tmp_path_factory.mktemp("place")
    write(folder / "rows.csv", rows_of(400, 0), ["id", "height", "width", "colour", "kind", "price"])
    train_experiment(experiment(folder / "rows.csv", "kind"), output=folder / "runs", quiet=True)
    return folder


@pytest.fixture(scope="module")
def run(place):
    (path,) = (place / "runs").iterdir()
    return load(path)


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_new_rows_in_another_order_and_without_a_target(place, run, mytorch_here):
    rows = list(rows_of(150, 1))
    write(place / "new.csv", rows, ["colour", "width", "height"])
    said = mytorch_here(place, "predict", run.path, "new.csv", "--output", "out.csv", "--force", "--batch-size", 7)
    assert said == "Wrote 150 predictions to out.csv\n"
    found = read(place / "out.csv")
    names = ["tall", "tall, red", "small"]
    assert sorted(found[0]) == sorted(["prediction", *(f"probability_{name}" for name in names)])
    right = sum(row["kind"] == line["prediction"] for row, line in zip(rows, found, strict=True))
    assert right > 135
    for line in found:
        shares = {name: float(line[f"probability_{name}"]) for name in names}
        assert sum(shares.values()) == pytest.approx(1)
        assert max(shares, key=shares.get) == line["prediction"]
    predictions = run.predict(place / "new.csv")
    assert list(predictions.labels) == [line["prediction"] for line in found]


@pytest.mark.parametrize("kinds", [["", "nonsense"], ["small", "tall"]])
def test_the_target_is_not_even_looked_at(place, run, kinds, tmp_path):
    rows = [{**row, "kind": kind} for row, kind in zip(rows_of(2, 2), kinds, strict=True)]
    with_target = write(tmp_path / "with.csv", rows, ["height", "width", "colour", "kind"])
    without = write(tmp_path / "without.csv", rows, ["height", "width", "colour"])
    torch.testing.assert_close(run.predict(with_target).probabilities, run.predict(without).probabilities)


def test_rows_are_prepared_as_in_training_whatever_else_is_in_the_file(place, run):
    rows = list(rows_of(30, 3))
    whole = run.predict(write(place / "whole.csv", rows, ["height", "width", "colour"])).probabilities
    for number in (0, 4, 29):
        one = run.predict(write(place / "one.csv", [rows[number]], ["height", "width", "colour"])).probabilities
        torch.testing.assert_close(one[0], whole[number])


def test_no_row_is_dropped_in_silence(place, tmp_path):
    made = experiment(place / "rows.csv", "kind", missing="drop")
    run = train_experiment({**made, "epochs": 1}, output=tmp_path / "runs", quiet=True)
    rows = list(rows_of(9, 1))
    with pytest.raises(TableError, match=r"new.csv: row 6, column 'width'"):
        run.predict(write(tmp_path / "new.csv", rows, ["height", "width", "colour"]))
    judged = write(tmp_path / "more.csv", rows, ["height", "width", "colour", "kind"])
    assert len(run.predict(write(tmp_path / "new.csv", rows[:4], ["height", "width", "colour"]))) == 4
    with pytest.raises(TableError, match=r"more.csv: every row must be whole .*, got 1 with missing cells"):
        run.evaluate(judged)


def test_numbers_come_in_units(place, tmp_path, mytorch_here):
    made = experiment(place / "rows.csv", "price", targets="standardize")
    run = train_experiment(made, output=tmp_path / "runs", quiet=True)
    rows = list(rows_of(100, 4))
    write(tmp_path / "new.csv", rows, ["height", "width", "colour", "price"])
    mytorch_here(tmp_path, "predict", run.path, "new.csv", "--output", "out.csv")
    found = [float(line["prediction"]) for line in read(tmp_path / "out.csv")]
    assert max(abs(row["price"] - value) for row, value in zip(rows, found, strict=True)) < 6000
    told = json.loads(mytorch_here(tmp_path, "evaluate", run.path, "--data", "new.csv", "--json"))
    off = [row["price"] - value for row, value in zip(rows, found, strict=True)]
    assert told["residuals"]["price"]["mean"] == pytest.approx(sum(off) / len(off), abs=0.1)
    assert told["loss"] < 1
    assert (run.path / "figures/residuals-new.png").is_file()


def test_evaluate_a_file(place, run, tmp_path, mytorch_here):
    rows = list(rows_of(150, 1))
    write(tmp_path / "more.csv", rows, ["colour", "kind", "height", "width"])
    told = json.loads(
        mytorch_here(tmp_path, "evaluate", run.path, "--data", "more.csv", "--json", "--figures", "figures")
    )
    names = told["confusion"]["classes"]
    predicted = run.predict(tmp_path / "more.csv").labels
    assert told["confusion"]["counts"] == [
        [sum((row["kind"], said) == (a, b) for row, said in zip(rows, predicted, strict=True)) for b in names]
        for a in names
    ]
    write(tmp_path / "less.csv", rows, ["height", "width", "colour"])
    said = mytorch_here(tmp_path, "evaluate", run.path, "--data", "less.csv", status=1)
    assert said.startswith("Error: less.csv: must have the column 'kind' to judge by")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "new.csv: "),
        ("height,width,colour\n", "new.csv: "),
        ("height,width\n150,0\n", "got none named 'colour'"),
        ("hieght,width,colour\n150,0,red\n", "got none named 'height'. Nearest: hieght"),
        ("height,width,colour\n150,0,purple\n", "row 2, column 'colour'"),
        ("height,width,colour\n150,0,red\ntall,0,red\n", "row 3, column 'height'"),
        ("height,width,colour\n150,1e400,red\n", "column 'width'"),
        ("\0\1\2\xff\xfe", "new.csv: "),
    ],
)
def test_an_input_that_does_not_fit_leaves_nothing(run, tmp_path, monkeypatch, text, complaint):
    monkeypatch.chdir(tmp_path)
    Path("new.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(MytorchError) as info:
        write_predictions(run, Path("new.csv"), Path("out.csv"))
    assert complaint in str(info.value)
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]


def test_an_input_that_is_not_there_or_does_not_fit_is_told_in_a_line(run, tmp_path, mytorch_here):
    said = mytorch_here(tmp_path, "predict", run.path, "gone.csv", "--output", "out.csv", status=1)
    assert said == "Error: gone.csv: must be a table such as rows.csv, got no such file\n"
    write(tmp_path / "new.csv", rows_of(3, 1), ["height", "colour"])
    said = mytorch_here(tmp_path, "predict", run.path, "new.csv", "--output", "out.csv", status=1)
    assert said.startswith("Error: new.csv: ")
    assert "'width'" in said
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]


def test_an_extra_column_is_named_and_left_out(place, run, tmp_path, mytorch_here):
    write(tmp_path / "new.csv", rows_of(3, 5), ["height", "width", "colour"])
    mytorch_here(tmp_path, "predict", run.path, "new.csv", "--output", "out.csv")
    rows = [{**row, "weight": 3} for row in rows_of(3, 5)]
    write(tmp_path / "more.csv", rows, ["weight", "height", "width", "colour"])
    said = mytorch_here(tmp_path, "predict", run.path, "more.csv", "--output", "more-out.csv")
    assert "not used: 'weight'" in said
    assert (tmp_path / "more-out.csv").read_bytes() == (tmp_path / "out.csv").read_bytes()


def test_a_disk_that_is_full(place, run, tmp_path, mytorch_here):
    resource = pytest.importorskip("resource", reason="this system has no limit for the size of files")
    write(tmp_path / "new.csv", rows_of(300, 5), ["height", "width", "colour"])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # which the command has, too
    try:
        said = mytorch_here(tmp_path, "predict", run.path, "new.csv", "--output", "out.csv", status=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert "out.csv: must be writable, got File too large" in said
    assert [path.name for path in tmp_path.iterdir()] == ["new.csv"]


def test_the_generators_classes_are_read_back(tmp_path, mytorch_here):
    mytorch_here(tmp_path, "train", "disk-tuned", "--quiet", "--set", "epochs=3")
    (run,) = (tmp_path / "runs").iterdir()
    mytorch_here(tmp_path, "data", "generate", "disk", "--samples", "500", "--seed", "1", "--output", "disk.csv")
    of_file = json.loads(mytorch_here(tmp_path, "evaluate", run, "--data", "disk.csv", "--json"))
    assert of_file["confusion"]["classes"] == ["outside", "inside"]
    assert of_file["error_rate"] < 0.2
    predictions = load(run).predict(tmp_path / "disk.csv")
    found = read(tmp_path / "disk.csv")
    wrong = sum(row["class"] != label for row, label in zip(found, predictions.labels, strict=True))
    assert of_file["error_rate"] == pytest.approx(wrong / 500)
