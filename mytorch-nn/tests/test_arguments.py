"""Arguments drawn for every class of torch.nn: what torch refuses is refused by name, what it takes gives the same."""

import re
import warnings

import pytest
import torch
from drawn_arguments import NAMES, drawn_arguments, of_kind
from hypothesis import given
from hypothesis import strategies as st

from mytorch import nn
from mytorch.core import ArgumentError, MytorchError
from mytorch.testing.structure import tensors

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
WRONG = st.sampled_from(["no", 2.5, -3, None, (), (1, "a"), {}, object(), [0], True, torch.ones(2)])


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
