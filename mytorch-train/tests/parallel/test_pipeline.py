"""A pipeline of processes takes the steps that one process takes on the whole batch."""

import pytest
import torch
from launch import together
from shared_pipelines import CASES, piped
from torch import distributed

pytestmark = [
    pytest.mark.numbers,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (distributed.is_available() and distributed.is_gloo_available()), reason="this torch has no gloo"
    ),
]
OF_FOUR = [case for case in CASES if "four" in case]
BY = {2: [case for case in CASES if case not in OF_FOUR], 4: OF_FOUR}
"""The cases of so many processes."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What each of several processes has after each case: by their number, rank and case."""
    found = {}
    for processes, cases in BY.items():
        folder = tmp_path_factory.mktemp("together")
        together("shared_pipelines.py", folder, *cases, processes=processes)
        found[processes] = [torch.load(folder / f"{rank}.pt") for rank in range(processes)]
    return found


@pytest.mark.parametrize(("processes", "case"), [(count, case) for count, cases in BY.items() for case in cases])
def test_a_pipeline_is_one_process(trained, processes, case):
    expected = piped(case)
    first, *others = (of_rank[case] for of_rank in trained[processes])
    assert all(torch.equal(first["weights"][n], o["weights"][n]) for o in others for n in first["weights"])
    assert all(other["history"] == first["history"] and other["test"] == first["test"] for other in others)
    for name, value in expected["weights"].items():
        torch.testing.assert_close(first["weights"][name], value, rtol=0, atol=1e-12)
    for found, record in zip(first["history"], expected["history"], strict=True):
        assert found == pytest.approx(record, rel=1e-12, abs=1e-14)
    assert first["test"] == pytest.approx(expected["test"], rel=1e-12)
