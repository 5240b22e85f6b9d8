"""A whole training step of every layer and loss: without autograd, under inference mode, and as one graph."""

import pytest
import torch

import mytorch.nn as nn

INDICES = torch.tensor([0, 1, 1, 0, 1, 0])


def everything():
    return nn.Sequential(
        nn.Linear(3, 8),
        nn.ReLU(),
        nn.BatchNorm1d(8),
        nn.Residual(nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Dropout(0.2))),
        nn.Identity(),
        nn.BatchNorm1d(8, momentum=None),
        nn.Sigmoid(),
        nn.Flatten(),
        nn.Linear(8, 2),
    )


LOSSES = {
    "mse": (nn.MSELoss, torch.randn(6, 2)),
    "indices": (lambda: nn.CrossEntropyLoss(torch.ones(2), label_smoothing=0.1), INDICES),
    "probabilities": (nn.CrossEntropyLoss, torch.rand(6, 2).softmax(1)),
    "bce": (lambda: nn.BCEWithLogitsLoss(pos_weight=torch.ones(2)), torch.rand(6, 2)),
}
each_loss = pytest.mark.parametrize(("factory", "target"), LOSSES.values(), ids=LOSSES)


def step(net, loss, x, target):
    output, saved = net.forward(x)
    value, kept = loss.forward(output, target)
    net.backward(loss.backward(1.0, kept), saved)
    for parameter in net.param():
        parameter.value.sub_(parameter.grad, alpha=0.1)
    net.zero_grad()
    return value


@each_loss
def test_a_step_with_autograd_out_of_order(no_autograd, factory, target):
    net, before = everything(), {}
    before = {name: value.clone() for name, value in net.state_dict().items()}
    value = step(net, factory(), torch.randn(6, 3), target)
    assert value.grad_fn is None
    for name, tensor in net.state_dict().items():
        assert not torch.equal(tensor, before[name]), name
        assert not tensor.requires_grad


def test_the_fixture_refuses_autograd(no_autograd):
    for use in (lambda: torch.ones(1).requires_grad_(), lambda: torch.autograd.grad(1, 1)):
        with pytest.raises(AssertionError, match="autograd must not be used"):
            use()


@each_loss
def test_a_step_under_inference_mode_and_as_one_graph(factory, target):
    x, ends = torch.randn(6, 3), []
    for run in (step, torch.compile(step, fullgraph=True, backend="eager")):
        torch.manual_seed(1)
        with torch.inference_mode():  # the parameters come out as ordinary tensors even if made here
            net, loss = everything(), factory()
            values = [run(net, loss, x, target) for _ in range(2)]
        assert not any(parameter.value.is_inference() for parameter in net.param())
        ends.append((values, net.state_dict()))
    torch.testing.assert_close(*ends)
