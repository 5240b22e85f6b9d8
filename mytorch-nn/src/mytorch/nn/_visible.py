"""Looking at the numbers in a tensor, where that costs no wait."""

from torch import Tensor
from torch.compiler import is_compiling


def visible(values: Tensor) -> bool:
    """Whether a rule on the numbers is checked: on the CPU, where a look costs no wait, and not while compiling."""
    return values.device.type == "cpu" and not is_compiling()


def out_of_range(indices: Tensor, count: int) -> int | None:
    """An index that is not between 0 and count - 1, if there is one."""
    if not indices.numel():
        return None
    least, most = indices.aminmax()
    wrong = least if least < 0 else most
    return int(wrong) if not 0 <= wrong < count else None
