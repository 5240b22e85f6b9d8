"""The comparison with PyTorch, whose modules and autograd are used here and in mytorch.train.interop alone."""

from mytorch.experiments.parity.compare import Comparison, SeedResult, compare
from mytorch.experiments.parity.report import write_report
from mytorch.experiments.parity.twin import twin_of

__all__ = ["Comparison", "SeedResult", "compare", "twin_of", "write_report"]
