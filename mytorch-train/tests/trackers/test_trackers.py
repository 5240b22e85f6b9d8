"""Each tracker is read back by the library that it writes for, where that is installed; `tox -e trackers` has all."""

import csv
import doctest
import importlib
import importlib.util
import json
import math
import sys
import time
from pathlib import Path

import pytest
import torch
from toy_parts import SGD, Chain, Dense, Noise, SquaredError

from mytorch.core import ArgumentError
from mytorch.plugins import Callback, MissingRequirementError, PluginWarning, StopTraining
from mytorch.train import fit, step
from mytorch.train.trackers import CSVLogger, JSONLinesLogger, MLflow, TensorBoard, WandB
from mytorch.train.trackers.csv_logger import _rows_until
from mytorch.train.trackers.gradient_norms import gradient_norms
from mytorch.train.trackers.json_lines_logger import _lines_until
from mytorch.train.trackers.tracker import settings_of

EPOCHS, BATCH, ROWS = 3, 5, 20
NORMS = {"gradient_norm/0.weight", "gradient_norm/0.bias"}


class Keeper(Callback):
    """Says where a run is kept, and leaves a picture there, as the Recorder does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def training_started(self, run) -> None:
        run.folder = self.folder

    def training_ended(self) -> None:
        if importlib.util.find_spec("PIL") is None:  # nor are there trackers that show it
            return
        image = importlib.import_module("PIL.Image")
        (self.folder / "figures").mkdir(exist_ok=True)
        image.new("RGB", (4, 3), (255, 0, 0)).save(self.folder / "figures" / "loss.png")


def rows():
    torch.manual_seed(1)
    return [(torch.randn(3), torch.randn(2)) for _ in range(ROWS)]


def train(*callbacks, net=None, **options):
    torch.manual_seed(0)
    net = net or Chain(Dense(3, 2))
    optimizer = SGD(net.param(), lr=0.05)
    options = {"epochs": EPOCHS, "batch_size": BATCH, "quiet": True, "validation": rows(), **options}
    return fit(net, SquaredError(), optimizer, rows(), callbacks=callbacks, **options)


def expected(training, name):
    return [record[name] for record in training.history]


class Norms(Callback):
    """What the norms must be: those of the first batch of the next epoch, by a step that is not taken."""

    def __init__(self) -> None:
        self.seen = []

    def epoch_trained(self, run) -> None:
        self.seen.append(gradient_norms(run.setup))


# The norms


def test_norms_are_those_of_the_gradients_of_the_next_epochs_first_batch():
    norms = Norms()
    training = train(norms, epochs=1)
    inputs, targets = training.batches.peek(1)
    first = next(iter(training.batches))
    assert torch.equal(inputs, first[0])
    assert torch.equal(targets, first[1])
    layer = training.net.layers[0]
    d_y = 2 * (inputs @ layer.weight.value.T + layer.bias.value - targets) / targets.numel()
    assert norms.seen[0] == pytest.approx(
        {"0.weight": float((d_y.T @ inputs).norm()), "0.bias": float(d_y.sum(0).norm())}, rel=1e-5
    )


@pytest.mark.parametrize("options", [{}, {"accumulate": 2}, {"optimizer_in_backward": True}])
def test_a_run_that_is_tracked_is_the_run_that_is_not(tmp_path, options):
    torch.manual_seed(5)
    plain = train(net=Chain(Dense(3, 4), Noise(), Dense(4, 2)), **options)
    torch.manual_seed(5)
    tracked = train(JSONLinesLogger(str(tmp_path / "a")), net=Chain(Dense(3, 4), Noise(), Dense(4, 2)), **options)
    assert expected(plain, "train_loss") == expected(tracked, "train_loss")
    for ours, theirs in zip(plain.net.param(), tracked.net.param(), strict=True):
        assert torch.equal(ours.value, theirs.value)
        assert theirs.grad is None


def test_a_step_of_the_users_own_has_no_norms():
    norms = Norms()
    train(norms, step=lambda *parts: step(*parts))
    assert norms.seen == [{}] * EPOCHS


# CSV and JSON lines


def test_csv_has_the_history_and_the_norms(tmp_path):
    training = train(CSVLogger(str(tmp_path / "deep" / "metrics.csv")), evaluate_every=2)
    with (tmp_path / "deep" / "metrics.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [float(row["train_loss"]) for row in found] == expected(training, "train_loss")
    assert found[0]["validation_loss"] == ""
    assert float(found[1]["validation_loss"]) == training.history[1]["validation_loss"]
    assert set(found[0]) >= NORMS
    assert all(float(row["gradient_norm/0.weight"]) > 0 for row in found)


def test_json_lines_have_settings_epochs_steps_and_the_end(tmp_path):
    training = train(Keeper(tmp_path), JSONLinesLogger(every=2))
    entries = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert entries[0]["settings"]["optimizer.lr"] == 0.05
    assert entries[0]["settings"]["batch_size"] == BATCH
    assert [entry["batch"] for entry in entries if "batch" in entry] == [2, 4, 6, 8, 10, 12]
    epochs = [entry for entry in entries if "epoch" in entry]
    assert [{k: v for k, v in entry.items() if k not in NORMS} for entry in epochs] == training.history
    figures = sorted(map(str, (tmp_path / "figures").glob("*.png")))
    drawn = [{"figures": figures}] if importlib.util.find_spec("PIL") else []
    assert entries[-1 - len(drawn) :] == [*drawn, {"status": "finished"}]


def test_what_is_not_finite_is_null_in_json(tmp_path):
    class Odd(Callback):
        def epoch_ended(self, record) -> None:
            record["odd"] = math.inf

    train(JSONLinesLogger(str(tmp_path / "a")), Odd(), epochs=1)
    assert '"odd": null' in (tmp_path / "a").read_text()


def test_the_end_of_a_run_that_fails_is_told(tmp_path):
    class Fail(Callback):
        must_succeed = True

        def epoch_ended(self, epoch) -> None:
            if epoch == 2:
                raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        train(JSONLinesLogger(str(tmp_path / "a")), Fail())
    assert json.loads((tmp_path / "a").read_text().splitlines()[-1]) == {"status": "failed"}


def test_a_tracker_that_has_no_place_is_reported_once_and_training_goes_on():
    with pytest.warns(PluginWarning, match="path must be given for a run that no Recorder keeps") as told:
        training = train(CSVLogger())
    assert len(told) == 1
    assert len(training.history) == EPOCHS


# Resuming


class Die(Callback):
    """Ends a run as a crash does: in the middle of the third epoch, after a checkpoint."""

    must_succeed = True

    def batch_ended(self, epoch, batch) -> None:
        if (epoch, batch) == (3, 2):
            raise RuntimeError("crash")


def killed_and_resumed(tmp_path, make):
    """A run that fails in its third epoch and is resumed, and one that is not interrupted."""
    options = {"checkpoint": tmp_path / "kept.safetensors", "checkpoint_every": 1e-9, "epochs": 4}
    with pytest.raises(RuntimeError, match="crash"):
        train(make(tmp_path / "one"), Die(), **options)
    again = make(tmp_path / "one")
    train(again, resume=tmp_path / "kept.safetensors", **options)
    return again, train(make(tmp_path / "whole"), epochs=4)


def test_json_lines_of_a_resumed_run_are_those_of_one_that_was_not_interrupted(tmp_path):
    killed_and_resumed(tmp_path, lambda path: JSONLinesLogger(str(path), every=1))
    one, whole = ((tmp_path / name).read_text().splitlines() for name in ("one", "whole"))
    assert [timeless(line) for line in one] == [timeless(line) for line in whole]


def timeless(line):
    return {key: value for key, value in json.loads(line).items() if key != "seconds"}


@pytest.mark.parametrize("left", [b'{"epoch": 3, "l', b"\0\0\0", b'{"epoch": "3"}', b"3", b"[1]", b"\xff\xfe"])
def test_what_a_full_disk_left_of_a_line_is_dropped_and_the_others_are_kept(tmp_path, left):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"settings": {}}\n{"epoch": 1, "lr": 0.1}\n' + left + b'\n{"epoch": 2, "lr": 0.1}')
    assert [json.loads(line).get("epoch") for line in _lines_until(path, 2, 0)] == [None, 1, 2]
    assert all(line.endswith("\n") for line in _lines_until(path, 2, 0))


@pytest.mark.parametrize("left", [b"2,0.", b"x,1,2", b"\0\0", b"1,2,3,4,5", b"\xff\xfe"])
def test_what_a_full_disk_left_of_a_row_is_dropped_and_the_others_are_kept(tmp_path, left):
    path = tmp_path / "metrics.csv"
    path.write_bytes(b"epoch,lr,seconds\r\n1,0.1,3\r\n" + left + b"\r\n2,0.1,3\r\n")
    assert [row["epoch"] for row in _rows_until(path, 2)] == ["1", "2"]


def test_a_table_of_a_resumed_run_has_each_epoch_once(tmp_path):
    killed_and_resumed(tmp_path, lambda path: CSVLogger(str(path)))
    with (tmp_path / "one").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]


@pytest.mark.filterwarnings("ignore")
def test_mlflow_goes_on_with_the_run_that_was_interrupted(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    again, whole = killed_and_resumed(tmp_path, lambda path: MLflow("disk", name=path.name, uri=uri))
    client = mlflow.MlflowClient(tracking_uri=uri)
    values = {(one.step, one.value) for one in client.get_metric_history(again.run_id, "train_loss")}
    assert sorted(values) == list(enumerate(expected(whole, "train_loss"), 1))
    assert client.get_run(again.run_id).info.status == "FINISHED"
    assert len(client.search_runs([client.get_experiment_by_name("disk").experiment_id])) == 2


# The libraries


@pytest.mark.filterwarnings("ignore")  # the libraries have some of their own
def test_tensorboard_reads_back_what_was_written(tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    training = train(Keeper(tmp_path), TensorBoard(every=3))
    read = events.EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    tags = set(read.Tags()["scalars"])
    assert tags >= {"train_loss", "validation_loss", "lr", "batch_loss", *NORMS}
    assert [(e.step, e.value) for e in read.Scalars("train_loss")][:EPOCHS] == [
        (number, pytest.approx(value)) for number, value in enumerate(expected(training, "train_loss"), 1)
    ]
    assert [e.step for e in read.Scalars("batch_loss")] == [3, 6, 9, 12]
    assert (read.Images("figures/loss")[0].width, read.Images("figures/loss")[0].height) == (4, 3)
    assert "optimizer.lr | 0.05" in read.Tensors("settings/text_summary")[0].tensor_proto.string_val[0].decode()
    assert any("hparams" in tag for tag in read.summary_metadata)


@pytest.mark.filterwarnings("ignore")  # the libraries have some of their own
def test_mlflow_reads_back_what_was_written(tmp_path):
    mlflow = pytest.importorskip("mlflow")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = mlflow.MlflowClient(tracking_uri=uri)
    client.create_experiment("disk", artifact_location=(tmp_path / "artifacts").as_uri())
    tracker = MLflow("disk", name="first", uri=uri, every=5)
    training = train(Keeper(tmp_path), tracker)
    run = client.get_run(tracker.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "first"
    assert run.data.params["optimizer.lr"] == "0.05"
    losses = client.get_metric_history(tracker.run_id, "validation_loss")
    assert [(one.step, one.value) for one in losses] == [
        (number, value) for number, value in enumerate(expected(training, "validation_loss"), 1)
    ]
    assert set(run.data.metrics) >= {"batch_loss", *NORMS}
    assert [one.path for one in client.list_artifacts(tracker.run_id, "figures")] == ["figures/loss.png"]


@pytest.mark.filterwarnings("ignore")  # the libraries have some of their own
def test_weights_and_biases_reads_back_what_was_written_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    training = train(Keeper(tmp_path), WandB("disk", name="first", mode="offline", path=str(tmp_path), every=5))
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    deadline = time.monotonic() + 60
    while (found := _records(file.read_bytes()))[2] is None and time.monotonic() < deadline:
        time.sleep(0.1)  # W&B's own process writes on when `finish` has returned
    entries, settings, ended = found
    losses = {entry["epoch"]: entry["validation_loss"] for entry in entries if "validation_loss" in entry}
    assert losses == dict(enumerate(expected(training, "validation_loss"), 1))
    assert [entry["batch"] for entry in entries if "batch_loss" in entry] == [5, 10]
    assert all(set(entry) >= NORMS for entry in entries if "validation_loss" in entry)
    assert any(key.startswith("figures/loss") for entry in entries for key in entry)
    assert settings["optimizer.lr"] == 0.05
    assert ended == 0


def _records(data):
    """The history, the settings and the exit status in a file of W&B, by W&B's own description of its records."""
    from wandb.proto.wandb_internal_pb2 import Record

    entries, settings, ended = [], {}, None
    for one in _chunks(data):
        record = Record.FromString(one)
        if record.HasField("history"):
            entries.append({i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in record.history.item})
        elif record.HasField("run"):
            settings |= {item.key: json.loads(item.value_json) for item in record.run.config.update}
        elif record.HasField("exit"):
            ended = record.exit.exit_code
    return entries, settings, ended


