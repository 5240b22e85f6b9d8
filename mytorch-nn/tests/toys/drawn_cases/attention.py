"""Attention with masks of all kinds."""

import torch
from drawn_cases.case import Case, several, strategy
from hypothesis import strategies as st


@strategy("MultiheadAttention")
def attention(draw, name):
    heads = draw(st.integers(1, 3))
    arguments = {"embed_dim": heads * draw(st.integers(1, 3)), "num_heads": heads}
    arguments |= {flag: draw(st.booleans()) for flag in ("bias", "add_bias_kv", "add_zero_attn", "batch_first")}
    arguments |= draw(st.sampled_from([{}, {}, {"kdim": 5}, {"vdim": 2}, {"kdim": 3, "vdim": 3}]))
    arguments["dropout"] = draw(st.sampled_from([0.0, 0.0, 0.4]))
    (rows, queries, keys), batched = several(draw, 3, 1, 3), draw(st.booleans())
    rows = rows if batched else 1
    options = masks(draw, rows * heads, rows if batched else None, queries, keys)
    options |= {flag: draw(st.booleans()) for flag in ("need_weights", "average_attn_weights")}

    def random(length, features):
        batch = (rows,) if batched else ()
        shape = (*batch, length) if arguments["batch_first"] else (length, *batch)
        return torch.randn(*shape, features, dtype=torch.float64)

    embed = arguments["embed_dim"]
    inputs = (queries, embed), (keys, arguments.get("kdim", embed)), (keys, arguments.get("vdim", embed))
    return Case(arguments, tuple(random(*sizes) for sizes in inputs), options)


def masks(draw, pairs, rows, queries, keys):
    """Both of one kind, since torch warns otherwise; the first key is seen by all.

    pairs: of a row and a head
    rows:  None without a batch
    """
    of_numbers = draw(st.booleans())

    def mask(*shape):
        if of_numbers:
            return torch.randn(shape, dtype=torch.float64)
        hidden = torch.rand(shape) > 0.6
        hidden[..., 0] = False
        return hidden

    options = {}
    shape = draw(st.sampled_from([None, (queries, keys), (pairs, queries, keys)]))
    if shape is not None:
        options["attn_mask"] = mask(*shape)
    if draw(st.booleans()):
        options["key_padding_mask"] = mask(keys) if rows is None else mask(rows, keys)
    return options
