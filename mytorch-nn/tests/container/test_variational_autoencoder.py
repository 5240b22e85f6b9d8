"""The variational autoencoder: its reparameterisation, its loss, and that both are PyTorch's formulas."""

import pytest
import torch

from mytorch.core import ArgumentError, DtypeError, ShapeError, describe, rebuild
from mytorch.nn import ELBOLoss, Linear, ReLU, Sequential, Tanh, VariationalAutoencoder
from mytorch.testing import check_layer


def net():
    encoder = Sequential(Linear(6, 5), Tanh(), Linear(5, 4))
    return VariationalAutoencoder(encoder, Sequential(Linear(2, 5), ReLU(), Linear(5, 6)))


def test_the_kit_finds_nothing():
    check_layer(net, (5, 6))


@pytest.mark.parametrize("std", [1.0, 0.3])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_gradients_are_those_of_torch(std, reduction):
    torch.manual_seed(0)
    ours, loss = net().to(torch.float64), ELBOLoss(std, reduction)
    x = torch.randn(7, 6, dtype=torch.float64)
    torch.manual_seed(1)
    prediction, saved = ours.forward(x)
    value, saved_by_loss = loss.forward(prediction, x)
    ours.backward(loss.backward(1.0, saved_by_loss), saved)
    weights = {name: held.value.clone().requires_grad_() for name, held in ours.named_param()}
    hidden = torch.tanh(x @ weights["encoder.0.weight"].T + weights["encoder.0.bias"])
    mean, log_var = (hidden @ weights["encoder.2.weight"].T + weights["encoder.2.bias"]).chunk(2, 1)
    torch.manual_seed(1)
    codes = torch.distributions.Normal(mean, (log_var / 2).exp())
    z = mean + (log_var / 2).exp() * torch.randn(7, 2, dtype=torch.float64)
    hidden = torch.relu(z @ weights["decoder.0.weight"].T + weights["decoder.0.bias"])
    y = hidden @ weights["decoder.2.weight"].T + weights["decoder.2.bias"]
    error = torch.nn.functional.mse_loss(y, x, reduction="sum") / (2 * std**2)
    standard = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    total = error + torch.distributions.kl_divergence(codes, standard).sum()
    expected = total / 7 if reduction == "mean" else total
    torch.testing.assert_close(value, expected.detach())
    expected.backward()
    for name, held in ours.named_param():
        torch.testing.assert_close(held.grad, weights[name].grad)


def test_codes_are_drawn_in_training_and_means_in_evaluation():
    torch.manual_seed(0)
    ours = net()
    x = torch.randn(5, 6)
    first, second = ours(x)[0], ours(x)[0]
    assert not torch.equal(first, second)
    ours.eval()
    decoded, mean, _ = ours(x)
    torch.testing.assert_close(decoded, ours.decoder(mean), rtol=0, atol=0)
    torch.testing.assert_close(decoded, ours(x)[0], rtol=0, atol=0)


def test_draws_have_the_deviation_that_the_encoder_says():
    torch.manual_seed(0)
    encoder, decoder = Linear(1, 2), Linear(1, 1)
    encoder.load_state_dict({"weight": torch.zeros(2, 1), "bias": torch.tensor([3.0, -1.0])})
    decoder.load_state_dict({"weight": torch.ones(1, 1), "bias": torch.zeros(1)})
    z = VariationalAutoencoder(encoder, decoder)(torch.zeros(20_000, 1))[0]
    assert z.mean().item() == pytest.approx(3, abs=0.02)
    assert z.std().item() == pytest.approx(torch.tensor(-0.5).exp().item(), abs=0.02)


def test_gradients_that_are_not_used_may_be_left_out():
    ours = net().to(torch.float64)
    x = torch.randn(5, 6, dtype=torch.float64)
    grads = []
    for d_y in [(torch.ones(5, 6).double(), None, None), (None, torch.ones(5, 2).double(), None)]:
        torch.manual_seed(0)
        _, saved = ours.forward(x)
        grads.append(ours.backward(d_y, saved))
    torch.manual_seed(0)
    _, saved = ours.forward(x)
    both = ours.backward((torch.ones(5, 6).double(), torch.ones(5, 2).double(), None), saved)
    torch.testing.assert_close(both, grads[0] + grads[1])


def test_it_is_described_and_rebuilt():
    ours = net()
    again = rebuild(*describe(ours))
    again.load_state_dict(ours.state_dict())
    x = torch.randn(5, 6)
    torch.testing.assert_close(again.eval()(x)[0], ours.eval()(x)[0])


X = torch.randn(4, 6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: VariationalAutoencoder(Linear(6, 3), ReLU())(X), ShapeError, r"an even last axis, got \(4, 3\)"),
        (lambda: VariationalAutoencoder(ReLU, ReLU()), ArgumentError, "child must be a Module, got the class ReLU"),
        (lambda: net().backward((X, None), net().forward(X)[1]), ShapeError, "d_y must be a tuple of three, "),
        (
            lambda: net().backward((None,) * 3, net().forward(X)[1]),
            ShapeError,
            "at least one entry, got None for each",
        ),
        (
            lambda: net().backward((X, X, None), net().forward(X)[1]),
            ShapeError,
            r"d_mean must have the shape of the ou",
        ),
        (lambda: ELBOLoss(std=0.0), ArgumentError, "ELBOLoss: std must be above 0, got 0.0"),
        (lambda: ELBOLoss(reduction="all"), ArgumentError, "ELBOLoss: reduction must be one of mean, sum, none"),
        (
            lambda: ELBOLoss()(X, X),
            ArgumentError,
            r"prediction must be a tuple of three, \(reconstruction, mean, log_v",
        ),
        (
            lambda: ELBOLoss()((X, X, X[:3]), X),
            ShapeError,
            r"log_var \(rows, codes\), got \(4, 6\), \(4, 6\) and \(3, 6",
        ),
        (
            lambda: ELBOLoss()((X, X.double(), X), X),
            DtypeError,
            "mean must have the dtype of the reconst",
        ),
        (lambda: ELBOLoss()((X, X, X), X[:, :5]), ShapeError, "must have"),
    ],
)
def test_what_does_not_fit_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
