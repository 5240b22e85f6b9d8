import math

import pytest
import torch

from mytorch.core import ArgumentError, Module, Parameter
from mytorch.nn import BatchNorm1d, Linear, ReLU, Sequential, initialize
from mytorch.plugins import UnknownNameError

INIT = torch.nn.init
DRAWS = [
    ("xavier_uniform", {}, lambda w: INIT.xavier_uniform_(w)),
    ("xavier_uniform", {"gain": 2.0}, lambda w: INIT.xavier_uniform_(w, 2.0)),
    ("kaiming_normal", {}, lambda w: INIT.kaiming_normal_(w)),
    ("kaiming_normal", {"mode": "fan_out"}, lambda w: INIT.kaiming_normal_(w, mode="fan_out")),
    ("kaiming_normal", {"nonlinearity": "relu"}, lambda w: INIT.kaiming_normal_(w, nonlinearity="relu")),
    ("kaiming_uniform", {"a": 0.5}, lambda w: INIT.kaiming_uniform_(w, a=0.5)),
]


def net():
    return Sequential(Linear(30, 50), BatchNorm1d(50), ReLU(), Sequential(Linear(50, 20)))


def spoiled():
    module = net()
    for parameter in module.param():
        parameter.value.fill_(7.0)
    return module


@pytest.mark.parametrize(("name", "options", "draw"), DRAWS)
@pytest.mark.parametrize("generator", [None, torch.Generator()], ids=["global", "generator"])
def test_weights_as_torch_biases_zero_norms_reset(name, options, draw, generator):
    ours = spoiled()
    (generator or torch.random).manual_seed(5)
    initialize(ours, name, generator, **options)
    torch.manual_seed(5)
    state = ours.state_dict()
    for path in ("0", "3.0"):
        assert torch.equal(state[f"{path}.weight"], draw(torch.empty_like(state[f"{path}.weight"])))
        assert not state[f"{path}.bias"].any()
    assert torch.equal(state["1.weight"], torch.ones(50))
    assert torch.equal(state["1.bias"], torch.zeros(50))


def test_xavier_normal_draws_biases_too():
    layer = Linear(300, 500)
    initialize(layer, "xavier_normal", torch.Generator().manual_seed(0))
    deviation = math.sqrt(2 / 800)
    torch.testing.assert_close(layer.weight.value.std().item(), deviation, rtol=0.02, atol=0)
    torch.testing.assert_close(layer.bias.value.std().item(), deviation, rtol=0.1, atol=0)
    assert abs(layer.bias.value.mean()) < 4 * deviation / math.sqrt(500)
    narrow = layer.bias.value.clone()
    initialize(layer, "xavier_normal", torch.Generator().manual_seed(0), gain=3.0)
    torch.testing.assert_close(layer.bias.value, 3 * narrow)


def test_default_is_what_the_constructor_draws():
    ours = spoiled()
    initialize(ours, "default", torch.Generator().manual_seed(1))
    torch.manual_seed(1)
    for name, value in net().state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name


@pytest.mark.parametrize(("name", "options", "value"), [("zeros", {}, 0.0), ("constant", {"value": 1e-6}, 1e-6)])
def test_one_number_for_every_parameter(name, options, value):
    ours = spoiled()
    initialize(ours, name, **options)
    for parameter in ours.param():
        assert torch.equal(parameter.value, torch.full_like(parameter.value, value))


def test_a_layer_without_reset_parameters_keeps_its_values():
    class Scale(Module):
        def __init__(self) -> None:
            self.gain = Parameter(torch.ones(3))

    layer = Scale()
    for name in ("default", "xavier_normal"):
        initialize(layer, name)
        assert torch.equal(layer.gain.value, torch.ones(3))


def test_the_tensors_stay_the_same_objects():
    layer = Linear(2, 3)
    before = layer.weight.value
    with torch.inference_mode():
        initialize(layer, "xavier_normal")
    assert layer.weight.value is before
    assert not before.is_inference()


@pytest.mark.parametrize(
    ("name", "options", "error", "text"),
    [
        (
            "xavier",
            {},
            UnknownNameError,
            "initializer: 'xavier' is not installed. Nearest: xavier_normal, xavier_uniform.",
        ),
        ("zeros", {"value": 1.0}, ArgumentError, "initialize: zeros has no option 'value'. There are none."),
        (
            "xavier_normal",
            {"gian": 1.0},
            ArgumentError,
            "initialize: xavier_normal has no option 'gian'. Nearest: gain.",
        ),
        ("constant", {}, ArgumentError, "initialize: constant must be given a value, got none; write value=..."),
    ],
)
def test_bad_names_and_options(name, options, error, text):
    layer = Linear(2, 3)
    before = layer.weight.value.clone()
    with pytest.raises(error) as caught:
        initialize(layer, name, **options)
    assert str(caught.value) == text
    assert torch.equal(layer.weight.value, before)
