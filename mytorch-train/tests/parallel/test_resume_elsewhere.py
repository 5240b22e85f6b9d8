"""A training goes on in another number of processes than it was interrupted in, and ends as one process alone."""

import pytest
import torch
from launch import SEVERAL, require_one, together
from resumed_elsewhere import LEVELS, MOMENTUM, PAIRS, resumed
from shared_cases import take

pytestmark = SEVERAL


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where two processes leave checkpoints, which four resume and leave others, which two resume."""
    folder = tmp_path_factory.mktemp("together")
    together("resumed_elsewhere.py", folder)
    together("resumed_elsewhere.py", folder, 2, processes=4)
    together("resumed_elsewhere.py", folder, 4)
    return folder


@pytest.fixture(scope="module")
def whole():
    """What one process has that was never interrupted."""
    return take("plain", **MOMENTUM)


@pytest.mark.parametrize("levels", PAIRS, ids=str)
@pytest.mark.parametrize("processes", [4, 2])
def test_another_number_of_processes_goes_on_dividing_the_same_or_something_else(folder, whole, processes, levels):
    require_one([torch.load(folder / f"{processes}-{rank}.pt")[levels] for rank in range(processes)], whole)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("processes", [4, 2])
def test_one_process_goes_on(folder, whole, processes, level):
    require_one([resumed(folder, processes, level)], whole)
