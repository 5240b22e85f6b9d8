"""Numbers or channels that are left out; ours and torch's draw the same from one seed."""

from drawn_cases.case import Case, numbers, strategy
from hypothesis import strategies as st

SHAPES = {
    "Dropout": [(40, 30), (0, 3), (7,), (), (1, 4)],
    "AlphaDropout": [(4, 5), (0, 5), (1, 2, 3), ()],
    "FeatureAlphaDropout": [(4, 3, 5), (0, 3, 5), (1, 3), (2, 3, 2, 2)],
    "Dropout1d": [(4, 3, 5), (0, 3, 5), (1, 3, 2), (9, 4)],
    "Dropout2d": [(4, 3, 2, 3), (0, 3, 2, 3), (1, 3, 2, 2)],
    "Dropout3d": [(4, 3, 2, 3, 2), (0, 3, 2, 2, 2), (1, 3, 2, 2, 1), (9, 2, 3, 4)],
}


@strategy(*SHAPES)
def dropout(draw, name):
    shape = draw(st.sampled_from(SHAPES[name]))
    return Case({"p": draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))}, (numbers(draw, *shape),))