def _chunks(data, block=32768, header=7):
    """The records of a LevelDB log, which begins with a header of W&B: a record is whole (1) or in parts (2, 3, 4)."""
    at, joined = header, b""
    while at + header <= len(data):
        if block - at % block < header:  # the rest of a block is filled up
            at += block - at % block
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        joined += data[at + header : at + header + length]
        at += header + length
        if kind in (1, 4):
            yield joined
            joined = b""


# Bad input


@pytest.mark.parametrize(
    ("make", "module", "extra"),
    [
        (TensorBoard, "torch.utils.tensorboard", "tensorboard"),
        (MLflow, "mlflow", "mlflow"),
        (WandB, "wandb", "wandb"),
    ],
)
def test_a_library_that_is_missing_is_told_when_the_tracker_is_made(monkeypatch, make, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    told = rf"{extra} is not installed. Install: .*mytorch-train\[{extra}\]"
    with pytest.raises(MissingRequirementError, match=told):
        make()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: JSONLinesLogger(every=0), "JSONLinesLogger: every must be a whole number of at least 1"),
        (lambda: JSONLinesLogger(every=True), "JSONLinesLogger: every must be"),
        (lambda: CSVLogger(gradient_norms="no"), "CSVLogger: gradient_norms must be"),
    ],
)
def test_arguments_out_of_range_are_refused(make, text):
    with pytest.raises(ArgumentError, match=text):
        make()


