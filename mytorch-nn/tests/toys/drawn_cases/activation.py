"""Functions of each number, and those along an axis."""

from drawn_cases.case import LEADING, Case, numbers, strategy
from hypothesis import strategies as st

number = st.floats(-2, 2, width=16)
positive = st.floats(0.125, 2, width=16)
ARGUMENTS = {
    "CELU": {
        "alpha": st.sampled_from([0.25, 0.5, 1.0, 2.0])
    },  # of others, torch's backward rounds 1 / alpha to float32
    "ELU": {"alpha": number},
    "GELU": {"approximate": st.sampled_from(["none", "tanh"])},
    "Hardshrink": {"lambd": positive},
    "Hardsigmoid": {},
    "Hardswish": {},
    "Hardtanh": {"min_val": st.floats(-2, 0, width=16), "max_val": positive},
    "LeakyReLU": {"negative_slope": number},
    "LogSigmoid": {},
    "Mish": {},
    "RReLU": {"lower": st.floats(0, 0.25, width=16), "upper": st.floats(0.25, 0.5, width=16)},
    "ReLU": {},
    "ReLU6": {},
    "SELU": {},
    "SiLU": {},
    "Sigmoid": {},
    "Softplus": {"beta": positive, "threshold": st.floats(1, 20, width=16)},
    "Softshrink": {"lambd": positive},
    "Softsign": {},
    "Tanh": {},
    "Tanhshrink": {},
    "Threshold": {"threshold": number, "value": number},
}
SHAPES = st.sampled_from([(), (3,), (4, 3), (2, 3, 4), (0, 3), (1, 1)])


@strategy(*ARGUMENTS)
def of_each_number(draw, name):
    arguments = {key: draw(values) for key, values in ARGUMENTS[name].items()}
    return Case(arguments, (3 * numbers(draw, *draw(SHAPES)),))


@strategy("PReLU")
def prelu(draw, name):
    shape = draw(st.sampled_from([(4, 3), (4, 3, 2), (2, 3, 2, 2), (5,), (), (0, 3), (1, 3)]))
    channels = shape[1] if len(shape) > 1 else 1
    return Case({"num_parameters": draw(st.sampled_from([1, channels]))}, (numbers(draw, *shape),))


@strategy("Softmax", "Softmin", "LogSoftmax", "GLU")
def along_an_axis(draw, name):
    shape = draw(st.lists(st.sampled_from([0, 1, 2, 4]), min_size=1, max_size=4))
    axis = draw(st.integers(0, len(shape) - 1))
    if name == "GLU":
        shape[axis] *= 2
    return Case({"dim": axis - len(shape) * draw(st.booleans())}, (3 * numbers(draw, *shape),))


@strategy("Softmax2d")
def softmax_over_channels(draw, name):
    return Case(inputs=(3 * numbers(draw, *draw(LEADING), 3, 2, 4),))
