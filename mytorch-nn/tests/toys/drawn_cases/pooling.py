"""Windows of which one number stays, and the way back."""

import torch
from drawn_cases.case import Case, dimensions, numbers, of_dimensions, several, strategy
from hypothesis import strategies as st

LEADING = st.sampled_from([(2,), (2, 3), (0, 3), (1, 1)])
"""Channels, with or without a batch."""
INF = float("inf")


@strategy(*of_dimensions("MaxPool", "AvgPool"))
def pooling(draw, name):
    axes = dimensions(name)
    window = several(draw, axes, 1, 3)
    arguments = {
        "kernel_size": window,
        "stride": draw(st.none() | st.just(several(draw, axes, 1, 3))),
        "padding": tuple(draw(st.integers(0, size // 2)) for size in window),
        "ceil_mode": draw(st.booleans()),
    }
    if name.startswith("Max"):
        arguments |= {"dilation": several(draw, axes, 1, 2), "return_indices": draw(st.booleans())}
    else:
        arguments["count_include_pad"] = draw(st.booleans())
        arguments |= {"divisor_override": draw(st.sampled_from([None, 2, -3]))} if axes > 1 else {}
    return Case(arguments, (numbers(draw, *draw(LEADING), *several(draw, axes, 5, 7)),))


@strategy(*of_dimensions("AdaptiveAvgPool", "AdaptiveMaxPool"))
def adaptive(draw, name):
    axes = dimensions(name)
    sizes = several(draw, axes, 1, 8)
    wanted = sizes[0] if axes == 1 else tuple(draw(st.sampled_from([size, None])) for size in sizes)
    arguments = {"output_size": wanted}
    if "Max" in name:
        arguments["return_indices"] = draw(st.booleans())
    return Case(arguments, (numbers(draw, *draw(LEADING), *several(draw, axes, 5, 7)),))


@strategy(*of_dimensions("LPPool"))
def powers(draw, name):
    axes = dimensions(name)
    p = draw(st.sampled_from([1.0, 2, 3.0, 1.5, 0.5, -1.0, INF, -INF]))
    arguments = {
        "norm_type": p,
        "kernel_size": draw(st.integers(1, 3)) if axes == 1 else several(draw, axes, 1, 3),
        "stride": draw(st.none() | st.just(several(draw, axes, 1, 3) if axes > 1 else 2)),
        "ceil_mode": draw(st.booleans()),
    }
    x = torch.randn(*draw(LEADING), *several(draw, axes, 4, 6)).double()
    if p not in (2, INF, -INF):
        x = x.abs() + 0.1  # powers of numbers below 0, and sums of them, need not be numbers
    return Case(arguments, (x,))


@strategy("FractionalMaxPool2d", "FractionalMaxPool3d")
def fractional(draw, name):
    axes = dimensions(name)
    arguments = {
        "kernel_size": draw(st.integers(1, 3) | st.just(several(draw, axes, 1, 3))),
        "return_indices": draw(st.booleans()),
    }
    if draw(st.booleans()):
        arguments["output_size"] = draw(st.integers(1, 4) | st.just(several(draw, axes, 1, 4)))
    else:
        ratio = st.floats(0.3, 0.6)
        arguments["output_ratio"] = draw(ratio | st.tuples(*(ratio,) * axes))
    leading = draw(st.sampled_from([(2,), (2, 3), (1, 1)]))
    return Case(arguments, (numbers(draw, *leading, *several(draw, axes, 7, 8)),))


@strategy(*of_dimensions("MaxUnpool"))
def unpooling(draw, name):
    """Places as a maximum pooling of the same geometry gives them, whose windows do not overlap."""
    axes = dimensions(name)
    window = several(draw, axes, 1, 3)
    stride = tuple(size + draw(st.integers(0, 1)) for size in window)
    arguments = {"kernel_size": window, "stride": draw(st.sampled_from([None, stride]))}
    arguments["padding"] = tuple(draw(st.integers(0, size // 2)) for size in window)
    leading = draw(st.sampled_from([(2,), (2, 3), (1, 1)]))
    pooled = torch.randn(*leading, *several(draw, axes, 3, 6))
    y, indices = getattr(torch.nn, f"MaxPool{axes}d")(**arguments, return_indices=True)(pooled)
    of_axes = len(leading) == 1 or draw(st.booleans())  # torch takes no (channels, ...)
    sizes = pooled.shape[-axes:] if of_axes else pooled.shape
    return Case(arguments, (torch.randn(y.shape).double(), indices), {"output_size": list(sizes)})
