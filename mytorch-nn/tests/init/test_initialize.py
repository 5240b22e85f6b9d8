import math

import pytest
import torch

from mytorch.core import ArgumentError, Module, Parameter, ShapeError, UninitializedError
from mytorch.nn import (
    BatchNorm1d,
    Conv2d,
    LazyLinear,
    Linear,
    MultiheadAttention,
    ReLU,
    Sequential,
    TransformerDecoderLayer,
    initialize,
    initialize_where,
)
from mytorch.plugins import UnknownNameError

INIT = torch.nn.init
DRAWS = [
    ("xavier_uniform", {}, lambda w: INIT.xavier_uniform_(w)),
    ("xavier_uniform", {"gain": 2.0}, lambda w: INIT.xavier_uniform_(w, 2.0)),
    ("kaiming_normal", {}, lambda w: INIT.kaiming_normal_(w)),
    ("kaiming_normal", {"mode": "fan_out"}, lambda w: INIT.kaiming_normal_(w, mode="fan_out")),
    ("kaiming_normal", {"nonlinearity": "relu"}, lambda w: INIT.kaiming_normal_(w, nonlinearity="relu")),
    ("kaiming_uniform", {"a": 0.5}, lambda w: INIT.kaiming_uniform_(w, a=0.5)),
    ("normal", {"std": 0.02}, lambda w: INIT.normal_(w, std=0.02)),
    ("uniform", {"a": -1.0}, lambda w: INIT.uniform_(w, a=-1.0)),
    ("trunc_normal", {"std": 0.5, "b": 0.3}, lambda w: INIT.trunc_normal_(w, std=0.5, b=0.3)),
    ("orthogonal", {"gain": 2.0}, lambda w: INIT.orthogonal_(w, 2.0)),
    ("sparse", {"sparsity": 0.3}, lambda w: INIT.sparse_(w, 0.3)),
    ("eye", {}, INIT.eye_),
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
    if name == "sparse" and generator is not None:
        return  # torch draws the places of the zeros from its own generator
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


@pytest.mark.parametrize(
    "make", [lambda: MultiheadAttention(4, 2, add_bias_kv=True), lambda: TransformerDecoderLayer(4, 2, 8)]
)
def test_default_of_a_layer_that_resets_what_it_holds(make):
    """Attention sets the bias of its last projection to 0, which that would draw by itself."""
    torch.manual_seed(1)
    net, again = make(), make()
    torch.manual_seed(1)
    initialize(again, "default")
    for name, value in net.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name


def test_default_is_what_the_constructor_draws():
    ours = spoiled()
    initialize(ours, "default", torch.Generator().manual_seed(1))
    torch.manual_seed(1)
    for name, value in net().state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name


@pytest.mark.parametrize(
    ("name", "options", "value"), [("zeros", {}, 0.0), ("ones", {}, 1.0), ("constant", {"val": 1e-6}, 1e-6)]
)
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
        ("default", {"gain": 1.0}, ArgumentError, "initialize: default has no option 'gain'. There are none."),
        ("zeros", {"value": 1.0}, ArgumentError, "initialize: zeros has no option 'value'. There are none."),
        (
            "xavier_normal",
            {"gian": 1.0},
            ArgumentError,
            "initialize: xavier_normal has no option 'gian'. Nearest: gain.",
        ),
        ("constant", {}, ArgumentError, "initialize: constant must be given a val, got none; write val=..."),
    ],
)
def test_bad_names_and_options(name, options, error, text):
    layer = Linear(2, 3)
    before = layer.weight.value.clone()
    with pytest.raises(error) as caught:
        initialize(layer, name, **options)
    assert str(caught.value) == text
    assert torch.equal(layer.weight.value, before)


def test_a_parameter_that_an_initialiser_does_not_fit_is_named():
    layer = Sequential(Linear(2, 3))
    with pytest.raises(ShapeError, match=r"dirac_: tensor must have 3 or 4 or 5 axes, got 2 in \(3, 2\)") as caught:
        initialize(layer, "dirac")
    assert caught.value.__notes__ == ["at parameter '0.weight'"]


# Some layers, some parameters


