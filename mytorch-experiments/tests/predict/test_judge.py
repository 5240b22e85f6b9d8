"""Judging a kept run: what is confused, how sure it is, where numbers are off."""

import json
import math

import pytest
import torch
from toy_parts import Points, Table
from unsealed import unsealed

from mytorch.core import Metric
from mytorch.experiments import RunError, judge, load, train_experiment
from mytorch.experiments.predict.head import Head
from mytorch.experiments.predict.judgement import Confusion, Judge

TABLE = "x,y,class\n1,1,above\n-1,-2,below\n2,-3,below\n0.5,0.25,above\n"


@pytest.fixture
def reader(parts):
    parts("toy-numbers", "[mytorch.datasets]\nNumbers = toy_rows:Numbers\n")


@pytest.fixture
def run(content, reader, tmp_path):
    return train_experiment(content, {"epochs": 10}, output=tmp_path / "runs", quiet=True)


@pytest.fixture
def of_numbers(content, reader, tmp_path):
    del content["data"]["test"]
    content["data"] |= {"train": {"type": "Numbers"}, "targets": "as-is"}
    content |= {"metrics": [], "model": {"type": "Dense", "in_features": 2, "out_features": 1}, "epochs": 1}
    return train_experiment(content, output=tmp_path / "runs", quiet=True)


def test_the_test_data_is_judged(run):
    judgement = judge(run)
    assert judgement.results == run.evaluate()
    assert judgement.results == pytest.approx(run.summary["test"])
    assert (judgement.rows, judgement.source, judgement.skipped, judgement.residuals) == (50, "test data", 0, None)
    data = Points(50, seed=1)
    predicted = run.net(data.inputs).argmax(1)
    counts = judgement.confusion.counts
    assert counts.tolist() == [
        [int(((data.targets == true) & (predicted == said)).sum()) for said in (0, 1)] for true in (0, 1)
    ]
    assert judgement.results["error_rate"] == pytest.approx(1 - counts.trace().item() / 50)
    told = json.loads(json.dumps(judgement.as_data()))
    assert list(told) == ["loss", "error_rate", "calibration_error", "confusion", "rows"]
    assert told["confusion"] == {"classes": ["below", "above"], "counts": counts.tolist()}


def test_a_file_is_judged(run, tmp_path):
    path = tmp_path / "more.csv"
    path.write_text(TABLE)
    judgement = judge(run, path)
    assert (judgement.rows, judgement.source) == (4, str(path))
    assert judgement.confusion.counts.sum(1).tolist() == [2, 2]
    data = Table(torch.tensor([[1, 1], [-1, -2], [2, -3], [0.5, 0.25]]), torch.tensor([1, 0, 0, 1]))
    assert run.evaluate(data) == pytest.approx(run.evaluate(path))


def test_rows_without_targets_are_refused(run, of_numbers, tmp_path):
    path = tmp_path / "more.csv"
    for judged, name, columns in [(run, "class", "x,y"), (of_numbers, "target", "a,b")]:
        path.write_text(f"{columns}\n1,2\n")
        with pytest.raises(
            RunError, match=rf"more.csv: must have the column '{name}' to judge by, got a table without"
        ):
            judge(judged, path)
    with pytest.raises(RunError, match=r"^Table: must have at least one row, got none$"):
        judge(run, Table(torch.zeros(0, 2), torch.zeros(0)))


def test_numbers_are_judged(of_numbers, tmp_path):
    path = tmp_path / "more.csv"
    path.write_text("target,b,a\n3,1,2\n-1,0,-1\n0.5,-2,2\n")
    judgement = judge(of_numbers, path)
    residuals = torch.tensor([3, -1, 0.5]) - of_numbers.predict(path).values.flatten()
    statistics = judgement.as_data()["residuals"]["target"]
    assert statistics == pytest.approx(
        {
            "mean": residuals.mean().item(),
            "std": residuals.std(correction=0).item(),
            "5 %": residuals.min().item(),
            "median": residuals.median().item(),
            "95 %": residuals.max().item(),
            "largest": residuals[residuals.abs().argmax()].item(),
        }
    )
    assert judgement.confusion is None
    assert judge(of_numbers).source == "training data"


def test_numbers_that_were_standardised_are_judged_in_units(of_numbers, tmp_path):
    file = unsealed(of_numbers.path) / "data.json"
    learned = {"standardize_targets": {"mean": [100.0], "std": [5.0]}}
    file.write_text(json.dumps({**json.loads(file.read_text()), "preparation": learned}))
    run = load(of_numbers.path)
    path = tmp_path / "more.csv"
    path.write_text("a,b,target\n3,1,102\n-1,0,90\n")
    judgement = judge(run, path)
    torch.testing.assert_close(judgement.residuals.true, torch.tensor([[102.0], [90.0]]).double())
    torch.testing.assert_close(judgement.residuals.predicted, run.predict(path).values)
    outputs = run.net(torch.tensor([[3.0, 1.0], [-1.0, 0.0]]))
    assert judgement.results["loss"] == pytest.approx((outputs - torch.tensor([[0.4], [-2.0]])).square().mean().item())


