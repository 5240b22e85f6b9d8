"""A linear model and a constant beside a network."""

import json

import pytest
import torch
from click.testing import CliRunner

from mytorch.commands.evaluate import evaluate as command
from mytorch.core import Metric
from mytorch.data import RaggedDataSet, TensorDataSet
from mytorch.experiments import load
from mytorch.experiments.predict.baselines import baselines
from mytorch.experiments.runs.run import judge
from mytorch.nn import BCEWithLogitsLoss, CrossEntropyLoss, Embedding, LastStep, Linear, MSELoss, Padded, Permute
from mytorch.train import NotFiniteError, evaluate


def drawn(rows=120, columns=4, seed=0):
    draw = torch.Generator().manual_seed(seed)
    x = 3 * torch.randn(rows, columns, generator=draw) + torch.tensor([0.0, 5.0, -2.0, 10.0])
    return x, x @ torch.randn(columns, 3, generator=draw) + torch.randn(rows, 3, generator=draw)


def scaled(x):
    return ((x - x.mean(0)) / x.std(0, correction=0)).numpy()


def test_the_linear_model_of_classes_is_logistic_regression():
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is in requirements-test.txt")
    x, scores = drawn()
    classes = (scores - scores.mean(0)).argmax(1)
    found = baselines(Linear(4, 3), CrossEntropyLoss(), TensorDataSet(x, classes), "majority class")
    assert list(found) == ["linear model", "majority class"]
    twin = linear.LogisticRegression(C=1.0, tol=1e-8, max_iter=1000).fit(scaled(x), classes)
    expected = torch.from_numpy(twin.predict_proba(scaled(x))).double()
    torch.testing.assert_close(found["linear model"](x).softmax(1).double(), expected, rtol=0, atol=2e-3)
    shares = torch.bincount(classes, minlength=3) / len(classes)
    torch.testing.assert_close(found["majority class"](x).softmax(1), shares.expand(len(x), 3), rtol=0, atol=1e-3)


def test_the_linear_model_of_numbers_is_nearly_least_squares():
    x, scores = drawn()
    targets = scores[:, :1]
    found = baselines(Linear(4, 1), MSELoss(), TensorDataSet(x, targets), "mean")
    wide = torch.cat((x, torch.ones(len(x), 1)), 1)
    best = wide @ torch.linalg.lstsq(wide, targets).solution
    assert float((found["linear model"](x) - best).abs().max()) < 0.05 * float(targets.std())
    torch.testing.assert_close(found["mean"](x), targets.mean().expand(len(x), 1), rtol=0, atol=1e-4)


def ragged(rows=60):
    """Sequences of different lengths, their mean steps, and a target that is linear in them."""
    draw = torch.Generator().manual_seed(2)
    x = [torch.randn(2 + row % 5, 3, generator=draw) for row in range(rows)]
    means = torch.stack([steps.mean(0) for steps in x])
    return x, means, means @ torch.tensor([[1.0], [-2.0], [0.5]]) + 3


def test_sequences_have_a_linear_model_of_their_mean_step():
    x, means, targets = ragged()
    found = baselines(Padded(LastStep(), Linear(3, 1)), MSELoss(), RaggedDataSet(x, targets), "mean")
    assert list(found) == ["linear model of the mean step", "mean"]
    batch = RaggedDataSet(x, targets)[:]
    predicted = found["linear model of the mean step"](**batch[0])
    assert float((predicted - targets).abs().max()) < 0.1 * float(targets.std())
    torch.testing.assert_close(found["mean"](**batch[0]), targets.mean().expand(60, 1), rtol=0, atol=1e-4)
    plain = baselines(Linear(3, 1), MSELoss(), TensorDataSet(means, targets), "mean")["linear model"]
    torch.testing.assert_close(predicted, plain(means), rtol=0, atol=1e-3)


def test_classes_of_steps_have_a_linear_model_of_each_step():
    x, _, _ = ragged()
    data = RaggedDataSet(x, [(steps[:, 0] > steps[:, 1] + 0.5).long() for steps in x], per_step=True)
    net = Padded(Linear(3, 2), Permute([0, 2, 1]))
    found = baselines(net, CrossEntropyLoss(), data, "majority class")
    assert list(found) == ["linear model of each step", "majority class"]
    inputs, targets = data[:]
    there = targets >= 0
    right = found["linear model of each step"](**inputs).argmax(1)[there] == targets[there]
    assert float(right.double().mean()) > 0.95
    assert set(found["majority class"](**inputs).argmax(1)[there].tolist()) == {0}
    shares = found["majority class"](**inputs).softmax(1)[0, :, 0]
    torch.testing.assert_close(shares[1], targets[there].float().mean(), rtol=0, atol=0.01)


