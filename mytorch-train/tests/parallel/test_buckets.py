"""How gradients are put into buckets."""

import pytest
import torch
from toy_parts import SGD

from mytorch.core import Parameter
from mytorch.train.parallel.processes import Wishes
from mytorch.train.parallel.reducer import Reducer
from mytorch.train.parallel.totals import room_for


class Nobody:
    """Other processes that add nothing."""

    rank, size, asked = 0, 1, Wishes()

    def __init__(self):
        self.messages = []

    def add(self, tensor):
        self.messages.append(tensor.numel())
        return tensor

    def from_first(self, make):
        return make()

    def wait(self, tensor):
        pass


def sizes(*counts, dtype=torch.float32):
    """The numbers of each bucket, of parameters with so many."""
    reducer = Reducer(Nobody())
    reducer.lay_out([Parameter(torch.empty(count, dtype=dtype)) for count in counts])
    return [[p.value.numel() for p in bucket.parameters] for bucket in reducer.buckets]


MIB = 2**18
"""Numbers in float32."""


def test_the_first_bucket_is_small_and_the_others_are_not():
    assert sizes(*[MIB // 2] * 5) == [[MIB // 2] * 2, [MIB // 2] * 3]
    assert sizes(*[3 * MIB] * 10) == [[3 * MIB], [3 * MIB] * 9]


def test_what_is_left_over_goes_with_the_bucket_before():
    assert sizes(MIB, 10) == [[MIB, 10]]
    assert sizes(MIB, MIB // 8) == [[MIB], [MIB // 8]]
    assert sizes(10) == [[10]]
    assert sizes() == []


def test_large_gradients_travel_alone_and_do_not_part_small_ones():
    assert sizes(8, 4 * MIB, 8, 5 * MIB, 8) == [[4 * MIB], [5 * MIB], [8, 8, 8]]
    assert sizes(8 * MIB, dtype=torch.bfloat16) == [[8 * MIB]]


def test_a_large_gradient_is_not_copied_and_not_kept():
    parameter, small = Parameter(torch.randn(4 * MIB)), Parameter(torch.randn(3))
    reducer = Reducer(Nobody())
    reducer.begin(SGD([parameter, small], lr=0.1), 1, True)
    assert reducer.overlaps
    grads = parameter.grad, small.grad = torch.randn(4 * MIB), torch.randn(3)
    reducer.tell([parameter, small])
    alone, together = reducer.buckets
    assert alone.grad(parameter).data_ptr() == grads[0].data_ptr()
    assert together.grad(small).data_ptr() != grads[1].data_ptr()
    torch.testing.assert_close(together.grad(small), grads[1], rtol=0, atol=0)
    reducer.release()
    assert alone._flat is None


def test_half_precision_is_added_up_in_float32_even_if_it_is_large():
    parameter = Parameter(torch.randn(4 * MIB).bfloat16())
    reducer = Reducer(Nobody())
    reducer.begin(SGD([parameter], lr=0.1), 1, True)
    parameter.grad = torch.randn(4 * MIB).bfloat16()
    reducer.tell([parameter])
    (bucket,) = reducer.buckets
    assert bucket.flat.dtype is torch.float32
    assert bucket.grad(parameter).dtype is torch.bfloat16


def test_a_large_gradient_in_mixed_precision_is_added_up_in_float32():
    parameter = Parameter(torch.randn(4 * MIB))
    reducer = Reducer(Nobody())
    reducer.begin(SGD([parameter], lr=0.1), 1, True)
    own, grad = parameter.value, torch.randn(4 * MIB).bfloat16()
    parameter.value, parameter.grad = own.bfloat16(), grad  # as within a step
    reducer.tell([parameter])
    parameter.value = own
    (bucket,) = reducer.buckets
    assert bucket.flat.dtype is torch.float32
    torch.testing.assert_close(bucket.grad(parameter), grad.float(), rtol=0, atol=0)


def stepped(*counts, dtype=torch.float32):
    """The numbers of each message of a step, beside those of the totals if they are alone, and what they told."""
    processes = Nobody()
    reducer = Reducer(processes)
    parameters = [Parameter(torch.randn(count, dtype=dtype)) for count in counts]
    reducer.begin(SGD(parameters, lr=0.1), 1, True)
    expected = []
    for p in parameters:
        p.grad = torch.randn(p.value.shape, dtype=dtype)
        expected.append(p.grad / 3)
    told = reducer.finish(torch.tensor(0.1, dtype=dtype), 3, failed=False, mean=True)
    for p, grad in zip(parameters, expected, strict=True):
        torch.testing.assert_close(p.grad, grad)
    return processes.messages, told


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_totals_travel_with_the_last_bucket(dtype):
    (length,), told = stepped(8, 9, dtype=dtype)
    assert length == 8 + 9 + room_for(2, 1, dtype)
    assert told == (torch.tensor(0.1, dtype=dtype).item(), 3, False)
    first, last = stepped(MIB, MIB, dtype=dtype)[0]
    assert (first, last) == (MIB, MIB + room_for(2, 1, dtype))


@pytest.mark.parametrize(("counts", "dtype"), [([4 * MIB], torch.float32), ([8], torch.complex64)])
def test_the_totals_travel_alone_where_the_last_bucket_has_no_room(counts, dtype):
    messages, told = stepped(*counts, dtype=dtype)
    assert messages == [*counts, room_for(1, 1, torch.float64)]
    assert told[1:] == (3, False)


def test_in_what_no_process_has_a_gradient_for_nothing_is_left():
    parameters = [Parameter(torch.randn(3)), Parameter(torch.randn(2))]
    reducer = Reducer(Nobody())
    reducer.begin(SGD(parameters, lr=0.1), 1, True)
    parameters[1].grad = torch.randn(2)
    assert reducer.finish(0.0, 0, failed=True, mean=True)[2]
    assert [p.grad for p in parameters] == [None, None]
