"""Products with matrices, and nothing at all."""

import torch
from drawn_cases.case import Case, numbers, several, strategy
from hypothesis import strategies as st

AXES = st.sampled_from([(5,), (2, 3), (), (0,), (1,), (2, 0, 3)])


@strategy("Linear", "LazyLinear")
def linear(draw, name):
    features, out_features = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    if name == "LazyLinear":
        features = max(features, 1)
    sizes = (
        {"out_features": out_features}
        if name == "LazyLinear"
        else {"in_features": features, "out_features": out_features}
    )
    return Case(sizes | {"bias": draw(st.booleans())}, (numbers(draw, *draw(AXES), features),))


@strategy("Bilinear")
def bilinear(draw, name):
    first, second, out_features = several(draw, 3, 1, 5)
    lead = draw(AXES)
    return Case(
        {"in1_features": first, "in2_features": second, "out_features": out_features, "bias": draw(st.booleans())},
        (torch.randn(*lead, first).double(), torch.randn(*lead, second).double()),
    )


@strategy("Identity")
def identity(draw, name):
    return Case(inputs=(numbers(draw, *draw(AXES)),))
