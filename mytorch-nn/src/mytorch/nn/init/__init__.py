"""First values of weights: torch.nn.init's functions by their names, and rules for a whole network."""

from mytorch.nn.init.constant import constant_, dirac_, eye_, ones_, zeros_
from mytorch.nn.init.fans import calculate_gain, kaiming_normal_, kaiming_uniform_, xavier_normal_, xavier_uniform_
from mytorch.nn.init.initialize import initialize, initialize_where
from mytorch.nn.init.matrix import orthogonal_, sparse_
from mytorch.nn.init.spread import normal_, trunc_normal_, uniform_

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "initialize",
    "initialize_where",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]
