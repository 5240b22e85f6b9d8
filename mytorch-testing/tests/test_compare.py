import pytest
import torch

from mytorch.testing import CheckError
from mytorch.testing.compare import require_close


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (1 / 7, "7 times too small: a mean where the sum belongs?"),
        (3.0, "3 times too large: a sum where the mean belongs?"),
        (1.5, "1.5 times too large"),
        (0.4, "2.5 times too small"),
    ],
)
def test_a_constant_factor_is_told_and_a_mean_only_suspected_where_it_is_a_count(seed, factor, said) -> None:
    expected = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with pytest.raises(CheckError) as caught:
        require_close("output", factor * expected, expected, "be the same")
    assert str(caught.value).endswith(f"; it is {said}")
