"""Small nets whose parameters are used in every way: tied, twice, frozen, aside, computed again."""

import torch
from toy_parts import Chain, Dense, Noise, Rectify, SquaredError

from mytorch.core import Loss, Module, Parameter


class Detour(Module):
    """y = x + inner(x)"""

    def __init__(self, inner):
        self.inner = inner

    def forward(self, x):
        change, saved = self.inner.forward(x)
        return x + change, saved

    def backward(self, d_y, saved):
        return d_y + self.inner.backward(d_y, saved)


class Again(Module):
    """Keeps nothing of inner but its input, and computes the rest again during the backward."""

    def __init__(self, inner):
        self.inner = inner

    def forward(self, x):
        return self.inner(x), x

    def backward(self, d_y, x):
        return self.inner.backward(d_y, self.inner.forward(x)[1])


class Temperature(Loss):
    """A loss with a parameter."""

    def __init__(self):
        self.inner, self.scale = SquaredError(), Parameter(torch.tensor(2.0))

    def forward(self, prediction, target):
        value, saved = self.inner.forward(prediction * self.scale.value, target)
        return value, (prediction, saved)

    def backward(self, d_value, saved):
        d = self.inner.backward(d_value, saved[1])
        self.scale.accumulate((d * saved[0]).sum())
        return d * self.scale.value

    def weight_of(self, prediction, target):
        return self.inner.weight_of(prediction, target)


class Masked(Dense):
    """A parameter of its own beside a child that has more."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.inner = Dense(sizes[1], sizes[1])

    def forward(self, x):
        y, first = super().forward(x)
        y, second = self.inner.forward(y)
        return y, (first, second)

    def backward(self, d_y, saved):
        return super().backward(self.inner.backward(d_y, saved[1]), saved[0])


def tied():
    net = Chain(Dense(3, 3), Rectify(), Dense(3, 3), Dense(3, 2))
    net.layers[2].weight = net.layers[0].weight
    return net


def tied_across():
    """The child of a branch shares a parameter with a later layer."""
    net = Chain(Detour(Chain(Dense(3, 3, bias=False), Rectify())), Dense(3, 3), Dense(3, 3), Dense(3, 2))
    net.layers[2].weight = net.layers[0].inner.layers[0].weight
    return net


def twice():
    shared = Dense(3, 3)
    return Chain(shared, Rectify(), Detour(shared), Dense(3, 2), Rectify())


def frozen():
    net = Chain(Dense(3, 4), Dense(4, 4), Dense(4, 2))
    net.layers[1].weight.trainable = net.layers[2].bias.trainable = False
    return net


NETS = {
    "chain": lambda: Chain(Dense(3, 4), Rectify(), Noise(), Dense(4, 2)),
    "tied": tied,
    "tied across": tied_across,
    "twice": twice,
    "residual": lambda: Chain(Detour(Dense(3, 3)), Detour(Chain(Dense(3, 3), Rectify())), Dense(3, 2)),
    "frozen": frozen,
    "again": lambda: Chain(Dense(3, 3), Again(Chain(Dense(3, 3), Rectify())), Dense(3, 2)),
    "again and twice": lambda: Chain(shared := Dense(3, 3), Again(shared), Dense(3, 2)),
    "own and child": lambda: Chain(Masked(3, 4), Dense(4, 2)),
}
