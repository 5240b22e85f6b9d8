"""A run that ends early says so, and an experiment can name what ends it."""

import json
import warnings

from toy_metrics import Told
from toy_parts import SGD, Chain, Dense, Line, SquaredError

from mytorch.experiments import Recorder, train_experiment
from mytorch.train import EarlyStopping, fit


def test_the_summary_and_the_terminal_say_why(tmp_path, capsys):
    net, callbacks = Chain(Dense(1, 1)), [EarlyStopping("train_told", patience=1), Recorder(tmp_path)]
    fit(
        net,
        SquaredError(),
        SGD(net.param()),
        Line(8),
        epochs=20,
        batch_size=4,
        callbacks=callbacks,
        metrics=[Told(1, 2)],
    )
    (path,) = tmp_path.iterdir()
    summary = json.loads((path / "summary.json").read_text())
    why = "stopped by EarlyStopping: train_told was not better than 1, that of epoch 1, in 1 evaluation"
    assert (summary["status"], summary["reason"]) == ("finished", why)
    assert (summary["epochs"], summary["epochs_planned"]) == (2, 20)
    assert capsys.readouterr().err.splitlines()[-1] == why


def test_an_experiment_names_it(content, tmp_path):
    content |= {
        "epochs": 50,
        "callbacks": [{"type": "EarlyStopping", "monitor": "test_loss", "patience": 2, "min_delta": 100.0}],
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = train_experiment(content, output=tmp_path, quiet=True)
    assert len(run.history) == 3
    assert run.summary["reason"].startswith("stopped by EarlyStopping: test_loss was not better than ")
    assert run.experiment.callbacks[0].arguments == {"monitor": "test_loss", "patience": 2, "min_delta": 100.0}