def test_another_mode_of_weights_and_biases_is_refused():
    pytest.importorskip("wandb")
    with pytest.raises(ArgumentError, match="WandB: mode must be one of online, offline, disabled"):
        WandB(mode="of-line")


def test_settings_are_those_of_an_experiment_where_there_is_one():
    training = train(epochs=1)
    assert settings_of(training)["loss"] == "SquaredError"
    training.settings = {"optimizer.lr": 0.3, "data.features": ["x", "y"]}
    assert settings_of(training) == {"optimizer.lr": 0.3, "data.features": "['x', 'y']"}


def test_a_run_that_is_stopped_early_is_finished(tmp_path):
    class Stop(Callback):
        def epoch_ended(self) -> None:
            raise StopTraining

    train(JSONLinesLogger(str(tmp_path / "a")), Stop())
    assert json.loads((tmp_path / "a").read_text().splitlines()[-1]) == {"status": "finished"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["csv_logger", "json_lines_logger", "mlflow", "tensorboard", "wandb"])
def test_the_examples_of_the_docstrings_are_what_happens(name, tmp_path, monkeypatch):
    for needed in ("mytorch.nn", "mytorch.optim", "mytorch.data"):
        pytest.importorskip(needed)
    if name in ("mlflow", "wandb", "tensorboard"):
        pytest.importorskip(name)
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(f"mytorch.train.trackers.{name}"))
    assert found.failed == 0
    assert found.attempted