def branched():
    return Sequential(Conv2d(2, 4, 3), Sequential(Linear(4, 4), ReLU()), Linear(4, 2, bias=False))


def changed_by(rules, **where):
    net = branched()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    initialize_where(net, rules, **where)
    return net, [name for name, value in net.state_dict().items() if not torch.equal(value, before[name])]


@pytest.mark.parametrize(
    ("rules", "where", "changed"),
    [
        ({"weight": "normal"}, {}, ["0.weight", "1.0.weight", "2.weight"]),
        ({"*": "ones"}, {"layers": "Conv*"}, ["0.weight", "0.bias"]),
        ({"bias": "zeros"}, {}, ["0.bias", "1.0.bias"]),
        ({"bias": "zeros"}, {"layers": ["Conv*", "Linear"], "names": ("1.*", "2")}, ["1.0.bias"]),
        ({"w*": "orthogonal"}, {"layers": "Linear"}, ["1.0.weight", "2.weight"]),
        ({"weight": "eye", "bias": "ones"}, {"layers": "Linear", "names": "1.*"}, ["1.0.weight", "1.0.bias"]),
        ({"weight": {"type": "constant", "val": 2.0}}, {"names": "[02]"}, ["0.weight", "2.weight"]),
    ],
)
def test_only_what_matches_is_drawn(rules, where, changed):
    assert changed_by(rules, **where)[1] == changed


def test_what_is_drawn_is_torchs_for_the_seed_and_the_generator():
    rules = {"weight": {"type": "kaiming_normal", "mode": "fan_out"}, "bias": "uniform"}
    torch.manual_seed(5)
    expected = [INIT.kaiming_normal_(torch.empty(4, 2, 3, 3), mode="fan_out"), INIT.uniform_(torch.empty(4))]
    net = branched()
    initialize_where(net, rules, torch.Generator().manual_seed(5), layers="Conv2d")
    torch.testing.assert_close([net[0].weight.value, net[0].bias.value], expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("rules", "where", "text"),
    [
        ({"bias": "ones"}, {"layers": "Cnv*"}, "layers must match one with parameters, got 'Cnv*' for Conv2d, Linear"),
        ({"bias": "ones"}, {"layers": "ReLU"}, "layers must match one with parameters, got 'ReLU' for Conv2d, Linear"),
        ({"bias": "ones"}, {"names": "encoder.*"}, "names must match a layer, got 'encoder.*'. Known: 0, 1.0, 2."),
        ({"bias": "ones"}, {"layers": []}, "layers must match one with parameters, got [] for Conv2d, Linear"),
        ({"bias": "ones"}, {"names": ["3", "4"]}, "names must match a layer, got ['3', '4']. Known: 0, 1.0, 2."),
        ({"bias": "ones"}, {"names": "2"}, "'bias' must match a parameter of the layers chosen, which have weight"),
        ({"wieght": "ones"}, {}, "'wieght' must match a parameter of the layers chosen, which have bias, weight"),
        ({"weight": 3}, {}, "initializer must be a name, or a dict with a type, got 3"),
        ({"weight": {"std": 3}}, {}, "initializer must be a name, or a dict with a type, got {'std': 3}"),
        ({"weight": {"type": "normal", "sdt": 3}}, {}, "normal has no option 'sdt'. Nearest: std."),
        ({"weight": "sparse"}, {}, "sparse must be given a sparsity, got none; write sparsity=..."),
    ],
)
def test_a_rule_that_says_nothing(rules, where, text):
    net = branched()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(ArgumentError) as caught:
        initialize_where(net, {"weight": "normal", **rules}, **where)
    assert str(caught.value) == f"initialize: {text}"
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)


def test_a_net_whose_sizes_are_not_known_yet():
    for use in (lambda net: initialize_where(net, {"weight": "ones"}), lambda net: initialize(net, "ones")):
        with pytest.raises(UninitializedError, match="run one batch through the model"):
            use(Sequential(Linear(2, 3), LazyLinear(3)))
    with pytest.raises(ArgumentError, match=r"layers must match one with parameters, got '\*' for no layer"):
        initialize_where(Sequential(ReLU()), {"weight": "ones"})
