"""Transformers where several distributions meet: twins of PyTorch, experiments, training, early updates."""

import pytest
import torch
from torch.nn import functional as F

from mytorch import nn
from mytorch.data import TensorDataSet
from mytorch.experiments import load_experiment
from mytorch.experiments.parity import compare, twin_of
from mytorch.optim import AdamW
from mytorch.train import explain, fit

EXPERIMENT = {
    "description": "An encoder of the two coordinates of a point",
    "requires": ["mytorch-nn", "mytorch-optim", "mytorch-data"],
    "seed": 0,
    "epochs": 2,
    "batch_size": 20,
    "data": {"train": {"type": "Disk", "samples": 100}, "split": {"test": 0.2}},
    "model": {
        "type": "Sequential",
        "layers": [
            {"type": "Unflatten", "dim": 1, "unflattened_size": [2, 1]},
            {"type": "Linear", "in_features": 1, "out_features": 8},
            {"type": "SinusoidalPositionalEncoding", "d_model": 8, "batch_first": True},
            {"type": "RotaryPositionalEncoding", "dim": 8},
            {
                "type": "TransformerEncoder",
                "num_layers": 2,
                "norm": {"type": "LayerNorm", "normalized_shape": 8},
                "encoder_layer": {
                    "type": "TransformerEncoderLayer",
                    "d_model": 8,
                    "nhead": 2,
                    "dim_feedforward": 16,
                    "batch_first": True,
                    "norm_first": True,
                    "activation": "gelu",
                    "is_causal": True,
                },
            },
            {"type": "Flatten"},
            {"type": "Linear", "in_features": 16, "out_features": 2},
        ],
    },
    "loss": {"type": "CrossEntropyLoss"},
    "optimizer": {"type": "SGD", "lr": 0.1},
}


def test_an_experiment_is_at_parity_dropout_included():
    result = compare(load_experiment({"name": "encoder", **EXPERIMENT}))
    assert all(seed.passed for seed in result.seeds), [(seed.epoch_gap, seed.steps.gap) for seed in result.seeds]


@pytest.mark.parametrize("activation", ["relu", F.silu, nn.PReLU()], ids=["relu", "silu", "PReLU"])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("name", ["Transformer", "TransformerDecoder"])
def test_twins(name, batch_first, activation):
    """They compute the same, in training too; torch's copies of decoder layers would have lost the activation."""
    options = {"activation": activation, "batch_first": batch_first, "dropout": 0.2}
    if name == "Transformer":
        net = nn.Transformer(8, 2, 2, 2, 6, **options)
    else:
        net = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 6, **options), 2)
    twin = twin_of(net.double())
    inputs = torch.randn(2, 5, 3, 8).double()
    torch.manual_seed(1)
    expected = twin(*inputs)
    torch.manual_seed(1)
    y, saved = net.forward(*inputs)
    torch.testing.assert_close(y, expected.detach(), rtol=1e-10, atol=1e-10)
    d_y = torch.randn_like(y)
    expected.backward(d_y)
    net.backward(d_y, saved)
    for parameter, its in zip(net.param(), twin.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, its.grad, rtol=1e-10, atol=1e-10)


LETTERS, LENGTH = 5, 8


def gpt():
    layer = nn.TransformerEncoderLayer(
        16, 2, 32, dropout=0.0, activation="gelu", batch_first=True, norm_first=True, is_causal=True
    )
    return nn.Sequential(
        nn.Embedding(LETTERS, 16),
        nn.SinusoidalPositionalEncoding(16, batch_first=True),
        nn.TransformerEncoder(layer, 2, nn.LayerNorm(16)),
        nn.Linear(16, LETTERS),
        nn.Permute((0, 2, 1)),  # classes are the second axis of a prediction
    )


def trained(optimizer_in_backward):
    """A GPT that learns to say each letter's successor, which a sequence that counts shows at every position."""
    torch.manual_seed(0)
    letters = (torch.randint(LETTERS, (64, 1)) + torch.arange(LENGTH + 1)) % LETTERS
    data = TensorDataSet(letters[:, :-1], letters[:, 1:])
    net = gpt()
    options = {"epochs": 15, "batch_size": 16, "quiet": True, "optimizer_in_backward": optimizer_in_backward}
    return net, fit(net, nn.CrossEntropyLoss(), AdamW(net.param(), lr=0.01), data, **options).history


def test_a_small_gpt_is_trained():
    net, history = trained(optimizer_in_backward=False)
    assert history[-1]["train_loss"] < 0.1 < 1 < history[0]["train_loss"]
    text = torch.tensor([[3]])
    for _ in range(LENGTH):
        text = torch.cat([text, net.eval()(text)[:, :, -1:].argmax(1)], 1)
    assert text.tolist() == [[3, 4, 0, 1, 2, 3, 4, 0, 1]]


def test_updates_in_the_backward_pass_change_nothing():
    """Each attention's gradients are complete when its own backward is."""
    plain, _ = trained(optimizer_in_backward=False)
    early, _ = trained(optimizer_in_backward=True)
    for name, value in plain.state_dict().items():
        assert torch.equal(early.state_dict()[name], value), name


def test_a_gpt_is_explained():
    found = explain(gpt(), nn.CrossEntropyLoss(), torch.zeros(2, 3, dtype=torch.long), torch.ones(2, 3).long())
    paths = [step.path for step in found.of("forward")]
    assert "2.layers.1.self_attn.out_proj" in paths
    assert len(str(found)) > 1000
