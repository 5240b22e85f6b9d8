"""The same numbers at other places in memory."""

import torch


def any_axis(leaf):
    return int(torch.randint(leaf.dim(), ()))


def contiguous(leaf):
    return leaf


def transposed(leaf):
    axes = torch.randperm(leaf.dim()).tolist()
    return leaf.permute(axes).contiguous().permute(torch.tensor(axes, dtype=torch.int64).argsort().tolist())


def sliced(leaf):
    """Every second number of a tensor that is twice as long, but for the first."""
    if not leaf.dim():
        return leaf
    axis = any_axis(leaf)
    return leaf.repeat_interleave(2, axis).unflatten(axis, (-1, 2)).select(axis + 1, 1)


def expanded(leaf):
    """The first number along an axis, as often as there are numbers."""
    if not leaf.dim():
        return leaf
    return leaf.narrow(axis := any_axis(leaf), 0, min(1, leaf.shape[axis])).expand_as(leaf)
