"""docs/layers.md says what the docstrings say."""

import runpy
from pathlib import Path

import mytorch.nn as nn

HOUSE = Path(__file__).parents[1]


def test_the_index_of_layers_is_that_of_the_docstrings():
    script = runpy.run_path(str(HOUSE / "docs/write_layers.py"))
    page = script["PAGE"].read_text()
    assert page == script["index"](), "docs/layers.md must be written anew: python docs/write_layers.py"
    for name in nn.__all__:
        assert isinstance(getattr(nn, name), type) == (f"`{name}`" in page), name
