"""A chain of layers."""

from drawn_cases.case import Case, numbers, strategy
from hypothesis import strategies as st

LINKS = st.sampled_from(["Linear", "Tanh", "Dropout", "BatchNorm1d", "ReLU"])


@strategy("Sequential")
def sequential(draw, name):
    links, width, layers = draw(st.lists(LINKS, max_size=4)), 3, []
    for link in links:
        out = draw(st.integers(1, 4))
        layers.append((link, {"Linear": (width, out), "BatchNorm1d": (width,)}.get(link, ())))
        width = out if link == "Linear" else width
    return Case(
        inputs=(numbers(draw, draw(st.sampled_from([0, 2, 5])), 3),),
        make=lambda home: home.Sequential(*(getattr(home, link)(*sizes) for link, sizes in layers)),
    )
