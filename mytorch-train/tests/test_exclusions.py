"""Options of a step that exclude each other are refused by one table, whatever else is asked for."""

import re

import pytest
from toy_parts import SGD, Chain, Dense

from mytorch.core import ArgumentError, Quantity, Rule
from mytorch.train.choose_step import choose_step
from mytorch.train.exclusions import EXCLUSIONS, require_together
from mytorch.train.parallel.processes import Processes
from mytorch.train.privacy import Privacy


class Searching(SGD):
    needs_closure = True


class Watching(SGD):
    def quantities(self):
        return [Quantity()]


def own(net, loss, optimizer, inputs, targets):
    """A step of a user's own."""


PROCESSES = Processes.__new__(Processes)
OPTIONS = {
    "accumulate": {"accumulate": 2},
    "clip_grad_norm": {"clip_grad_norm": 1.0},
    "clip_grad_value": {"clip_grad_value": 1.0},
    "clip_sample_norm": {"clip_sample_norm": 1.0},
    "closure": {"optimizer": Searching},
    "memory": {"memory": "1 GiB"},
    "optimizer": {"optimizer": Watching},
    "optimizer_in_backward": {"optimizer_in_backward": True},
    "parallel": {"parallel": PROCESSES},
    "precision": {"precision": "bfloat16"},
    "privacy": {"privacy": Privacy.__new__(Privacy)},
    "quantities": {"quantities": [Quantity()]},
    "rule": {"rule": Rule()},
    "saved": {"saved": "int8"},
    "shard": {"shard": "optimizer"},
    "stages": {"stages": 2, "parallel": PROCESSES},
    "step": {"own": own},
    "weights": {"weights": "disk"},
}
"""By the names of the table, what asks `choose_step` for an option."""
OF_ENGINES = {"engine", "compiled"}
PAIRS = [(name, other) for name, others in EXCLUSIONS.items() for other in others]


def chosen(*names):
    options = {key: value for name in names for key, value in OPTIONS[name].items()}
    optimizer = options.pop("optimizer", SGD)
    return choose_step(optimizer(Chain(Dense(2, 2)).param()), **options)


def test_every_option_of_the_table_can_be_asked_for():
    assert {name for pair in PAIRS for name in pair} == OPTIONS.keys() | OF_ENGINES


@pytest.mark.parametrize(("name", "other"), [pair for pair in PAIRS if not OF_ENGINES & {*pair}])
def test_two_that_exclude_each_other_are_refused_in_any_step(name, other):
    with pytest.raises(ArgumentError, match=": must be left out with "):
        chosen(name, other)


@pytest.mark.parametrize(("name", "other"), PAIRS)
def test_an_error_names_both_and_says_why_and_the_way_out(name, other):
    values = {
        "step": own,
        "optimizer": Watching(Chain(Dense(2, 2)).param()),
        "quantities": [Quantity()],
        "rule": Rule(),
    }
    given = {each: values.get(each, 2) for each in (name, other)}
    subject = "Watching" if name == "optimizer" else name
    why = re.escape(EXCLUSIONS[name][other])
    with pytest.raises(ArgumentError, match=rf"^{subject}: must be left out with .+, {why}(, got \w+)?; [\w=\" ,]+$"):
        require_together(given)
    require_together({name: given[name]})
    require_together({other: given[other]})


@pytest.mark.parametrize(
    "names",
    [
        ("accumulate", "clip_grad_norm", "precision"),
        ("accumulate", "memory"),
        ("optimizer_in_backward", "quantities", "clip_grad_value"),
        ("privacy", "quantities"),
        ("closure", "step"),
        ("saved", "optimizer_in_backward"),
        ("rule", "clip_grad_norm"),
        ("weights", "optimizer_in_backward", "clip_grad_value", "quantities"),
        ("weights", "saved"),
        ("weights", "memory"),
    ],
)
def test_what_goes_together_is_taken(names):
    if "privacy" in names:
        with pytest.raises(AssertionError):  # it asks for the batches next
            chosen(*names)
    else:
        assert callable(chosen(*names))
