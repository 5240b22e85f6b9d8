"""The contract of metrics."""

import pytest
import torch

from mytorch.core import Metric


def test_what_a_subclass_must_write() -> None:
    assert Metric.higher_is_better
    for call in (Metric().reset, Metric().compute, lambda: Metric().update(torch.zeros(1), torch.zeros(1))):
        with pytest.raises(NotImplementedError, match=r"Metric: .* must be defined"):
            call()
