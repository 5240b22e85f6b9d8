"""Pipeline parallel training: the layers of a model are shared out among processes, as stages of one pipeline."""

from mytorch.train.parallel.pipeline.cut import balanced
from mytorch.train.parallel.pipeline.schedule import Action, one_forward_one_backward
from mytorch.train.parallel.pipeline.times import Timed, bubble

__all__ = ["Action", "Timed", "balanced", "bubble", "one_forward_one_backward"]
