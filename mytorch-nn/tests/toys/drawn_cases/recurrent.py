"""Cells, and layers over sequences of one length or of several."""

import torch
from drawn_cases.case import LEADING, Case, numbers, several, strategy
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence


def random(*shape):
    return torch.randn(shape, dtype=torch.float64)


@strategy("RNNCell", "LSTMCell", "GRUCell")
def cell(draw, name):
    features, size = several(draw, 2, 1, 5)
    arguments = {"input_size": features, "hidden_size": size, "bias": draw(st.booleans())}
    if name == "RNNCell":
        arguments["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    batch = draw(LEADING)
    inputs = (numbers(draw, *batch, features),)
    if draw(st.booleans()):
        hx = tuple(random(*batch, size) for _ in range(2)) if name == "LSTMCell" else random(*batch, size)
        inputs = (*inputs, hx)
    return Case(arguments, inputs)


@strategy("RNN", "LSTM", "GRU")
def layer(draw, name):
    arguments = {
        "input_size": 3,
        "hidden_size": draw(st.integers(3, 4)),
        "num_layers": draw(st.integers(1, 3)),
        **{flag: draw(st.booleans()) for flag in ("bidirectional", "batch_first", "bias")},
    }
    if arguments["num_layers"] > 1:
        arguments["dropout"] = draw(st.sampled_from([0.0, 0.4, 1.0]))
    if name == "RNN":
        arguments["nonlinearity"] = draw(st.sampled_from(["tanh", "relu"]))
    if name == "LSTM":
        arguments["proj_size"] = draw(st.sampled_from([0, 0, 2]))
    x, batch = packed(draw) if draw(st.booleans()) else whole(draw, arguments["batch_first"])
    return Case(arguments, (x, state(name, arguments, batch)) if draw(st.booleans()) else (x,))


def whole(draw, batch_first):
    """Sequences of one length, and the axes of their batch."""
    steps, batch = draw(st.integers(1, 4)), draw(LEADING)
    return random(*((*batch, steps) if batch_first else (steps, *batch)), 3), batch


def packed(draw):
    """Sequences of several lengths, and the axes of their batch."""
    lengths = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    in_order = draw(st.booleans())
    lengths = sorted(lengths, reverse=True) if in_order else lengths
    x = random(len(lengths), max(lengths), 3)
    return pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=in_order), (len(lengths),)


def state(name, arguments, batch):
    """What a layer begins with."""
    count = arguments["num_layers"] * (2 if arguments["bidirectional"] else 1)
    h = random(count, *batch, arguments.get("proj_size") or arguments["hidden_size"])
    return (h, random(count, *batch, arguments["hidden_size"])) if name == "LSTM" else h
