"""Means and variances of every kind, also in layers that take their channels from the first input."""

import torch
from drawn_cases.case import Case, dimensions, of_dimensions, several, strategy
from hypothesis import strategies as st

EPS = st.sampled_from([1e-5, 0.1])


def spread(*shape):
    """Numbers whose mean is not 0 and whose variance is not 1."""
    return 2 * torch.randn(shape, dtype=torch.float64) + 1


@strategy("LayerNorm", "RMSNorm")
def of_last_axes(draw, name):
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=2))
    arguments = {
        "normalized_shape": sizes[0] if len(sizes) == 1 and draw(st.booleans()) else sizes,
        "elementwise_affine": draw(st.booleans()),
        "eps": draw(st.sampled_from([None, 1e-5, 0.1]) if name == "RMSNorm" else EPS),
    }
    if name == "LayerNorm":
        arguments["bias"] = draw(st.booleans())
    return Case(arguments, (spread(*draw(st.lists(st.integers(0, 3), max_size=2)), *sizes),))


@strategy("GroupNorm")
def of_groups(draw, name):
    groups = draw(st.integers(1, 3))
    channels = groups * draw(st.integers(1, 2))
    arguments = {"num_groups": groups, "num_channels": channels, "eps": draw(EPS)}
    arguments |= {"affine": draw(st.booleans()), "bias": draw(st.booleans())}
    sizes = draw(st.lists(st.integers(2, 3), max_size=3))
    return Case(arguments, (spread(draw(st.integers(0, 3)), channels, *sizes),))


@strategy("LocalResponseNorm", "CrossMapLRN2d")
def of_neighbours(draw, name):
    arguments = {
        "size": draw(st.integers(1, 4)),
        "alpha": draw(st.sampled_from([1e-4, 2.0])),
        "beta": draw(st.sampled_from([0.75, 2.0])),
        "k": 1.5,
    }
    axes = 2 if name == "CrossMapLRN2d" else draw(st.integers(1, 3))
    return Case(arguments, (spread(draw(st.integers(0, 2)), draw(st.integers(1, 5)), *several(draw, axes, 1, 3)),))


@strategy(*of_dimensions("BatchNorm", "InstanceNorm", "LazyBatchNorm", "LazyInstanceNorm"), "SyncBatchNorm")
def of_channels(draw, name):
    arguments = {
        "eps": draw(EPS),
        "momentum": draw(st.sampled_from([0.1, 0.7, 0.0, None])),
        **{flag: draw(st.booleans()) for flag in ("affine", "track_running_stats", "bias")},
    }
    channels = draw(st.integers(1, 3))
    if not name.startswith("Lazy"):
        arguments["num_features"] = channels
    axes = draw(st.integers(0, 3)) if name == "SyncBatchNorm" else dimensions(name)
    sizes = several(draw, axes, 2, 4)
    if name.endswith("BatchNorm1d") and draw(st.booleans()):
        sizes = ()
    batches = {"B": [(1,), (3,), (0,)], "S": [(1,), (3,), (0,)], "I": [(), (1,), (3,)]}
    leading = draw(st.sampled_from(batches.get(name[0], [(1,), (3,)])))  # torch's lazy ones take rows only
    return Case(arguments, (spread(*leading, channels, *sizes),))
