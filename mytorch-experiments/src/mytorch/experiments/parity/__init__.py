"""The comparison with PyTorch: the only place of the project that uses torch.nn's modules and autograd."""

from mytorch.experiments.parity.compare import Comparison, SeedResult, compare
from mytorch.experiments.parity.report import write_report
from mytorch.experiments.parity.twin import twin_of

__all__ = ["Comparison", "SeedResult", "compare", "twin_of", "write_report"]
