"""Arguments and inputs drawn for every class of torch.nn: what torch takes gives the same output, gradients and state
in float64 and in float32, what it refuses is refused by name."""

import re
import warnings
from dataclasses import replace

import layouts
import pytest
import torch
from agreement import (
    converted,
    differentiable,
    forward,
    leaves,
    mapped,
    require_agreement,
    share_random_state,
    twin_backward,
    twin_forward,
    upstream,
)
from drawn_arguments import DIFFERS, NAMES, PARTS, drawn_arguments, of_kind, replaced
from drawn_cases.case import Case
from drawn_cases.every_class import STRATEGIES
from hypothesis import assume, given
from hypothesis import strategies as st

from mytorch import nn
from mytorch.core import ArgumentError, MytorchError

WITHOUT_FORWARD = {"ModuleDict", "ModuleList"}
"""They hold layers, and torch's have no forward."""
NO_GRADIENT = "torch has an output of size 0 and refuses its gradient"
TAKES_MORE = {
    "LPPool1d": "a window may be a tuple of one number, as in every pooling",
    **{f"Adaptive{kind}Pool{axes}d": NO_GRADIENT for kind in ("Avg", "Max") for axes in (1, 2, 3)},
}
NO_CHANNELS = "torch asks for num_features or num_channels only where there are weights or statistics"
TAKES_LESS = {
    **{f"{kind}Norm{axes}d": NO_CHANNELS for kind in ("Batch", "Instance") for axes in (1, 2, 3)},
    **dict.fromkeys(("GroupNorm", "SyncBatchNorm"), NO_CHANNELS),
    **{f"CircularPad{axes}d": "torch cuts off what is not there" for axes in (1, 2, 3)},
    **{f"{kind}Pad{axes}d": "torch's leaves nothing" for kind in ("Reflection", "Replication") for axes in (1, 2, 3)},
    "LSTM": "in float32, torch takes packed sequences of other than input_size features",
}
DRAW = {
    *("AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout", "RReLU"),
    *("GRU", "LSTM", "MultiheadAttention", "RNN", "Sequential"),
    *("Transformer", "TransformerDecoder", "TransformerDecoderLayer", "TransformerEncoder", "TransformerEncoderLayer"),
}
"""Classes that may draw for a tensor, in the order in which it lies in memory, so that torch's are given the same one.
The others of torch are given contiguous inputs, since some of its kernels read others wrongly."""
TOLERANCE = {torch.float64: {"rtol": 1e-9, "atol": 1e-9}, torch.float32: {}}
"""In float32 that of torch.testing."""
AMPLIFY = {name for name in DRAW if name.startswith("Transformer")}
"""Classes of so many layers, one after the other, that it is seen in float32 that torch adds in another order."""
FORMS = st.sampled_from([layouts.contiguous, layouts.transposed, layouts.sliced])
WRONG = st.sampled_from(["no", 2.5, -3, None, (), (1, "a"), {}, object(), [0], True, torch.ones(2)])
INSIDE = "TransformerEncoderLayer|ModuleList|MultiheadAttention"
"""Classes that refuse what is given to one that holds them."""


class AcrossChannels(torch.nn.Module):
    """The formula of CrossMapLRN2d, whose docstring says where torch's class differs from it."""

    def __init__(self, size, alpha=1e-4, beta=0.75, k=1.0):
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x):
        half = (self.size - 1) // 2
        sums = [(x[:, max(0, c - half) : c + half + 1] ** 2).sum(1, keepdim=True) for c in range(x.shape[1])]
        return x / (self.k + self.alpha / self.size * torch.cat(sums, 1)) ** self.beta


TWINS = {"CrossMapLRN2d": AcrossChannels}


