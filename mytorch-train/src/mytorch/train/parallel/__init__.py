"""Training in several processes, on one machine or more: each computes the gradients of its rows of every batch."""

from mytorch.train.parallel.join import join
from mytorch.train.parallel.launched import Place, alone, is_first, launched, require_alone
from mytorch.train.parallel.processes import Processes

__all__ = ["Place", "Processes", "alone", "is_first", "join", "launched", "require_alone"]
