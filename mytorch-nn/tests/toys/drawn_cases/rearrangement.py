"""The same numbers at other places."""

import math

from drawn_cases.case import LEADING, Case, numbers, one_or_several, several, strategy
from hypothesis import strategies as st

SIZES = st.integers(1, 3)


@strategy("PixelShuffle", "PixelUnshuffle")
def pixels(draw, name):
    factor, (channels, height, width) = draw(SIZES), several(draw, 3, 1, 3)
    leading = draw(st.sampled_from([(), (2,), (2, 2)]))
    if name == "PixelShuffle":
        return Case({"upscale_factor": factor}, (numbers(draw, *leading, channels * factor**2, height, width),))
    sizes = height * factor, width * factor
    return Case({"downscale_factor": factor}, (numbers(draw, *leading, channels, *sizes),))


@strategy("ChannelShuffle")
def channels(draw, name):
    groups, count = several(draw, 2, 1, 3)
    sizes = draw(st.lists(SIZES, min_size=1, max_size=3))
    return Case({"groups": groups}, (numbers(draw, draw(SIZES), groups * count, *sizes),))


@strategy("Fold", "Unfold")
def windows(draw, name):
    arguments = {
        "kernel_size": one_or_several(draw, 2, 1, 3),
        "dilation": one_or_several(draw, 2, 1, 2),
        "padding": one_or_several(draw, 2, 0, 2),
        "stride": one_or_several(draw, 2, 1, 3),
    }
    leading, channels, sizes = draw(LEADING), draw(SIZES), several(draw, 2, 5, 7)
    if name == "Unfold":
        return Case(arguments, (numbers(draw, *leading, channels, *sizes),))
    window, spread, pad, step = ((v, v) if isinstance(v, int) else v for v in arguments.values())
    count = math.prod((sizes[i] + 2 * pad[i] - spread[i] * (window[i] - 1) - 1) // step[i] + 1 for i in range(2))
    x = numbers(draw, *leading, channels * math.prod(window), count)
    return Case({"output_size": sizes, **arguments}, (x,))


@strategy("Flatten")
def flatten(draw, name):
    shape = draw(st.lists(st.integers(0, 3), max_size=4))
    axes = max(len(shape), 1)
    start = draw(st.integers(0, axes - 1))
    end = draw(st.integers(start, axes - 1))
    back = draw(st.booleans())
    return Case({"start_dim": start - axes * back, "end_dim": end - axes * back}, (numbers(draw, *shape),))


@strategy("Unflatten")
def unflatten(draw, name):
    before, after = draw(LEADING), draw(st.sampled_from([(), (2,)]))
    sizes = draw(st.lists(SIZES, min_size=1, max_size=3))
    x = numbers(draw, *before, math.prod(sizes), *after)
    if draw(st.booleans()):
        sizes[draw(st.integers(0, len(sizes) - 1))] = -1
    return Case({"dim": draw(st.sampled_from([len(before), -1 - len(after)])), "unflattened_size": tuple(sizes)}, (x,))
