"""The parts of a pipeline that need no other process: the schedule, the cut, messages and times."""

from itertools import pairwise

import pytest
import torch
from toy_parts import SGD, Chain, Dense, Rectify

from mytorch.core import ArgumentError, Buffer, Module, ShapeError
from mytorch.train.choose_step import choose_step
from mytorch.train.parallel.pipeline import Timed, balanced, bubble, one_forward_one_backward
from mytorch.train.parallel.pipeline.cut import choose_micro_batches, cut
from mytorch.train.parallel.pipeline.layout import Layout
from mytorch.train.parallel.pipeline.stage import place_of
from mytorch.train.parallel.pipeline.step import cut_rows

pytestmark = pytest.mark.numbers


@pytest.mark.parametrize(("stages", "count"), [(1, 3), (2, 1), (3, 2), (4, 9)])
def test_a_stage_computes_everything_once_and_holds_few_micro_batches(stages, count):
    for stage in range(stages):
        actions = one_forward_one_backward(stage, stages, count)
        for kind in ("forward", "backward"):
            assert [number for found, number in actions if found == kind] == list(range(count))
        held = most = 0
        for kind, number in actions:
            held += 1 if kind == "forward" else -1
            most = max(most, held)
            assert kind == "forward" or ("forward", number) in actions[: actions.index((kind, number))]
        assert most == min(stages - stage, count)


def test_stages_wait_for_each_other_as_long_as_the_formula_says():
    """Every action takes one second and begins when what it needs is there."""
    stages, count = 3, 7
    left = {stage: one_forward_one_backward(stage, stages, count) for stage in range(stages)}
    ends, free, times = {}, dict.fromkeys(range(stages), 0), [[] for _ in range(stages)]
    while any(left.values()):
        for stage, actions in left.items():
            needs = None
            if actions:
                kind, number = actions[0]
                needs = (stage - 1, kind, number) if kind == "forward" else (stage + 1, kind, number)
            if needs is None or (0 <= needs[0] < stages and needs not in ends):
                continue
            begin = max(free[stage], ends.get(needs, 0))
            free[stage] = ends[stage, kind, number] = begin + 1
            times[stage].append(Timed(kind, number, begin, begin + 1))
            actions.pop(0)
    assert bubble(times) == pytest.approx((stages - 1) / (count + stages - 1))
    assert bubble([[], []]) == 0


@pytest.mark.parametrize(
    ("costs", "stages", "expected"),
    [
        ([1, 1, 1, 1], 2, [2, 2]),
        ([9, 1, 1, 1], 2, [1, 3]),
        ([1, 1, 1, 9], 3, [2, 1, 1]),
        ([5], 1, [1]),
        ([0.5, 0.25, 0.25], 3, [1, 1, 1]),
    ],
)
def test_the_largest_stage_is_as_small_as_it_can_be(costs, stages, expected):
    assert balanced(costs, stages) == expected


def test_no_other_cut_is_better():
    torch.manual_seed(0)
    for _ in range(20):
        costs = torch.randint(0, 9, (7,)).tolist()
        ends = torch.combinations(torch.arange(1, 7), 2).tolist()
        best = min(max(sum(costs[a:b]) for a, b in pairwise([0, *cuts, 7])) for cuts in ends)
        found = [0, *torch.tensor(balanced(costs, 3)).cumsum(0).tolist()]
        assert max(sum(costs[a:b]) for a, b in pairwise(found)) == best


class Counting(Module):
    """Holds a buffer."""

    def __init__(self):
        self.count = Buffer(torch.zeros(()))


class Asking(Module):
    asks_processes = True


def long():
    return Chain(Dense(2, 4), Rectify(), Dense(4, 2))


@pytest.mark.parametrize(
    ("net", "stages", "text"),
    [
        (Dense(2, 2), 2, r"the model must be a Sequential, whose layers are shared out, got Dense; write it as"),
        (long(), 4, r"there must be at most as many as layers, got 4 for Chain, which has 3; take fewer stages"),
        (
            long(),
            [1, 1],
            r"the layers of all stages must add up to the 3 layers of Chain, got \[1, 1\], which make 2$",
        ),
        (
            Chain(Dense(2, 2), Asking()),
            2,
            r"every layer must compute with what its own process has, got Asking \('1'\)",
        ),
        (
            Chain(*[Counting()] * 2),
            2,
            r"a layer with buffers must be in one stage, got 0.count in two of them; choose",
        ),
    ],
)
def test_a_model_that_cannot_be_shared_out_is_refused(net, stages, text):
    with pytest.raises(ArgumentError, match=f"^stages: {text}"):
        cut(net, stages)


