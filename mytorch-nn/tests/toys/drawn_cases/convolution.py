"""Convolutions and transposed ones, also those that take their channels from the first input."""

import torch
from drawn_cases.case import LEADING, Case, dimensions, of_dimensions, one_or_several, several, strategy
from hypothesis import strategies as st

MODES = st.sampled_from(["zeros", "zeros", "reflect", "replicate", "circular"])


def channels_of(draw, name):
    """The arguments that say how many channels there are, and how many come in."""
    groups = draw(st.integers(1, 3))
    inner, outer = (groups * draw(st.integers(1, 2)) for _ in range(2))
    arguments = {} if name.startswith("Lazy") else {"in_channels": inner}
    return arguments | {"out_channels": outer, "groups": groups, "bias": draw(st.booleans())}, inner


@strategy(*of_dimensions("Conv", "LazyConv"))
def convolution(draw, name):
    axes, (arguments, channels) = dimensions(name), channels_of(draw, name)
    arguments |= {
        "kernel_size": one_or_several(draw, axes, 1, 3),
        "dilation": one_or_several(draw, axes, 1, 2),
        "padding_mode": draw(MODES),
    }
    if draw(st.booleans()):
        arguments["padding"] = draw(st.sampled_from(["same", "valid"]))
    else:
        arguments |= {"padding": one_or_several(draw, axes, 0, 2), "stride": one_or_several(draw, axes, 1, 3)}
    shape = (*draw(LEADING), channels, *several(draw, axes, 5, 6))
    return Case(arguments, (torch.randn(shape, dtype=torch.float64),))


@strategy(*of_dimensions("ConvTranspose", "LazyConvTranspose"))
def transposed(draw, name):
    axes, (arguments, channels) = dimensions(name), channels_of(draw, name)
    window, stride, dilation = (several(draw, axes, 1, high) for high in (3, 3, 2))
    padding, extra = (
        several(draw, axes, 0, 1),
        [draw(st.integers(0, max(*pair) - 1)) for pair in zip(stride, dilation, strict=True)],
    )
    arguments |= {"kernel_size": window, "stride": stride, "dilation": dilation, "padding": padding}
    sizes, options = several(draw, axes, 3, 4), {}
    if draw(st.booleans()):
        arguments["output_padding"] = tuple(extra)
    else:  # said by the size that the output has to have
        least = [
            (size - 1) * step - 2 * pad + spread * (span - 1) + 1
            for size, step, pad, spread, span in zip(sizes, stride, padding, dilation, window, strict=True)
        ]
        options["output_size"] = [size + more % step for size, more, step in zip(least, extra, stride, strict=True)]
    return Case(arguments, (torch.randn(*draw(LEADING), channels, *sizes, dtype=torch.float64),), options)
