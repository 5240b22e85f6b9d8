"""Arguments drawn for every class of torch.nn: what torch refuses is refused by name, what it takes gives the same."""

import inspect
import re
import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mytorch import nn
from mytorch.core import ArgumentError, MytorchError
from mytorch.plugins import catalogue
from mytorch.testing.inputs import drawn
from mytorch.testing.installed.declarations import Told, declarations
from mytorch.testing.structure import is_floating, mapped, tensors

PARTS = {
    part.name: part
    for kind in ("layer", "loss")
    for part in catalogue().of_kind(kind)
    if part.distribution == "mytorch-nn" and hasattr(torch.nn, part.name)
}
CONTAINERS = ("ModuleDict", "ModuleList", "Sequential", "TransformerDecoder", "TransformerEncoder")
NOT_DRAWN = ("device", "dtype", "generator", "batch_chunk_size")


def shared_arguments(name):
    """The arguments that torch's class has, too."""
    theirs = inspect.signature(getattr(torch.nn, name)).parameters
    ours = inspect.signature(getattr(nn, name)).parameters
    return [each for each in ours if each in theirs or "kwargs" in theirs or "args" in theirs]


NAMES = [name for name in PARTS if name not in CONTAINERS and set(shared_arguments(name)) - set(NOT_DRAWN)]
TAKES_MORE = {"LPPool1d": "a window may be a tuple of one number, as in every pooling"}
TAKES_LESS = {
    **dict.fromkeys(("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"), "torch warns of another num_features"),
    **dict.fromkeys(("CircularPad1d", "CircularPad2d", "CircularPad3d"), "torch cuts off what is not there"),
}
DRAWS = {
    *("AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout", "RReLU"),
    *("FractionalMaxPool2d", "FractionalMaxPool3d"),
    "CrossMapLRN2d",  # whose docstring says how torch's differs from its formula
}
whole, real = st.integers(-2, 6), st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0, 1.5, 3.0, float("inf"), float("nan")])
several = st.lists(st.integers(-1, 4), min_size=0, max_size=4).map(tuple)
VALUES = {"bool": st.booleans(), "int": whole, "float": real, "Sequence": several, "str": st.sampled_from(["no", ""])}
WRONG = st.sampled_from(["no", 2.5, -3, None, (), (1, "a"), {}, object(), [0], True, torch.ones(2)])


def of_kind(annotation):
    """Values of the kinds that an annotation names."""
    kinds = [values for kind, values in VALUES.items() if kind in str(annotation)]
    return st.one_of(*kinds) if kinds else st.none()


def example(name):
    """The arguments, inputs and options with which the kit checks a part."""
    _, declaration = next(iter(declarations(PARTS[name], Told())))
    factory, *inputs = declaration.check.args
    options = declaration.check.keywords.get("options") or {}
    inputs = mapped(drawn(tuple(inputs), 0), lambda leaf: leaf.double() if is_floating(leaf) else leaf)
    return factory().arguments(), inputs, options


def drawn_arguments(data, name, values):
    """Those of the example, one or two of them replaced."""
    arguments, inputs, options = example(name)
    parameters = inspect.signature(getattr(nn, name)).parameters
    known = shared_arguments(name)
    names = [each for each in known if each not in NOT_DRAWN]
    for chosen in data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True)):
        arguments[chosen] = data.draw(values(parameters[chosen].annotation))
    return {each: value for each, value in arguments.items() if each in known}, inputs, options


def ran(module, inputs, options):
    """What a module gives, or the error."""
    torch.manual_seed(0)
    try:
        return module(*inputs, **options)
    except Exception as error:
        return error


def built(make, training):
    """A module in float64, or the error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make().double().train(training)
    except Exception as error:
        return error


def outcome(name, module, inputs, options):
    """What our module gives, or the error, which must be one of ours and say whose it is."""
    found = module if isinstance(module, Exception) else ran(module, inputs, options)
    if isinstance(found, Exception):
        assert isinstance(found, MytorchError), f"{type(found).__name__}: {found}"
        assert re.match(rf"{name.removeprefix('Lazy')}|{name}|TransformerEncoderLayer|ModuleList", str(found)), found
    return found


def twin_outcome(name, arguments, ours, inputs, options, training):
    """What torch's module with the same weights gives, or the error."""
    twin = built(lambda: getattr(torch.nn, name)(**arguments), training)
    if isinstance(twin, Exception):
        return twin
    inputs = (inputs[0], inputs[2], inputs[1]) if name == "GaussianNLLLoss" else inputs
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if not isinstance(ours, Exception) and not name.startswith("Lazy"):
            twin.load_state_dict(ours.state_dict())
        return ran(twin, inputs, options)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_arguments_of_their_kind(name, data):
    arguments, inputs, options = drawn_arguments(data, name, of_kind)
    training = data.draw(st.booleans())
    ours = built(lambda: getattr(nn, name)(**arguments), training)
    theirs = twin_outcome(name, arguments, ours, inputs, options, training)
    found = outcome(name, ours, inputs, options)
    if isinstance(theirs, Exception):
        assert isinstance(found, Exception) or name in TAKES_MORE, (arguments, theirs)
    elif isinstance(found, Exception):
        assert isinstance(found, ArgumentError) or name in TAKES_LESS, (arguments, found)
    elif name not in DRAWS and not name.startswith("Lazy") and not (training and arguments.get("dropout")):
        torch.testing.assert_close(leaves(found), leaves(theirs), rtol=1e-9, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_arguments_of_another_kind(name, data):
    arguments, inputs, options = drawn_arguments(data, name, lambda _: WRONG)
    outcome(name, built(lambda: getattr(nn, name)(**arguments), True), inputs, options)


def leaves(output):
    return list(tensors(output, "").values())
