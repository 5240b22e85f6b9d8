"""Numbers that float32 cannot tell apart: standardised in float64 and rounded afterwards, through every way in."""

import csv

import numpy as np
import pytest
import torch

from mytorch.core import View
from mytorch.data import Standardize, Standardized, Table, TensorDataSet
from mytorch.experiments import load_experiment, train_experiment
from mytorch.experiments.file.build import build_data
from mytorch.experiments.new.new_experiment import new_experiment
from mytorch.experiments.predict.new_rows import rows_of
from mytorch.experiments.runs.run import judge
from mytorch.nn import Linear, MSELoss
from mytorch.optim import SGD
from mytorch.train import MeanAbsoluteError, PrecisionWarning, evaluate, fit

pytest.importorskip("pyarrow", reason="pyarrow comes with mytorch-data[tables]")
BEGAN = 1_700_000_000.0


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def seconds(rows=200, seed=0):
    """Times within a minute, the later half of which is another class, and a target as wide as the times."""
    draw = np.random.default_rng(seed)
    late = np.arange(rows) % 2
    when = draw.uniform(0, 25, rows) + 35 * late
    return {"when": when.round(1), "noise": draw.uniform(0, 1, rows).round(3), "late": late, "y": (2 * when).round(1)}


def write(path, columns):
    if path.suffix == ".npz":
        np.savez(path, **columns)
    elif path.suffix == ".parquet":
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.table(columns), path)
    else:
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([columns, *zip(*(column.tolist() for column in columns.values()), strict=True)])
    return path


def moved(columns, *names):
    return {name: column + BEGAN if name in names else column for name, column in columns.items()}


@pytest.mark.parametrize("suffix", ["csv", "npz", "parquet"])
def test_times_train_as_if_they_began_at_0(folder, suffix):
    columns = {name: column for name, column in seconds().items() if name != "y"}
    losses = []
    for name, table in (("near", columns), ("far", moved(columns, "when"))):
        _, path = new_experiment(write(folder / f"{name}.{suffix}", table), "late")
        run = train_experiment(path, {"epochs": 5, "evaluate_every": 5}, quiet=True)
        losses.append(run.history[-1]["train_loss"])
        new = seconds(40, seed=1)
        new = write(folder / f"new_{name}.{suffix}", moved(new, "when") if name == "far" else new)
        with pytest.warns(UserWarning, match="columns that were not trained on are not used: 'y'"):
            losses.append(judge(run, new).results["loss"])
        with pytest.warns(UserWarning, match="columns that were not trained on are not used: 'y'"):
            losses.append(float(run.predict(new).probabilities.sum(0)[0]))
    assert losses[3:] == pytest.approx(losses[:3], rel=1e-3)


def test_a_target_far_from_0_is_learned_and_measured_as_it_is(folder):
    columns = {name: column for name, column in seconds().items() if name != "late"}
    results = []
    for name, table in (("near", columns), ("far", moved(columns, "y"))):
        _, path = new_experiment(write(folder / f"{name}.csv", table), "y", task="regression")
        run = train_experiment(path, {"epochs": 60}, quiet=True)
        results.append(judge(run).results)
    assert results[1]["r2"] > 0.99
    assert results[1] == pytest.approx(results[0], rel=1e-2)


def test_metrics_see_the_targets_before_they_were_rounded(folder):
    path = write(folder / "t.csv", {"x": np.arange(20) / 10, "y": BEGAN + np.arange(20) * 0.5})
    data = Table(path, "y")
    net = Linear(1, 1)
    for parameter, value in zip(net.param(), (0.0, BEGAN), strict=True):
        parameter.value.fill_(value)
    error = evaluate(net, MSELoss(), data, [MeanAbsoluteError()])["mean_absolute_error"]
    assert error == pytest.approx(float(np.mean(np.arange(20) * 0.5)))


def test_arrays_are_standardised_as_they_were_given():
    x = np.stack([BEGAN + np.arange(60.0), np.arange(60.0)], axis=1)
    data = TensorDataSet(x, np.arange(60) % 2)
    assert data.inputs.dtype is torch.float32
    scaled = Standardized(View(data, slice(0, 50)), Standardize.fit(View(data, slice(0, 50))))
    inputs, _ = scaled[:]
    assert inputs.dtype is torch.float32
    torch.testing.assert_close(inputs[:, 0], inputs[:, 1])
    assert len(inputs[:, 0].unique()) == 50


def test_an_array_that_was_changed_afterwards_counts_as_it_is():
    data = TensorDataSet(np.full((4, 1), 0.1), [0, 1, 0, 1])
    data.inputs.mul_(10)
    assert data.exact_at(torch.arange(4))[0].flatten().tolist() == data.inputs.flatten().tolist()
    data.inputs = torch.ones(4, 1)
    assert data.exact_at(torch.arange(4))[0].flatten().tolist() == [1.0] * 4


def test_a_table_that_float32_holds_takes_no_more_memory(folder):
    whole = Table(write(folder / "t.csv", {"x": np.arange(20) / 8, "y": np.arange(20) % 2}), "y")
    assert whole._raw.dtype is torch.float32
    assert (
        Table(write(folder / "u.csv", {"x": np.arange(20) / 10, "y": np.arange(20) % 2}), "y")[:][0].dtype
        is torch.float32
    )


def test_a_cast_that_makes_numbers_equal_is_told(folder):
    columns = moved(seconds(), "when")
    path = write(folder / "t.csv", columns)
    net = Linear(3, 1)
    told = "input 'when': 1.. different numbers among 200 rows are 1 in float32; data.standardize = true scales before"
    with pytest.warns(PrecisionWarning, match=told):
        fit(net, MSELoss(), SGD(net.param(), lr=0.0), Table(path, "y"), epochs=1, batch_size=50, quiet=True)
    data = TensorDataSet(np.zeros((60, 3)), BEGAN + np.arange(60.0)[:, None])
    with pytest.warns(PrecisionWarning, match="target column 0: 60 different numbers among 60 rows are 1 in float32"):
        fit(net, MSELoss(), SGD(net.param(), lr=0.0), data, epochs=1, batch_size=50, quiet=True)


def test_nothing_is_told_of_numbers_that_stay_apart(folder):
    draw = np.random.default_rng(0)
    data = TensorDataSet(draw.normal(size=(5000, 3)), draw.normal(size=(5000, 1)))
    net = Linear(3, 1)
    fit(net, MSELoss(), SGD(net.param(), lr=0.0), data, epochs=1, batch_size=500, quiet=True)


def test_new_rows_of_a_run_without_standardisation_keep_their_dtype(folder):
    path = write(folder / "t.csv", {"x": np.arange(20) / 10, "y": np.arange(20) / 7})
    _, written = new_experiment(path, "y", task="regression")
    run = train_experiment(written, {"epochs": 1, "data.standardize": False}, quiet=True)
    assert rows_of(path, run.kept, run.dtype, targets=False)[:][0].dtype is torch.float32
    assert build_data(load_experiment(written)).training[:][0].dtype is torch.float32
