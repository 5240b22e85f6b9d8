"""Learning rules on the layers of mytorch.nn, and the examples of their data sheets."""

import doctest
import importlib

import pytest

MODULES = ("mytorch.core.rule", "mytorch.train.rules.feedback_alignment")


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_the_data_sheets(name):
    tested = doctest.testmod(importlib.import_module(name))
    assert (tested.attempted > 5, tested.failed) == (True, 0)
