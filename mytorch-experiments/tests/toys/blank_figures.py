"""Figures of the size that they would have, in white: drawing takes ten times as long as the small runs of most tests.

A suite that looks at what is drawn defines a fixture of the same name.
"""

import pytest
from matplotlib.figure import Figure
from PIL import Image


def save_blank(figure, path, dpi="figure", **options):
    size = figure.get_size_inches() * (figure.dpi if dpi == "figure" else dpi)
    Image.new("L", tuple(size.astype(int).tolist()), "white").save(path, options.get("format", "png"))


@pytest.fixture(autouse=True)
def blank_figures(monkeypatch):
    monkeypatch.setattr(Figure, "savefig", save_blank)
