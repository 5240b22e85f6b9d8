"""What a kept run says of new rows."""

import csv
import json
from pathlib import Path

import pytest
import torch
from toy_parts import SGD, Chain, Dense, Noise, SquaredError, Table
from toy_rows import INPUTS, ROWS
from unsealed import unsealed

from mytorch.core import ArgumentError, ShapeError
from mytorch.data import TableError
from mytorch.data.preparation import Moments
from mytorch.data.table.new_rows import without_target
from mytorch.experiments import Recorder, RunError, load, train_experiment
from mytorch.experiments.predict.head import Head
from mytorch.experiments.predict.prediction import predict_batches
from mytorch.experiments.runs.write_predictions import write_predictions
from mytorch.plugins import FileError
from mytorch.train import NotFiniteError, fit


def rewrite(run, **changes):
    file = unsealed(run.path) / "data.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    return load(run.path)


def table_of(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_a_file_a_tensor_and_a_data_set_give_the_same(run, rows):
    of_file, of_tensor = run.predict(str(rows)), run.predict(INPUTS)
    swapped = Table(INPUTS.flip(1), torch.zeros(3))
    swapped.columns = ("y", "x")
    of_data = run.predict(swapped)
    scores = run.net(INPUTS).double().clamp(min=0)
    expected = scores / scores.sum(1, keepdim=True)
    for predictions in (of_file, of_tensor, of_data):
        torch.testing.assert_close(predictions.probabilities, expected)
        assert predictions.labels == tuple(("below", "above")[index] for index in run.net(INPUTS).argmax(1))


def test_what_is_written(run, rows, tmp_path):
    output = tmp_path / "out.csv"
    assert write_predictions(run, rows, output) == 3
    header, *lines = table_of(output)
    assert header == ["prediction", "probability_below", "probability_above"]
    predictions = run.predict(rows)
    assert [line[0] for line in lines] == list(predictions.labels)
    written = torch.tensor([list(map(float, line[1:])) for line in lines], dtype=torch.float64)
    assert torch.equal(written.float(), predictions.probabilities.float())
    assert all(len(cell.lstrip("0.").split("e")[0]) <= 9 for line in lines for cell in line[1:])


def test_numbers_far_from_zero_keep_the_digits_in_which_they_differ():
    outputs = torch.tensor([[0.1], [0.1000001]])
    head = Head("numbers", moments=Moments(torch.tensor([1e9]).double(), torch.tensor([2.0]).double()))
    assert head.read(outputs).digits == 17
    close = Head("numbers", moments=Moments(torch.tensor([3e3]).double(), torch.tensor([2.0]).double()))
    assert close.read(outputs).digits == 13
    assert [Head("numbers").read(outputs.to(dtype)).digits for dtype in (torch.float32, torch.float64)] == [9, 17]


def test_columns_that_are_kept_stand_in_front_as_they_are(run, tmp_path):
    path, output = tmp_path / "people.csv", tmp_path / "out.csv"
    path.write_text('y,name,x,note\n0.50,"Müller, A.",1.25,NA\n\n-1, b ,-2,\n')
    run = rewrite(run, preparation=keeps_out(run, "name", "note"))
    write_predictions(run, path, output, keep=["name", "y"], batch_size=1)
    header, *lines = table_of(output)
    assert header == ["name", "y", "prediction", "probability_below", "probability_above"]
    assert [line[:2] for line in lines] == [["Müller, A.", "0.50"], [" b ", "-1"]]
    assert [line[2] for line in lines] == list(run.predict(INPUTS[:2]).labels)
    write_predictions(run, path, output, force=True, keep=None)
    assert [line[:4] for line in table_of(output)] == [
        ["y", "name", "x", "note"],
        ["0.50", "Müller, A.", "1.25", "NA"],
        ["-1", " b ", "-2", ""],
    ]


def test_columns_that_cannot_be_kept(run, rows, tmp_path):
    with pytest.raises(TableError, match=r"rows.csv: must have the columns to keep, got none named 'z'. Known: x, y."):
        write_predictions(run, rows, tmp_path / "out.csv", keep=["x", "z"])
    path = tmp_path / "again.csv"
    path.write_text("x,y,prediction\n1,2,3\n")
    run = rewrite(run, preparation=keeps_out(run, "prediction"))
    with pytest.raises(RunError, match=r"columns must have different names, got 'prediction' among those to keep"):
        write_predictions(run, path, tmp_path / "out.csv", keep=None)
    assert not (tmp_path / "out.csv").exists()


def keeps_out(run, *names):
    """What a run keeps of a table with columns that it does not learn from."""
    table = run.kept.for_tables["table"]
    return {"table": {**table, "left_out": list(names)}}


def test_stored_standardisation_reaches_every_source_once(run, rows):
    learned = {"standardize": {"mean": [1.0, -1.0], "std": [2.0, 0.5]}}
    run = rewrite(run, preparation=learned)
    prepared = (INPUTS - torch.tensor([1.0, -1.0])) / torch.tensor([2.0, 0.5])
    expected = run.net(prepared).argmax(1)
    done = Table(prepared, torch.zeros(3))
    done.preparation = learned
    for source in (rows, INPUTS, done):
        torch.testing.assert_close(run.predict(source).indices, expected)
        torch.testing.assert_close(run.predict(source).probabilities, run.predict(INPUTS).probabilities)


def test_numbers_come_in_their_units(content, tmp_path, parts):
    parts("toy-numbers", "[mytorch.datasets]\nNumbers = toy_rows:Numbers\n")
    del content["data"]["test"]
    content["data"] |= {"train": {"type": "Numbers"}, "targets": "as-is"}
    content |= {"metrics": [], "model": {"type": "Dense", "in_features": 2, "out_features": 1}}
    run = train_experiment(content, output=tmp_path / "runs", quiet=True)
    path = tmp_path / "rows.csv"
    path.write_text(ROWS.replace("y,x", "b,a"))
    torch.testing.assert_close(run.predict(path).values, run.net(INPUTS).double())
    run = rewrite(run, preparation={"standardize_targets": {"mean": [100.0], "std": [5.0]}})
    torch.testing.assert_close(run.predict(INPUTS).values, run.net(INPUTS).double() * 5 + 100)
    write_predictions(run, path, tmp_path / "out.csv")
    assert table_of(tmp_path / "out.csv")[0] == ["prediction"]
    assert float(table_of(tmp_path / "out.csv")[2][0]) == pytest.approx(run.predict(path).values[1].item(), rel=1e-10)


def test_several_numbers(tmp_path):
    run = of_python(tmp_path, Dense(2, 2))
    assert run.predict(INPUTS).values.shape == (3, 2)
    run = rewrite(run, columns=["x", "y"])
    (tmp_path / "rows.csv").write_text(ROWS)
    write_predictions(run, tmp_path / "rows.csv", tmp_path / "out.csv")
    assert table_of(tmp_path / "out.csv")[0] == ["prediction_0", "prediction_1"]


def of_python(tmp_path, net, loss=None):
    data = Table(torch.randn(8, 2), torch.randn(8, 2))
    fit(
        net,
        loss or SquaredError(),
        SGD(net.param()),
        data,
        epochs=1,
        batch_size=4,
        callbacks=[Recorder(tmp_path / "runs")],
        quiet=True,
    )
    (path,) = (tmp_path / "runs").iterdir()
    return load(path)


class Logits(SquaredError):
    """Takes logits, and is called by no name that anybody knows."""

    outputs = "softmax"


def test_a_run_from_python_knows_its_loss_alone(tmp_path, parts):
    assert of_python(tmp_path / "logits", Dense(2, 2), Logits()).head.kind == "softmax"
    run = of_python(tmp_path, Dense(2, 2))
    assert run.head.kind == "numbers"
    with pytest.raises(
        RunError, match=r"must know the names of its columns to read a table, got a run without; use .*predict\("
    ):
        run.predict(Path(__file__))


@pytest.mark.parametrize(
    ("outputs", "targets", "kind"),
    [("softmax", "as-is", "softmax"), ("sigmoid", "binary", "sigmoid"), ("numbers", "one-hot", "one-hot")],
)
def test_how_outputs_are_read(run, outputs, targets, kind):
    assert run.summary["outputs"] == "numbers"  # as its loss, SquaredError, says
    run.summary["outputs"], run.experiment.data.targets = outputs, targets
    assert (run.head.kind, run.head.classes) == (kind, ("below", "above"))
    run.data["classes"] = None
    assert (run.head.kind, run.head.classes) == (kind, None)


def test_many_rows_go_in_batches_in_order(run):
    inputs = torch.randn(9000, 2)
    with run.outputs_by("eager") as outputs_of:
        batches = predict_batches(run.rows_of(inputs), 8192, outputs_of, run.head, "run")
        sizes = [len(batch) for batch in batches]
    assert sizes == [8192, 808]
    for size in (1000, 8192):
        torch.testing.assert_close(run.predict(inputs, batch_size=size).indices, run.net(inputs).argmax(1))
    assert run.predict(INPUTS, batch_size=1).labels == run.predict(INPUTS).labels
    with pytest.raises(ArgumentError, match=r"batch_size must be a whole number of at least 1, got 0"):
        run.predict(inputs, batch_size=0)


def test_what_is_predicted_belongs_to_the_user(run):
    predictions = run.predict(INPUTS)
    assert not predictions.probabilities.is_inference()
    assert not predictions.indices.is_inference()


def test_numbers_whose_sum_is_too_large_are_finite_nevertheless(tmp_path, parts):
    run = of_python(tmp_path, Dense(2, 2))
    for parameter in run.net.param():
        parameter.value.fill_(1e38)
    assert run.predict(torch.ones(9, 2)).values.isfinite().all()


def test_prediction_is_quiet_and_puts_the_mode_back(tmp_path, parts):
    run = of_python(tmp_path, Chain(Dense(2, 2), Noise()))
    run.net.train()
    torch.testing.assert_close(run.predict(INPUTS).values, run.predict(INPUTS).values, rtol=0, atol=0)
    assert all(module.training for module in run.net.modules())
    assert int(run.net.layers[1].seen.value) == 2


def test_float64_stays_float64(content, parts, tmp_path):
    run = train_experiment(content, {"epochs": 1, "dtype": "float64"}, output=tmp_path / "runs", quiet=True)
    assert run.predict(INPUTS).indices.tolist() == run.net(INPUTS.double()).argmax(1).tolist()


def test_rows_that_do_not_fit(run, tmp_path):
    named = Table(INPUTS, torch.zeros(3))
    for columns, text in [
        (("x", "z"), rf"^predict: rows must have the column 'y', got x, z\nfor the columns that {run.path} was"),
        (
            ("x", "y", "z"),
            rf"^predict: rows must have the columns x, y alone, got 'z' too\nfor the columns that {run.path}",
        ),
    ]:
        named.columns = columns
        with pytest.raises(ArgumentError, match=text):
            run.predict(named)
    with pytest.raises(ShapeError, match=r"^predict: rows must have the columns x, y, got 3 columns$"):
        run.predict(torch.zeros(4, 3))
    with pytest.raises(ShapeError, match=r"^predict: rows must be a tensor of \(rows, columns\), got \(2,\)\nfor the"):
        run.predict(torch.zeros(2))
    with pytest.raises(RunError, match=r"rows to predict must be at least one, got none"):
        run.predict(torch.zeros(0, 2))
    for path, what in [(tmp_path / "gone.csv", "no such file"), (tmp_path, "a folder")]:
        with pytest.raises(RunError, match=rf"{path.name}: must be a table such as rows.csv, got {what}"):
            run.predict(path)


@pytest.mark.parametrize("change", [{"columns": 3}, {"classes": "ab"}, {"preparation": [1]}])
def test_a_damaged_description_of_the_data(run, change):
    (key,) = change
    with pytest.raises(RunError, match=rf"data.json: {key} must be as a run wrote it, got"):
        rewrite(run, **change)


@pytest.mark.parametrize("kept", [{}, {"mean": 3}, {"mean": ["x"], "std": [1]}, [1]])
def test_a_damaged_preparation(run, kept):
    damaged = rewrite(run, preparation={"standardize": kept})
    with pytest.raises(ArgumentError, match=r"preparation: standardize must hold 'mean' and 'std', got"):
        damaged.predict(INPUTS)


def test_a_damaged_table_is_left_to_the_reader():
    for damaged in ({}, {"target": 3}, {"target": {}, "missing": "drop"}):
        assert without_target(damaged) == damaged


def test_an_output_that_is_not_finite_is_named(run):
    inputs = torch.zeros(8500, 2)
    inputs[8400, 1] = torch.inf
    with pytest.raises(NotFiniteError, match=r"every output must be finite, got \[.*\] for row 8401 of the new rows"):
        run.predict(inputs)


def test_an_output_that_must_not_be_written(run, rows, tmp_path):
    taken, folder = tmp_path / "taken.csv", tmp_path / "folder.csv"
    taken.write_text("mine")
    folder.mkdir()
    for output, text in [
        (tmp_path / "out.txt", r"out.txt: name must end in .csv or .npz, got .txt"),
        (folder, r"folder.csv: must be a file, got a folder; name a file in it"),
        (tmp_path / "none/out.csv", r"out.csv: its folder must exist; create it with: mkdir -p .*none"),
        (
            taken,
            r"taken.csv: must be a new file, got one that exists; choose another name, or replace it with force=True",
        ),
    ]:
        with pytest.raises(FileError, match=text):
            write_predictions(run, rows, output)
    assert taken.read_text() == "mine"
    with pytest.raises(FileError, match=r"rows.csv: must be another file than the rows to predict"):
        write_predictions(run, rows, rows, force=True)
    assert rows.read_text() == ROWS
    assert write_predictions(run, rows, taken, force=True) == 3
    assert len(table_of(taken)) == 4


class Full:
    """A file on a disk that fills up at once."""

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def write(self, text):
        self.file.write(text[:5])
        raise OSError(28, "No space left on device")


def test_a_full_disk_leaves_nothing_that_looks_whole(run, rows, tmp_path, monkeypatch):
    opened = Path.open

    def full(path, mode="r", **options):
        file = opened(path, mode, **options)
        return Full(file) if "w" in mode else file

    monkeypatch.setattr(Path, "open", full)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(FileError, match=r"out.csv: must be writable, got .*No space left on device"):
        write_predictions(run, rows, tmp_path / "out.csv")
    assert sorted(tmp_path.iterdir()) == before


def test_a_bad_row_far_below_leaves_nothing(run, tmp_path):
    run.net.param()[0].value.mul_(100)
    (tmp_path / "rows.csv").write_text(ROWS + "3e38,3e38\n")
    with pytest.raises(NotFiniteError, match=r"for row 4 of the new rows"):
        write_predictions(run, tmp_path / "rows.csv", tmp_path / "out.csv", batch_size=2)
    assert not list(tmp_path.glob("out*"))


def test_a_data_set_of_strangers_reads_new_rows_and_names_them(content, parts, tmp_path):
    parts("toy-lines", "[mytorch.datasets]\nLines = toy_rows:Lines\n")
    (tmp_path / "old.txt").write_text("".join(f"word{number} {number} {-number / 3}\n" for number in range(30)))
    content["data"] = {"train": {"type": "Lines", "path": str(tmp_path / "old.txt"), "scale": 0.1}}
    content |= {"metrics": [], "model": {"type": "Dense", "in_features": 2, "out_features": 1}}
    run = train_experiment(content, output=tmp_path / "runs", quiet=True)
    new = tmp_path / "new.txt"
    new.write_text("first 2 3\nsecond -1 4\n")
    write_predictions(run, new, tmp_path / "out.csv")
    header, *lines = table_of(tmp_path / "out.csv")
    assert (header, [line[0] for line in lines]) == (["word", "prediction"], ["first", "second"])
    expected = run.net(torch.tensor([[0.2, 0.3], [-0.1, 0.4]]))
    assert [float(line[1]) for line in lines] == pytest.approx(expected.flatten().tolist(), rel=1e-5)
    difference = expected - torch.tensor([[0.5], [0.3]])
    assert run.evaluate(new)["loss"] == pytest.approx(float(difference.square().mean()), rel=1e-5)
    with pytest.raises(
        RunError, match="delimiter must be left out for a run of toy-lines:Lines, which reads no table"
    ):
        load(run.path, reading={"delimiter": ";"}).predict(new)
    with pytest.raises(
        RunError, match="columns to keep must be those of a table, got a run of toy-lines:Lines; leave"
    ):
        write_predictions(run, new, tmp_path / "kept.csv", keep=["word"])
