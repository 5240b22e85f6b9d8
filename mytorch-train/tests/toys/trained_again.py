"""Two trainings with one optimizer, which several processes may divide in different ways."""

import torch
from shared_failures import AtBatch, fail
from toy_parts import SGD, Chain, Dense, Points, Rectify, SquaredError, encoded

from mytorch.core import MytorchError
from mytorch.train import fit


class InOnePiece(SGD):
    """Says nothing of its formula, so that each parameter stays in one piece."""

    elementwise = False


def layers():
    return Chain(Dense(2, 4), Rectify(), Dense(4, 4), Rectify(), Dense(4, 2))


def transposed():
    """Weights whose numbers do not lie in the order of their rows."""
    net = layers()
    for layer in list(net)[::2]:
        layer.weight.value = layer.weight.value.T.contiguous().T
    return net


def last_first(net):
    """The groups of an optimizer, from the last layer to the first."""
    return [{"params": layer.param()} for layer in list(net)[::-2]]


class Tied(SquaredError):
    """That of predictions times the weight of a layer, which may be one of the net."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, prediction, target):
        value, saved = super().forward(prediction @ self.layer.weight.value, target)
        return value, (saved, prediction)

    def backward(self, d_loss, saved):
        d = super().backward(d_loss, saved[0])
        self.layer.weight.accumulate(saved[1].T @ d)
        return d @ self.layer.weight.value.T


def with_tied_loss():
    return Chain(Dense(2, 2), Rectify(), Dense(2, 2))


def again(processes, *options, net=layers, optimizer=SGD, groups=None, tied=False):
    """The weights after a training of an epoch for each of the options, or what one of them raises."""
    torch.manual_seed(7)
    made = net()
    made.to(torch.float64)
    chosen = optimizer(made.param() if groups is None else groups(made), lr=0.05, momentum=0.9)
    loss = Tied(made.layers[0]) if tied else SquaredError()
    data = encoded(Points(40, seed=3, dtype="float64"))
    for each in options:
        try:
            given = {"epochs": 1, "batch_size": 8, "quiet": True, "parallel": processes, **each}
            fit(made, loss, chosen, data, **given)
        except MytorchError as error:
            if "callbacks" not in each:
                return f"{type(error).__name__}: {error}"
        except ValueError:
            assert "callbacks" in each
    return {name: parameter.value for name, parameter in made.named_param()}


def broken_off():
    """The options of a training that a callback ends with an error in all processes, within its second epoch."""
    return {"epochs": 2, "callbacks": [AtBatch(1, fail)]}
