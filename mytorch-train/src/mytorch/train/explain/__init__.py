"""One training step, layer by layer: as data, in the terminal, in a notebook and as a page."""

from mytorch.train.explain.explain import explain, explain_setup
from mytorch.train.explain.explanation import Explanation, page_of
from mytorch.train.explain.numbers_of import Numbers
from mytorch.train.explain.picture import Picture
from mytorch.train.explain.shown import Shown
from mytorch.train.explain.steps import Kept, Step, View

__all__ = ["Explanation", "Kept", "Numbers", "Picture", "Shown", "Step", "View", "explain", "explain_setup", "page_of"]
