"""Rows of a table, each alone or in bags."""

import torch
from drawn_cases.case import Case, strategy
from hypothesis import strategies as st

INDICES = st.sampled_from([torch.int64, torch.int32])


def table(draw):
    """Arguments of a table, and how many rows it has."""
    rows = draw(st.integers(1, 6))
    return {
        "num_embeddings": rows,
        "embedding_dim": draw(st.integers(1, 4)),
        "padding_idx": draw(st.none() | st.integers(-rows, rows - 1)),
        "max_norm": draw(st.sampled_from([None, 0.5, 2.0])),
        "norm_type": draw(st.sampled_from([1.0, 2.0, 3.5, float("inf")])),
    }, rows


@strategy("Embedding")
def embedding(draw, name):
    arguments, rows = table(draw)
    arguments["scale_grad_by_freq"] = draw(st.booleans())
    shape = draw(st.sampled_from([(), (0,), (4,), (2, 5), (0, 3), (2, 3, 2)]))
    return Case(arguments, (torch.randint(rows, shape, dtype=draw(INDICES)),))


@strategy("EmbeddingBag")
def bags(draw, name):
    """Without scale_grad_by_freq, for which torch's kernel takes the counts of other rows."""
    (arguments, rows), dtype = table(draw), draw(INDICES)
    arguments["mode"] = draw(st.sampled_from(["sum", "mean", "max"]))
    if draw(st.booleans()):
        x, offsets = torch.randint(rows, draw(st.sampled_from([(0, 3), (4, 1), (2, 5)])), dtype=dtype), None
    else:
        lengths = draw(st.lists(st.integers(0, 4), min_size=1, max_size=5))
        ends = torch.tensor(lengths).cumsum(0)
        offsets = torch.cat([torch.zeros(1, dtype=torch.int64), ends]).to(dtype)
        arguments["include_last_offset"] = draw(st.booleans())
        offsets = offsets if arguments["include_last_offset"] else offsets[:-1]
        x = torch.randint(rows, (int(ends[-1]),), dtype=dtype)
    if arguments["mode"] == "sum" and draw(st.booleans()):
        return Case(arguments, (x, offsets, torch.randn(x.shape).double()))
    return Case(arguments, (x,) if offsets is None else (x, offsets))
