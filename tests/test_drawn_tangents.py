"""Arguments and inputs drawn for every class of torch.nn that states its tangents: they are those of torch's double
backward, in float64."""

import warnings
from dataclasses import replace

import pytest
import torch

hypothesis = pytest.importorskip("hypothesis")
from agreement import converted, share_random_state  # noqa: E402
from double_backward import Moves, is_floating, mapped, of_tensors, require_wanted, wanted_of  # noqa: E402
from drawn_cases.every_class import STRATEGIES  # noqa: E402
from hypothesis import assume, given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from mytorch import nn  # noqa: E402
from mytorch.core import MytorchError, states_tangents  # noqa: E402

pytestmark = pytest.mark.numbers
NO_SECOND = "torch's kernel has no second derivative"
LEFT_OUT = {
    **dict.fromkeys(("EmbeddingBag", "Hardsigmoid", "MultiMarginLoss", "MultiLabelMarginLoss"), NO_SECOND),
    "CTCLoss": "it states none",
    "CrossMapLRN2d": "torch's docstring says where its class differs",
    "Embedding": "torch's second backward forgets scale_grad_by_freq, and the change of a row for padding",
}
AT_ZERO = ("CELU", "ELU", "PReLU", "SELU")
"""At 0, their backward is that of the left side, and torch's second one that of the right."""
WITHIN = {"rtol": 1e-7, "atol": 1e-8}
UNKNOWN = ("is not implemented", "is not supported", "cannot reshape tensor of 0 elements")
"""In errors of torch, for what it cannot go back through twice."""


class InTheirOrder(torch.nn.Module):
    """torch's GaussianNLLLoss takes the variance behind the target."""

    def __init__(self, loss):
        super().__init__()
        self.loss = loss

    def forward(self, prediction, var, target):
        return self.loss(prediction, target, var)


def built(name, case, home, training):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's
        module = case.make(home) if case.make else getattr(home, name)(**case.arguments)
    return module.double().train(training)


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name not in LEFT_OUT and not name.startswith("Lazy")])
@given(data=st.data())
def test_the_change_is_that_of_torch_s_double_backward(name, data):
    case, training = data.draw(STRATEGIES[name]), data.draw(st.booleans())
    if name in AT_ZERO:
        case = replace(case, inputs=mapped(lambda leaf: leaf + 0.01, case.inputs))
    ours, theirs = (built(name, case, home, training) for home in (nn, torch.nn))
    if not all(map(states_tangents, ours.modules())):
        pytest.skip("it does not state them")
    share_random_state(ours, theirs)
    inputs, options = mapped(lambda leaf: leaf.contiguous() if is_floating(leaf) else leaf, case.inputs), case.options
    asked = len(inputs) - case.targets
    t_inputs = tuple(
        mapped(
            lambda leaf, moves=number < asked: torch.randn_like(leaf) if moves and is_floating(leaf) else None, each
        )
        for number, each in enumerate(inputs)
    )
    values = {key: value.detach().clone() for key, value in theirs.named_parameters()}
    t_values = {key: torch.randn_like(value) for key, value in values.items()}
    moves = Moves(inputs, converted(options, torch.float64), t_inputs, values, t_values)
    theirs = InTheirOrder(theirs) if name == "GaussianNLLLoss" else theirs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            output = ours(*inputs, **moves.options)
        except MytorchError:
            assume(False)  # it refuses these inputs
        assume(all(each.isfinite().all() for each in of_tensors(output)))  # no mean of nothing
        try:
            wanted = wanted_of(theirs, moves)
        except (ValueError, RuntimeError) as error:
            assume(not isinstance(error, ValueError) and not any(text in str(error) for text in UNKNOWN))
            raise
        require_wanted(ours, wanted, moves, WITHIN)
