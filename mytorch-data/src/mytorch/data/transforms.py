"""What an experiment does to its data sets: functions of the training and the test set that return both anew."""

from mytorch.core import ArgumentError, DataSet
from mytorch.data.split import Rows, split
from mytorch.data.standardize import Standardize, Standardized
from mytorch.data.table import Table

Pair = tuple[DataSet, DataSet | None]


def hold_out(train: DataSet, test: DataSet | None, fraction: float, seed: int = 0) -> Pair:
    """Hold a share of the training rows back as the test set. Raises ArgumentError if there is one already.

    What a Table fills in is learned from the rows that are kept.
    """
    if test is not None:
        raise ArgumentError("hold_out: test must be absent, got a test set; leave either it or the split out")
    kept, held = split(train, (1 - fraction, fraction), seed)
    if isinstance(train, Table):
        train = train.learned_from(kept.indices)
    return Rows(train, kept.indices), Rows(train, held.indices)


def standardize(train: DataSet, test: DataSet | None) -> Pair:
    """Standardise both sets by what the training rows alone say."""
    learned = Standardize.fit(train)
    return Standardized(train, learned), None if test is None else Standardized(test, learned)
