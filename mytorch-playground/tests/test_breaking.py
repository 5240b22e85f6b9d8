"""Each experiment to break goes wrong in the way that its paragraph says, and learns with the remedy that it names."""

import pytest
import torch

from mytorch.experiments import train_experiment
from mytorch.playground.breaking import breaking_experiments
from mytorch.plugins import parse_toml
from mytorch.train.evaluation import predict

pytestmark = pytest.mark.slow
EXPERIMENTS = {each["title"]: each for each in breaking_experiments()}


@pytest.fixture
def train(tmp_path):
    """Train one of them, with changes, for some epochs."""

    def trained(title, epochs, change=lambda content: None):
        content = parse_toml(EXPERIMENTS[title]["toml"])
        change(content)
        return train_experiment(content, {"epochs": epochs}, output=tmp_path, quiet=True)

    return trained


def test_each_has_a_paragraph_with_a_remedy():
    assert list(EXPERIMENTS) == [
        "Dead units",
        "Too high a learning rate",
        "All weights equal",
        "Vanishing gradients",
        "Overfitting",
    ]
    assert all("What helps: " in each["text"] for each in EXPERIMENTS.values())


def test_dead_units_never_move(train):
    first, last = (train("Dead units", epochs) for epochs in (1, 20))
    before, after = first.net.state_dict(), last.net.state_dict()
    assert torch.equal(before["0.weight"], after["0.weight"])
    assert not torch.equal(before["4.bias"], after["4.bias"])
    assert last.history[-1]["train_error_rate"] > 0.4
    usual = train("Dead units", 40, lambda content: content.pop("initialization"))
    assert usual.history[-1]["validation_error_rate"] < 0.2


def test_the_loss_leaps_where_the_rate_is_too_high(train):
    losses = [record["train_loss"] for record in train("Too high a learning rate", 20).history]
    assert max(losses[5:]) > losses[0]
    lower = train("Too high a learning rate", 20, lambda content: content["optimizer"].update(lr=0.3))
    assert lower.history[-1]["train_loss"] < 0.05


def test_units_with_equal_weights_stay_copies(train):
    net = train("All weights equal", 20).net
    weights = net.state_dict()
    for name in ("0.weight", "2.weight"):
        assert torch.equal(weights[name], weights[name][:1].expand_as(weights[name]))
    assert "its boundary is one straight line" in EXPERIMENTS["All weights equal"]["text"]
    along = torch.linspace(-3, 3, 101).unsqueeze(1) * weights["0.weight"][:1]
    across = predict(net, along) - predict(net, along)[:, :1]
    rises = across[1:, 1] - across[:-1, 1]
    assert (rises > -1e-5).all() or (rises < 1e-5).all()  # but for rounding
    drawn = train("All weights equal", 40, lambda content: content.pop("initialization"))
    assert drawn.history[-1]["validation_error_rate"] < 0.05


def test_gradients_vanish_through_sigmoids(train):
    def normalised(content):
        layers = content["model"]["layers"]
        for at in reversed([at for at, layer in enumerate(layers) if layer["type"] == "Sigmoid"]):
            layers.insert(at, {"type": "BatchNorm1d", "num_features": 8})

    first, last = (train("Vanishing gradients", epochs).net.state_dict() for epochs in (1, 2))
    moved = {name: float((first[name] - last[name]).norm()) for name in ("0.weight", "12.weight")}
    assert moved["0.weight"] < 1e-3 * moved["12.weight"]
    assert train("Vanishing gradients", 40, normalised).history[-1]["validation_error_rate"] < 0.2


def test_rows_are_memorised(train):
    history = train("Overfitting", 200).history
    assert history[-1]["train_loss"] < 0.05
    lowest = min(record["validation_loss"] for record in history)
    assert history[-1]["validation_loss"] > 2 * lowest
