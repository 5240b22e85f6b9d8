"""Whether the numbers in a tensor may be looked at."""

from torch import Tensor
from torch.compiler import is_compiling


def visible(values: Tensor) -> bool:
    """Whether a rule on the numbers is checked: on the CPU, where a look costs no wait, and not while compiling."""
    return values.device.type == "cpu" and not is_compiling()
