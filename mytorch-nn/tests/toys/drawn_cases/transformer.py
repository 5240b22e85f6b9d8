"""Layers and stacks of transformers, with masks of positions, of pairs of them and of padding."""

import warnings

import torch
from drawn_cases.case import Case, strategy
from hypothesis import strategies as st
from torch.nn import functional as F

from mytorch.plugins import is_older

DRAWS_IN_ORDER = not is_older(torch.__version__, "2.13")
"""An older torch draws for a transposed tensor, as with batch_first, in the order of its indices, not of memory."""
SIZES = {"d_model": 6, "nhead": 2, "dim_feedforward": 5}
SEQUENCES = {
    "TransformerEncoderLayer": ("src",),
    "TransformerEncoder": ("src",),
    "TransformerDecoderLayer": ("tgt", "memory"),
    "TransformerDecoder": ("tgt", "memory"),
    "Transformer": ("src", "tgt"),
}


@strategy(*SEQUENCES)
def transformer(draw, name):
    arguments = SIZES | {flag: draw(st.booleans()) for flag in ("batch_first", "norm_first", "bias")}
    arguments["activation"] = draw(st.sampled_from(["relu", "gelu", F.relu, F.silu]))
    in_order = DRAWS_IN_ORDER or not arguments["batch_first"]
    arguments["dropout"] = draw(st.sampled_from([0.0, 0.3] if in_order else [0.0]))
    arguments["layer_norm_eps"] = draw(st.sampled_from([1e-5, 0.1]))
    rows, lengths = draw(st.sampled_from([None, 0, 1, 3])), draw(st.sampled_from([(3, 3), (2, 4), (2, 1)]))
    inputs = []
    for _, length in zip(SEQUENCES[name], lengths, strict=False):
        batch = () if rows is None else (rows,)
        shape = (*batch, length) if arguments["batch_first"] else (length, *batch)
        inputs.append(torch.randn(*shape, 6, dtype=torch.float64))
    masks = {} if rows == 0 else _masks(name, rows, *lengths)  # torch takes none for a batch without rows
    options = {mask: _hidden(shape) for mask, shape in masks.items() if draw(st.booleans())}
    if name == "Transformer":
        arguments |= {"num_encoder_layers": draw(st.integers(1, 2)), "num_decoder_layers": 1}
    make = (
        _stack(name, arguments, draw(st.booleans())) if name in ("TransformerEncoder", "TransformerDecoder") else None
    )
    return Case({} if make else arguments, tuple(inputs), options, make=make)


def _masks(name, rows, first, second):
    """The names and shapes of the masks that a class takes."""
    if name.startswith("TransformerEncoder"):
        pairs, padding = {"src_mask" if name.endswith("Layer") else "mask": (first, first)}, {"src": first}
    else:
        tgt, memory = (second, first) if name == "Transformer" else (first, second)
        pairs, padding = {"tgt_mask": (tgt, tgt), "memory_mask": (tgt, memory)}, {"tgt": tgt, "memory": memory}
        if name == "Transformer":
            pairs["src_mask"], padding["src"] = (first, first), first
    axes = () if rows is None else (rows,)
    return pairs | {f"{sequence}_key_padding_mask": (*axes, length) for sequence, length in padding.items()}


def _hidden(shape):
    """A Boolean mask, in which the first position is seen by all."""
    mask = torch.rand(shape) > 0.6
    mask[..., 0] = False
    return mask


def _stack(name, arguments, norm):
    """Two equal layers, with or without a normalisation at the end."""

    def make(home):
        layer = getattr(home, f"{name}Layer")(**arguments)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, about its fast path
            return getattr(home, name)(layer, 2, home.LayerNorm(6) if norm else None)

    return make