def test_calibration():
    confusion = Confusion(("a", "b"), torch.zeros(2, 2, dtype=torch.int64))
    p = torch.tensor([[0.95, 0.05], [0.08, 0.92], [0.35, 0.65], [1.0, 0.0]], dtype=torch.float64)
    confusion.add(p, torch.tensor([0, 1, 1, 0]), torch.tensor([0, 0, 1, 0]))
    assert confusion.counts.tolist() == [[2, 1], [0, 1]]
    assert confusion.rows.tolist() == [0, 0, 0, 0, 0, 0, 1, 0, 0, 3]
    assert confusion.calibration_error == pytest.approx((abs(1 - 0.65) + abs(2 - 0.95 - 0.92 - 1.0)) / 4)


def test_batches_add_up():
    outputs, targets = torch.randn(50, 3), torch.randint(3, (50,))
    whole, parts = Judge(Head("softmax"), "t"), Judge(Head("softmax"), "t")
    whole.update(outputs, targets)
    for at in range(0, 50, 7):
        parts.update(outputs[at : at + 7], targets[at : at + 7])
    assert torch.equal(whole.confusion.counts, parts.confusion.counts)
    assert whole.confusion.calibration_error == pytest.approx(parts.confusion.calibration_error)
    whole.reset()
    assert whole.confusion is None
    assert math.isnan(whole.compute())


def test_targets_of_every_encoding():
    outputs = torch.tensor([[2.0, -1.0], [0.0, 3.0], [1.0, 0.0]])
    for targets in (torch.tensor([0, 1, 1]), torch.tensor([[1.0, 0], [0, 1], [0, 1]])):
        gathered = Judge(Head("softmax"), "t")
        gathered.update(outputs, targets)
        assert gathered.confusion.counts.tolist() == [[1, 0], [1, 1]]
    gathered = Judge(Head("sigmoid", ("no", "yes")), "t")
    gathered.update(torch.tensor([[2.0], [-1.0], [3.0]]), torch.tensor([[1.0], [1.0], [0.0]]))
    assert gathered.confusion.counts.tolist() == [[0, 1], [1, 1]]


def test_what_is_not_finite_or_no_class_is_left_out_and_counted():
    gathered = Judge(Head("softmax"), "t")
    gathered.update(torch.tensor([[math.nan, 1.0], [0.0, 1.0], [0.0, 1.0]]), torch.tensor([0, 1, -100]))
    assert (gathered.confusion.counts.tolist(), gathered.skipped) == ([[0, 0], [0, 1]], 2)
    gathered.reset()
    gathered.update(torch.tensor([[math.nan, 1.0]]), torch.tensor([0]))
    assert (gathered.confusion, gathered.skipped) == (None, 1)
    gathered = Judge(Head("numbers"), "t")
    gathered.update(torch.tensor([[math.inf], [1.0]]), torch.tensor([[1.0], [2.0]]))
    assert (gathered.residuals.true.tolist(), gathered.skipped) == ([[2.0]], 1)
    gathered.reset()
    gathered.update(torch.tensor([[math.inf]]), torch.tensor([[1.0]]))
    assert gathered.residuals is None


@pytest.mark.parametrize(
    ("head", "outputs", "targets"),
    [
        (Head("softmax"), torch.zeros(2, 3, 4), torch.zeros(2, 4, dtype=torch.int64)),
        (Head("softmax", ("a",)), torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64)),
        (Head("sigmoid"), torch.zeros(2, 3), torch.zeros(2, 3)),
        (Head("softmax"), (torch.zeros(2, 3),), torch.zeros(2, dtype=torch.int64)),
        (Head("softmax"), torch.zeros(2, 3), torch.zeros(2, 3, 1)),
        (Head("numbers"), torch.zeros(2, 3), torch.zeros(2, 2)),
        (Head("softmax"), torch.zeros(2, 100_000), torch.zeros(2, dtype=torch.int64)),
    ],
)
def test_what_cannot_be_read_is_left_to_loss_and_metrics(head, outputs, targets):
    gathered = Judge(head, "t")
    gathered.update(outputs, targets)
    assert gathered.confusion is None
    assert gathered.residuals is None
    assert isinstance(gathered, Metric)


def test_a_run_from_python_has_no_loss_to_judge_by(run):
    (unsealed(run.path) / "experiment.toml").unlink()
    with pytest.raises(RunError, match=r"must have an experiment.toml to be evaluated, got a run trained from Python"):
        load(run.path).evaluate()