def attempt(function, *inputs):
    """What a function gives, or the error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's
            return function(*inputs)
    except Exception as error:
        return error


def built(name, case, home, dtype, training):
    """A module of mytorch.nn or torch.nn, or the error."""
    cls = TWINS[name] if home is torch.nn and name in TWINS else getattr(home, name)
    module = attempt(lambda: case.make(home) if case.make else cls(**case.arguments))
    return module if isinstance(module, Exception) else module.to(dtype).train(training)


def ran(function, module, *inputs):
    """What a forward gives, or the error of the module or of its forward."""
    return module if isinstance(module, Exception) else attempt(function, module, *inputs)


def require_refusal_by_name(name, error):
    """It is one of ours and names the class, or one of those inside."""
    assert isinstance(error, MytorchError), f"{type(error).__name__}: {error}"
    assert re.match(rf"{name.removeprefix('Lazy')}|{name}|{INSIDE}", str(error)), error


def tolerance(name, dtype):
    return {"rtol": 1e-4, "atol": 1e-5} if name in AMPLIFY and dtype is torch.float32 else TOLERANCE[dtype]


def with_shapes(function, module, inputs, options):
    """A lazy module after its first forward, or the error."""
    first = ran(function, module, inputs, options)
    return first if isinstance(first, Exception) else module


def compared(name, case, dtype, training, d_form=layouts.contiguous, unused=()):
    """The error of ours and that of torch's, or None; where there is none, they agree in all numbers."""
    ours, twin = (built(name, case, home, dtype, training) for home in (nn, torch.nn))
    inputs, options = converted(case.inputs, dtype), converted(case.options, dtype)
    its_inputs = inputs if name in DRAW else mapped(contiguous, inputs)
    if name.startswith("Lazy"):
        ours = with_shapes(forward, ours, inputs, options)
        twin = with_shapes(twin_forward, twin, its_inputs, options)
    if not isinstance(ours, Exception) and not isinstance(twin, Exception):
        share_random_state(ours, twin)
    found, theirs = ran(forward, ours, inputs, options), ran(twin_forward, twin, its_inputs, options, case.targets)
    errors = [each if isinstance(each, Exception) else None for each in (found, theirs)]
    if errors[0]:
        require_refusal_by_name(name, errors[0])
    if errors == [None, None]:
        d_output = upstream(found[0], d_form, unused if several_outputs(found[0]) else ())
        errors[1] = attempt(twin_backward, twin, theirs[0], d_output)
    if errors == [None, None]:
        require_agreement(ours, twin, theirs, found, d_output, tolerance(name, dtype), case.targets)
    return errors


def contiguous(leaf):
    return leaf.contiguous() if differentiable(leaf) else leaf


def several_outputs(output):
    return sum(map(differentiable, leaves(output))) > 1


def test_every_class_of_torch_has_a_strategy():
    assert STRATEGIES.keys() == PARTS.keys() - WITHOUT_FORWARD
    assert all(getattr(torch.nn, name).forward is torch.nn.Module.forward for name in WITHOUT_FORWARD)


@pytest.mark.parametrize("name", STRATEGIES)
@given(data=st.data())
def test_as_torch(name, data):
    """Inputs that torch takes: also non-contiguous, empty, without a batch and with masks; some outputs are unused."""
    case, training = data.draw(STRATEGIES[name]), data.draw(st.booleans())
    d_form, unused = data.draw(FORMS | st.just(layouts.expanded)), data.draw(st.sets(st.integers(0, 2), max_size=2))
    form = data.draw(FORMS if name != "RReLU" else st.just(layouts.contiguous))  # torch's draws in another order
    case = replace(case, inputs=mapped(lambda leaf: form(leaf) if differentiable(leaf) else leaf, case.inputs))
    for dtype in TOLERANCE:
        ours, theirs = compared(name, case, dtype, training, d_form, unused)
        assert (ours is None) is (theirs is None), (case, ours, theirs)
        assume(theirs is None)  # of a strategy that draws too little that torch takes, hypothesis complains


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_arguments_of_their_kind(name, data):
    """One or two arguments are replaced by others of their kind, which torch takes or refuses."""
    case = data.draw(STRATEGIES[name])
    arguments = replaced(data, name, case.arguments, of_kind) | DIFFERS.get(name, {})
    case = replace(case, arguments=arguments)
    ours, theirs = compared(name, case, data.draw(st.sampled_from([*TOLERANCE])), data.draw(st.booleans()))
    if theirs:
        assert ours or name in TAKES_MORE, (case, theirs)
    elif ours:
        assert isinstance(ours, ArgumentError) or name in TAKES_LESS, (case, ours)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_arguments_of_another_kind(name, data):
    arguments, inputs, options = drawn_arguments(data, name, lambda _: WRONG)
    ours = built(name, Case(arguments), nn, torch.float64, True)
    found = ran(forward, ours, inputs, options)
    if isinstance(found, Exception):
        require_refusal_by_name(name, found)
