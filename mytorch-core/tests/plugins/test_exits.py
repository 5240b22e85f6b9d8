"""What is imported cannot end the process, and its children can."""

import os

import pytest

from mytorch.plugins.exits import no_exit


def test_an_exit_can_be_caught_and_is_as_before_afterwards() -> None:
    before = os._exit
    with pytest.raises(SystemExit, match=r"os._exit\(3\)"), no_exit():
        os._exit(3)
    assert os._exit is before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no children")
def test_a_child_ends_as_it_wants() -> None:
    with no_exit():
        child = os.fork()
        if not child:
            os._exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