class Tokens(TensorDataSet):
    """Blocks of tokens that are drawn from known probabilities, given the last token."""

    def __init__(self, rows=300, tokens=5):
        draw = torch.Generator().manual_seed(1)
        self.next = torch.rand(tokens, tokens, generator=draw).softmax(1)
        line = [0]
        for _ in range(rows * 8):
            line.append(int(torch.multinomial(self.next[line[-1]], 1, generator=draw)))
        blocks = torch.tensor(line)
        super().__init__(blocks[:-1].reshape(rows, 8), blocks[1:].reshape(rows, 8).clone(), classes=list("abcde"))


def test_a_text_has_the_bigram_model_beside_it():
    data = Tokens()
    net = Embedding(5, 5)
    found = baselines(net, CrossEntropyLoss(), data, "majority class")
    assert list(found) == ["bigram model"]
    logs = found["bigram model"](data.inputs)
    assert logs.shape == (300, 5, 8)
    torch.testing.assert_close(logs.exp().sum(1), torch.ones(300, 8).double())
    torch.testing.assert_close(logs.exp().movedim(1, -1), data.next[data.inputs].double(), rtol=0, atol=0.06)
    data.targets[:, 3] = -100
    assert baselines(net, CrossEntropyLoss(), data, "")["bigram model"](data.inputs).isfinite().all()
    assert baselines(net, MSELoss(), data, "") == {}
    data.classes = tuple(map(str, range(2001)))
    assert baselines(net, CrossEntropyLoss(), data, "") == {}


def test_one_logit_and_rows_of_several_axes():
    x, scores = drawn()
    wanted = (scores[:, :1] > 0).float()
    data = TensorDataSet(x.reshape(-1, 2, 2), wanted)
    found = baselines(found_net(), BCEWithLogitsLoss(), data, "majority class")
    losses = {name: evaluate(net, BCEWithLogitsLoss(), data)["loss"] for name, net in found.items()}
    assert losses["linear model"] < losses["majority class"] <= 0.7


def found_net():
    from mytorch.nn import Flatten, Sequential

    return Sequential(Flatten(), Linear(4, 1))


def test_none_where_inputs_are_no_numbers():
    data = TensorDataSet(torch.arange(6).reshape(3, 2), torch.zeros(3, 2, 2))
    assert baselines(Embedding(6, 2), MSELoss(), data, "mean") == {}


def test_evaluate_shows_them_beside_the_network(run):
    judgement = judge(run, beside=True)
    assert list(judgement.baselines) == ["linear model", "majority class"]
    assert judge(run).baselines == {}
    assert judgement.results == run.evaluate()
    for results in judgement.baselines.values():
        assert list(results) == list(judgement.results)
    told = CliRunner().invoke(command, [str(run.path)])
    assert told.output.splitlines()[0].split("  ")[-2:] == ["linear model", "majority class"]
    found = json.loads(CliRunner().invoke(command, [str(run.path), "--json"]).output)
    assert found["baselines"] == {name: pytest.approx(told) for name, told in judgement.baselines.items()}


class Never(Metric):
    undefined = "it never is"

    def reset(self):
        pass

    def update(self, prediction, target):
        pass

    def compute(self):
        return float("nan")


def test_a_result_that_is_no_number_is_an_error_of_evaluate(run, monkeypatch):
    monkeypatch.setattr("mytorch.experiments.runs.run.build_metrics", lambda _: [Never()])
    told = (
        r"every result must be a number, got nan for \d+ rows of test data \(never: it never is\); judge it on other"
    )
    for options in ([], ["--json"]):
        result = CliRunner().invoke(command, [str(run.path), *options])
        assert result.exit_code == 1
        with pytest.raises(NotFiniteError, match=told):
            raise result.exception
    judgement = judge(load(run.path))
    assert judgement.undefined == {"never": "it never is"}
