"""Values around an input, or fewer of its own."""

from drawn_cases.case import Case, dimensions, numbers, of_dimensions, strategy
from hypothesis import strategies as st


@strategy(*of_dimensions("ConstantPad", "ZeroPad", "ReflectionPad", "ReplicationPad", "CircularPad"))
def padding(draw, name):
    axes = dimensions(name)
    sizes = draw(st.lists(st.integers(1, 5), min_size=axes, max_size=axes))
    leading = draw(st.sampled_from([(2,), (2, 3), (0, 3), (1, 1)]))
    circular, around = name.startswith("Circular"), []
    for size in reversed(sizes):
        most = {"Reflection": size - 1, "Circular": size}.get(name[:-5], 4)
        before = draw(st.integers(1 - size, most))
        least = max(before - size if circular else 1 - size, 1 - size - before)
        around += [before, draw(st.integers(least, most + (min(before, 0) if circular else 0)))]
    arguments = {"padding": tuple(around)}
    if name.startswith("Constant"):
        arguments["value"] = draw(st.floats(-2, 2, width=16))
    return Case(arguments, (numbers(draw, *leading, *sizes),))
