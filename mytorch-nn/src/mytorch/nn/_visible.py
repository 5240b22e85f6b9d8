"""Looking at the numbers in a tensor, where that costs no wait."""

from torch import Tensor


def out_of_range(indices: Tensor, count: int) -> int | None:
    """An index that is not between 0 and count - 1, if there is one."""
    if not indices.numel():
        return None
    least, most = indices.aminmax()
    wrong = least if least < 0 else most
    return int(wrong) if not 0 <= wrong < count else None
