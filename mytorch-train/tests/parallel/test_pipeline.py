"""A pipeline of processes takes the steps that one process takes on the whole batch."""

import pytest
from launch import SEVERAL, require_one, results
from shared_pipelines import CASES, piped

pytestmark = SEVERAL
OF_FOUR = [case for case in CASES if "four" in case]
BY = {2: [case for case in CASES if case not in OF_FOUR], 4: OF_FOUR}
"""The cases of so many processes."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What each of several processes has after each case: by their number, rank and case."""
    return results("shared_pipelines.py", BY, tmp_path_factory)


@pytest.mark.parametrize(("processes", "case"), [(count, case) for count, cases in BY.items() for case in cases])
def test_a_pipeline_is_one_process(trained, processes, case):
    require_one([of_rank[case] for of_rank in trained[processes]], piped(case))
