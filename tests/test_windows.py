"""A time series, from an experiment to forecasts."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

from mytorch.commands.evaluate import evaluate
from mytorch.commands.predict import predict
from mytorch.core import MytorchError
from mytorch.data import Windows, hold_out
from mytorch.experiments import load, train_experiment

HISTORY, HORIZON = 24, 3


@pytest.fixture
def series(tmp_path):
    draw = np.random.default_rng(0)
    steps = np.arange(400)
    heat = 15 + 8 * np.sin(2 * np.pi * steps / 24) + draw.normal(size=400)
    np.savez(tmp_path / "load.npz", load=900 - 20 * heat + 10 * draw.normal(size=400), heat=heat)
    return tmp_path / "load.npz"


@pytest.fixture
def run(series, tmp_path):
    said = {
        "name": "load",
        "requires": ["mytorch-nn", "mytorch-optim", "mytorch-data"],
        "epochs": 15,
        "batch_size": 20,
        "metrics": ["MeanAbsoluteError"],
        "data": {
            "standardize": True,
            "targets": "standardize",
            "train": {
                "type": "Windows",
                "path": str(series),
                "target": "load",
                "history": HISTORY,
                "horizon": HORIZON,
            },
            "split": {"validation": 0.15, "test": 0.15},
        },
        "model": {
            "type": "Sequential",
            "layers": [{"type": "Flatten"}, {"type": "LazyLinear", "out_features": HORIZON}],
        },
        "loss": {"type": "MSELoss"},
        "optimizer": {"type": "AdamW", "lr": 0.003},
    }
    return train_experiment(said, output=tmp_path / "runs", quiet=True)


def test_evaluation_compares_with_the_naive_forecast_of_the_same_steps(run, series):
    result = CliRunner().invoke(evaluate, [str(run.path), "--json"])
    assert result.exit_code == 0, result.exception
    told = json.loads(result.output)
    test = hold_out(Windows(series, "load", HISTORY, HORIZON, dtype="float64"), validation=0.15, test=0.15).test
    inputs, targets = test[:]
    naive = inputs[:, -1:, 0].expand(-1, HORIZON)
    expected = (naive - targets).abs().mean().item()
    assert told["baselines"]["last value"]["mean_absolute_error"] == pytest.approx(expected, rel=1e-4)
    assert told["mean_absolute_error"] < 0.7 * expected
    assert list(told["baselines"]) == ["last value", "linear model", "mean"]
    assert list(told["residuals"]) == ["load +1", "load +2", "load +3"]
    assert told["rows"] == len(test)


def test_predictions_are_those_of_every_window_and_the_last_reaches_beyond_the_file(run, series, tmp_path):
    output = tmp_path / "forecasts.csv"
    result = CliRunner().invoke(predict, [str(run.path), str(series), "-o", str(output)])
    assert result.output.startswith(f"Wrote {400 - HISTORY + 1} predictions"), result.exception
    with output.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["prediction_load +1", "prediction_load +2", "prediction_load +3"]
    data = Windows(series, "load", HISTORY, HORIZON, targets=False)
    values = run.predict(data).values
    assert [float(cell) for cell in rows[-1]] == pytest.approx(values[-1].tolist(), rel=1e-5)
    told = run.evaluate(series)
    known = Windows(series, "load", HISTORY, HORIZON, dtype="float64")[:][1]
    expected = (values[: len(known)] - known).abs().mean().item()
    assert told["mean_absolute_error"] == pytest.approx(expected, rel=1e-5)


def test_a_text_file_with_other_signs_is_read_by_the_options(run, series, tmp_path):
    with np.load(series) as stored:
        lines = [f"{load};{heat}".replace(".", ",") for load, heat in zip(stored["load"], stored["heat"], strict=True)]
    (tmp_path / "german.csv").write_text("\n".join(["load;heat", *lines]))
    arguments = [str(run.path), str(tmp_path / "german.csv"), "-o", str(tmp_path / "p.csv")]
    result = CliRunner().invoke(predict, [*arguments, "--delimiter", ";", "--decimal", ","])
    assert result.output.startswith(f"Wrote {400 - HISTORY + 1} predictions"), result.exception
    last = (tmp_path / "p.csv").read_text().splitlines()[-1].split(",")
    assert [float(cell) for cell in last] == pytest.approx(run.predict(series).values[-1].tolist(), rel=1e-5)


def test_what_does_not_fit_is_told(run, series, tmp_path):
    np.savez(tmp_path / "short.npz", load=np.ones(5), heat=np.ones(5))
    with pytest.raises(MytorchError, match="must have at least history = 24 rows, got 5"):
        run.predict(tmp_path / "short.npz")
    np.savez(tmp_path / "other.npz", load=np.ones(50))
    with pytest.raises(MytorchError, match="columns must be in the file, got none named 'heat'"):
        run.predict(tmp_path / "other.npz")
    arguments = [str(run.path), str(series), "-o", str(tmp_path / "p.csv"), "--keep", "all"]
    result = CliRunner().invoke(predict, arguments)
    assert "columns to keep must be those of a table, got a run of mytorch-data:Windows" in str(result.exception)


def test_a_run_of_sine_mixtures_forecasts_a_column_of_a_table(tmp_path):
    run = train_experiment("sine-forecast", {"epochs": 1}, output=tmp_path / "runs", quiet=True)
    np.savez(tmp_path / "series.npz", value=np.sin(np.arange(70) / 3))
    assert len(load(run.path).predict(tmp_path / "series.npz")) == 70 - 50 + 1
