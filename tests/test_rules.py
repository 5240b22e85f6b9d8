"""Learning rules on the layers of mytorch.nn, and the examples of their data sheets."""

import doctest
import importlib

import pytest

RULES = ("evolution_strategies", "feedback_alignment", "sign_symmetric", "zeroth_order")
MODULES = ("mytorch.core.rule", *(f"mytorch.train.rules.{name}" for name in RULES))


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_the_data_sheets(name):
    tested = doctest.testmod(importlib.import_module(name))
    assert (tested.attempted > 5, tested.failed) == (True, 0)