@pytest.mark.parametrize("stages", [0, -1, True, 1.5, "2", None, [], [2, 0], [1, True]])
def test_stages_are_a_number_or_the_layers_of_each(stages):
    with pytest.raises(ArgumentError, match=r"^stages: must be a whole number of at least 1, or a list of the layers"):
        choose_step(SGD(long().param(), lr=0.1), stages=stages)


def test_micro_batches_are_a_number_and_need_stages():
    assert choose_micro_batches(3, None) == 12
    assert choose_micro_batches([1, 2], 5) == 5
    for wrong in (0, True, 2.0, "4"):
        with pytest.raises(ArgumentError, match=r"^micro_batches: must be a whole number of at least 1, got "):
            choose_micro_batches(2, wrong)
    with pytest.raises(ArgumentError, match=r"^micro_batches: must come with stages, .*, got 4 and stages = 1; set"):
        choose_micro_batches(1, 4)


class Several:
    """So many processes, of which this is one."""

    def __init__(self, rank, size):
        self.rank, self.size = rank, size


def test_processes_are_shared_out_evenly():
    assert [place_of(Several(rank, 6), 3) for rank in range(6)] == [(s, r, 2) for s in range(3) for r in range(2)]
    with pytest.raises(
        ArgumentError, match=r"^stages: the number of processes must be a multiple of the stages, 2, got 3"
    ):
        place_of(Several(0, 3), [4, 4])


def test_micro_batches_have_rows_as_equal_as_can_be():
    batch = torch.arange(10), None
    assert [len(x) for x, _ in cut_rows(batch, 10, 4)] == [2, 3, 2, 3]
    assert torch.equal(torch.cat([x for x, _ in cut_rows(batch, 10, 4)]), batch[0])
    assert [len(x) for x, _ in cut_rows((batch[0][:3], None), 3, 8)] == [1, 1, 1]
    assert cut_rows((batch[0][:0], None), 0, 4) == []


def test_a_message_has_every_tensor_and_a_byte_for_a_failure():
    cpu = torch.device("cpu")
    values = (torch.randn(3, 5), torch.tensor([True, False, True]), torch.randn(2, 0), torch.tensor(2.5).double())
    layout = Layout.of(values)
    message = layout.pack(values, cpu)
    assert not message[0]
    assert all(torch.equal(a, b) and a.dtype is b.dtype for a, b in zip(layout.output(message), values, strict=True))
    assert layout.failure(cpu)[0]
    assert len(layout.failure(cpu)) == len(message)
    one = Layout.of(values[0])
    assert torch.equal(one.output(one.pack([values[0]], cpu)), values[0])


def test_gradients_have_none_for_what_has_none_and_zeros_for_what_was_not_used():
    cpu = torch.device("cpu")
    layout = Layout.of((torch.randn(3, 5), torch.ones(3, dtype=torch.long), torch.randn(2)))
    d_x = torch.randn(3, 5)
    first, none, last = layout.d_output(layout.pack_gradients((d_x, None, None), cpu))
    assert torch.equal(first, d_x)
    assert none is None
    assert torch.equal(last, torch.zeros(2))
    assert not any(d.any() for d in layout.d_output(layout.pack_gradients(None, cpu)) if d is not None)
    with pytest.raises(
        ShapeError, match=r"^stages: the gradient of a stage's input must have its shape, \(3, 5\), got"
    ):
        layout.pack_gradients((d_x[:1], None, None), cpu)


@pytest.mark.parametrize(
    ("output", "got"),
    [([torch.ones(2)], "a list"), ((torch.ones(2), None), "None in a tuple"), ("text", "'text'|a str")],
)
def test_what_a_stage_cannot_send_is_refused_by_name(output, got):
    with pytest.raises(
        ArgumentError, match=rf"must be a tensor or a tuple of tensors, got ({got}); cut the model else"
    ):
        Layout.of(output)
