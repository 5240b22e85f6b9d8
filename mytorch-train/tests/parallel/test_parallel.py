"""Several processes that train together take the steps that one takes on the whole batch."""

import pytest
import torch
from launch import SEVERAL, require_one, results
from shared_cases import CASES, IN_HALF, take

pytestmark = SEVERAL


BY = {2: list(CASES), 4: ["accumulated", "one row a step"]}
"""The cases of so many processes; each takes a while, since a step has few rows."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What each of several processes has after each case: by their number, rank and case."""
    return results("shared_cases.py", BY | {2: [*CASES, *IN_HALF]}, tmp_path_factory)


@pytest.mark.parametrize(("processes", "case"), [(count, case) for count, cases in BY.items() for case in cases])
def test_several_processes_are_one(trained, processes, case):
    require_one([of_rank[case] for of_rank in trained[processes]], take(case))


def test_large_gradients_of_mixed_precision_are_added_up_in_float32_as_small_ones_are(trained):
    small, large = IN_HALF
    for of_rank in trained[2]:
        assert of_rank[large]["history"] == trained[2][0][small]["history"]
        weights = of_rank[large]["weights"]
        assert all(torch.equal(weights[name], value) for name, value in trained[2][0][small]["weights"].items())
