"""Several processes that divide gradients update within the backward pass, and free the gradients there."""

import pytest
import torch
from launch import SEVERAL, together
from toy_parts import SGD
from updating_within import LAYERS, OPTIONS, STEPS, Training

from mytorch.core import ArgumentError, Parameter
from mytorch.train.choose_step import choose_step
from mytorch.train.half_precision.half_precision import PRECISIONS
from mytorch.train.parallel import Processes
from mytorch.train.parallel.sharded_reducer import IN_FLIGHT

WITHIN = ("within", "by value", "summed")
AFTER = ("by norm", "state alone")


def applied(function):
    for mark in SEVERAL:
        function = mark(function)
    return function


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What each of two processes has after each case."""
    folder = tmp_path_factory.mktemp("together")
    together("updating_within.py", folder)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@applied
@pytest.mark.parametrize("case", OPTIONS)
def test_the_steps_are_those_of_one_process(trained, case):
    expected = Training(None, case).run()["values"]
    first, second = (of_rank[case] for of_rank in trained)
    assert first["said"] is None
    for value, own, other in zip(expected, first["values"], second["values"], strict=True):
        assert torch.equal(own, other)
        torch.testing.assert_close(own, value, rtol=0, atol=1e-12)


@applied
@pytest.mark.parametrize("case", WITHIN)
def test_when_the_backward_comes_to_the_first_layer_the_others_are_updated_and_their_gradients_freed(trained, case):
    for of_rank in trained:
        assert len(of_rank[case]["seen"]) == STEPS
        for changed, holding in of_rank[case]["seen"]:
            assert changed >= 2 * LAYERS - IN_FLIGHT
            assert holding <= IN_FLIGHT


@applied
def test_gradients_of_several_batches_are_kept_until_the_last_backward(trained):
    for of_rank in trained:
        seen = of_rank["accumulated"]["seen"]
        assert len(seen) == 2 * STEPS
        for changed, holding in seen[::2]:
            assert (changed, holding) == (0, 2 * LAYERS)
        for changed, holding in seen[1::2]:
            assert changed >= 2 * LAYERS - IN_FLIGHT
            assert holding <= IN_FLIGHT


@applied
@pytest.mark.parametrize("case", AFTER)
def test_what_needs_all_gradients_updates_after_the_backward(trained, case):
    for of_rank in trained:
        assert of_rank[case]["seen"] == [(0, 2 * LAYERS)] * STEPS


@applied
def test_an_error_before_the_backward_leaves_all_values_as_they_are(trained):
    for rank, of_rank in enumerate(trained):
        found = of_rank["breaks in forward"]
        assert ("ValueError: broken" if rank else "got rank 1 that failed: ValueError: broken") in found["said"]
        assert all(torch.equal(*pair) for pair in zip(found["values"], found["before"], strict=True))


@applied
def test_after_an_error_in_the_backward_the_layers_that_it_had_passed_are_updated_in_all_processes(trained):
    first, second = (of_rank["breaks in backward"] for of_rank in trained)
    assert "got rank 1 that failed: ValueError: broken" in first["said"]
    assert all(torch.equal(*pair) for pair in zip(first["values"], second["values"], strict=True))
    after = trained[0]["within"]["before"]  # the third step
    for number, value in enumerate(first["values"]):
        expected = first["before"][number] if number < LAYERS else after[number]
        assert torch.equal(value, expected)
        assert not torch.equal(after[number], first["before"][number])


@pytest.mark.parametrize(
    ("options", "within"),
    [
        ({}, True),
        ({"clip_grad_value": 0.1}, True),
        ({"accumulate": 2}, True),
        ({"clip_grad_norm": 0.1}, False),
        *(({"precision": name}, False) for name in PRECISIONS),
        ({"shard": "optimizer"}, False),
        ({"shard": "parameters"}, False),
    ],
)
def test_updates_wait_where_something_needs_all_gradients(options, within):
    chosen = choose_step(SGD([Parameter(torch.ones(2))]), parallel=Processes, **{"shard": "gradients", **options})
    assert (chosen.reducer.updates is not None) is within


def test_what_updates_in_the_backward_of_one_process_says_what_does_in_several():
    with pytest.raises(ArgumentError, match=r'shard = "gradients" updates within it.*, got True; leave one'):
        choose_step(SGD([Parameter(torch.ones(2))]), optimizer_in_backward=True, parallel=Processes)
