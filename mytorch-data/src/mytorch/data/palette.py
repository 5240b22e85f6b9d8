"""Colours that are told apart with any colour vision.

Source: Okabe and Ito 2008, "Color universal design"
"""

from collections.abc import Sequence

BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, VERMILION, YELLOW, BLACK = "#56B4E9", "#D55E00", "#F0E442", "#000000"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW, BLACK)


def colours_of(classes: Sequence[str]) -> list[str]:
    """A colour for each class, by its place in alphabetical order: the classes of a generated data set keep theirs
    when its rows come from a file, whose reader sorts them.
    """
    places = {name: place for place, name in enumerate(sorted(set(classes)))}
    return [COLOURS[places[name] % len(COLOURS)] for name in classes]
