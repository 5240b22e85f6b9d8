"""Numbers that went to an accelerator are still looked at on the CPU: the meta device stands for one."""

import torch

from mytorch.core import keep_origin, readable


def test_the_numbers_of_a_moved_tensor_are_readable_and_no_others():
    origin = torch.tensor([1, 2, 9])
    moved = keep_origin(origin.to("meta"), origin)
    assert readable(origin) is origin
    assert readable(moved) is origin
    assert readable(origin.to("meta")) is None
    assert readable(moved[:2]) is None


def test_what_did_not_come_from_the_cpu_is_not_readable():
    there = torch.ones(3, device="meta")
    assert keep_origin(there, there) is there
    assert readable(keep_origin(torch.ones(3, device="meta"), there)) is None


def test_a_tensor_on_the_cpu_keeps_nothing():
    here = torch.ones(3)
    assert vars(keep_origin(here, here)) == {}
