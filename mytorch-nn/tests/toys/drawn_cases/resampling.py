"""Images of another size."""

from drawn_cases.case import Case, numbers, several, strategy
from hypothesis import strategies as st

AXES = {
    "nearest": (1, 2, 3),
    "nearest-exact": (1, 2, 3),
    "linear": (1,),
    "bilinear": (2,),
    "bicubic": (2,),
    "trilinear": (3,),
}


@strategy("Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d")
def upsample(draw, name):
    arguments, axes = {}, 2
    if name == "Upsample":
        arguments["mode"] = mode = draw(st.sampled_from(sorted(AXES)))
        axes = draw(st.sampled_from(AXES[mode]))
        if not mode.startswith("nearest"):
            arguments["align_corners"] = draw(st.sampled_from([None, True, False]))
    if draw(st.booleans()):
        arguments["size"] = draw(st.integers(1, 7) | st.tuples(*(st.integers(1, 7),) * axes))
    else:
        factor = st.floats(0.5, 3, width=16)
        arguments["scale_factor"] = draw(factor | st.tuples(*(factor,) * axes) | st.just(2))
        if name == "Upsample":
            arguments["recompute_scale_factor"] = draw(st.sampled_from([None, True, False]))
    leading = draw(st.sampled_from([(2, 3), (0, 2), (1, 1)]))
    return Case(arguments, (numbers(draw, *leading, *several(draw, axes, 2, 4)),))
