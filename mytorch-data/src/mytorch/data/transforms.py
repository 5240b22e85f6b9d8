"""What an experiment does to its data sets: functions of the training and the test set that return both anew."""

from mytorch.core import ArgumentError, DataSet
from mytorch.data.split import split
from mytorch.data.standardize import Standardize, Standardized

Pair = tuple[DataSet, DataSet | None]


def hold_out(train: DataSet, test: DataSet | None, fraction: float, seed: int = 0) -> Pair:
    """Hold a share of the training rows back as the test set. Raises ArgumentError if there is one already."""
    if test is not None:
        raise ArgumentError("hold_out: test must be absent, got a test set; leave either it or the split out")
    kept, held = split(train, (1 - fraction, fraction), seed)
    return kept, held


def standardize(train: DataSet, test: DataSet | None) -> Pair:
    """Standardise both sets by what the training rows alone say."""
    learned = Standardize.fit(train)
    return Standardized(train, learned), None if test is None else Standardized(test, learned)
