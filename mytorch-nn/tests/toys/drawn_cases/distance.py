"""How far two vectors are from each other."""

import torch
from drawn_cases.case import Case, strategy
from hypothesis import strategies as st

SHAPES = st.sampled_from(
    [
        *(((5, 3), (5, 3)), ((0, 3), (0, 3)), ((3,), (3,)), ((5, 3), (3,)), ((3,), (5, 3))),
        *(((5, 1, 3), (1, 4, 3)), ((2, 1), (2, 4)), ((2, 3, 4), (4,)), ((1, 3), (5, 3))),
    ]
)
ORDERS = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 7.5, -1.0, float("inf"), -float("inf")]


def pair(shapes):
    return tuple(torch.randn(shape, dtype=torch.float64) for shape in shapes)


@strategy("PairwiseDistance")
def distance(draw, name):
    arguments = {"p": draw(st.sampled_from(ORDERS)), "eps": draw(st.sampled_from([0.0, 1e-6, 0.5]))}
    return Case(arguments | {"keepdim": draw(st.booleans())}, pair(draw(SHAPES)))


@strategy("CosineSimilarity")
def cosine(draw, name):
    """With an eps below all lengths: torch's gradient is not that of the formula for shorter vectors."""
    shapes = draw(SHAPES)
    axes = max(map(len, shapes))
    return Case({"dim": draw(st.integers(-axes, axes - 1)), "eps": draw(st.sampled_from([0.0, 1e-8]))}, pair(shapes))
