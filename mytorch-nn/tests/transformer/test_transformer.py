"""The layers and stacks of transformers agree with torch's, and refuse what does not fit."""

import warnings

import pytest
import torch
from torch.nn import functional as F

from mytorch import nn
from mytorch.core import ArgumentError, DescriptionError, DtypeError, ShapeError, StateError, describe, rebuild
from mytorch.testing import check_layer

NAMES = [
    "TransformerEncoderLayer",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerDecoder",
    "Transformer",
]
INPUTS = {"TransformerEncoderLayer": ("src",), "TransformerEncoder": ("src",), "Transformer": ("src", "tgt")}
each = pytest.mark.parametrize("name", NAMES)
SIZES = {"d_model": 6, "nhead": 2, "dim_feedforward": 5}


def built(home, name, norm=True, **options):
    """A small one of mytorch.nn or of torch.nn."""
    options = SIZES | options
    if name == "Transformer":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, about its fast path
            return home.Transformer(num_encoder_layers=2, num_decoder_layers=2, **options)
    if name.endswith("Layer"):
        return getattr(home, name)(**options)
    layer = getattr(home, f"{name}Layer")(**options)
    without_fast_path = {"enable_nested_tensor": False} if (home, name) == (torch.nn, "TransformerEncoder") else {}
    return getattr(home, name)(layer, 2, home.LayerNorm(6) if norm else None, **without_fast_path)


def inputs_of(name, batch=2, lengths=(4, 3), batch_first=False):
    """One or two sequences; without a batch axis for a batch of None."""
    shapes = {None: lambda length: (length, 6), False: lambda length: (length, batch, 6)}
    shape = shapes.get(batch, shapes[False])
    if batch is not None and batch_first:
        return [torch.randn(batch, length, 6) for length in lengths[: len(INPUTS.get(name, "ab"))]]
    return [torch.randn(shape(length)) for length in lengths[: len(INPUTS.get(name, "ab"))]]


@pytest.mark.parametrize("mask", ["tgt_mask", "tgt_is_causal"])
def test_the_causal_mask(mask):
    """It hides what comes later, as the mask that torch makes, with and without that mask."""
    ours, twin = (built(home, "Transformer").eval().double() for home in (nn, torch.nn))
    ours.load_state_dict(twin.state_dict())
    src, tgt = (torch.randn(length, 2, 6).double() for length in (4, 5))
    made, its = (home.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64) for home in (nn, torch.nn))
    assert torch.equal(made, its)
    expected = twin(src, tgt, tgt_mask=its, tgt_is_causal=True).detach()
    actual = ours(src, tgt, **{mask: made if mask == "tgt_mask" else True})
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


def test_a_layer_that_is_causal_by_itself():
    """A GPT: a change of a position changes nothing before it."""
    layer = nn.TransformerEncoderLayer(**SIZES, norm_first=True, activation="gelu", batch_first=True, is_causal=True)
    net = nn.Sequential(nn.TransformerEncoder(layer, 3, nn.LayerNorm(6)), nn.Linear(6, 4)).eval()
    x = torch.randn(2, 5, 6)
    changed = x.clone()
    changed[:, 3] += 1
    differs = (net(x) != net(changed)).any(-1).any(0)
    assert differs.tolist() == [False, False, False, True, True]
    again = rebuild(*describe(net)).eval()
    again.load_state_dict(net.state_dict())
    assert torch.equal(again(x), net(x))


@each
def test_the_weights_are_drawn_as_torch_draws_them(name):
    torch.manual_seed(3)
    ours = built(nn, name)
    torch.manual_seed(3)
    state = built(torch.nn, name).state_dict()
    assert list(ours.state_dict()) == list(state)
    for key, value in ours.state_dict().items():
        assert torch.equal(value, state[key]), key


@each
def test_each_half_is_a_copy(name):
    """The layers of a stack begin alike and are trained apart; the one that was given is not part of it."""
    if name in ("TransformerEncoder", "TransformerDecoder"):
        layer = getattr(nn, f"{name}Layer")(**SIZES)
        stack = getattr(nn, name)(layer, 2)
        first, second = stack.layers
        assert torch.equal(first.linear1.weight.value, second.linear1.weight.value)
        assert first.linear1.weight is not second.linear1.weight
        assert layer not in list(stack.modules())
    assert len({id(p) for p in built(nn, name).param()}) == len(list(built(torch.nn, name).parameters()))


@pytest.mark.parametrize("activation", ["relu", "gelu", F.gelu, F.leaky_relu, nn.SiLU(), nn.PReLU()])
@pytest.mark.parametrize("name", ["TransformerDecoderLayer", "TransformerEncoder", "Transformer"])
def test_any_activation_is_described(name, activation):
    """By its name, or as a layer where torch has no name for it."""
    net = built(nn, name, activation=activation, dropout=0.0)
    again = rebuild(*describe(net))
    again.load_state_dict(net.state_dict())
    inputs = inputs_of(name)
    assert torch.equal(again(*inputs), net(*inputs))


def test_layers_that_are_not_alike_are_not_described():
    stack = built(nn, "TransformerEncoder")
    stack.layers[1] = nn.TransformerEncoderLayer(6, 3, 5)
    with pytest.raises(DescriptionError, match="TransformerEncoder: layers must be alike to be described"):
        describe(stack)


def test_custom_halves():
    encoder, decoder = built(nn, "TransformerEncoder", dropout=0.0), built(nn, "TransformerDecoder", dropout=0.0)
    net = nn.Transformer(6, 2, custom_encoder=encoder, custom_decoder=decoder)
    assert net.encoder is encoder
    src, tgt = inputs_of("Transformer")
    assert torch.equal(net(src, tgt), decoder(tgt, encoder(src)))
    again = rebuild(*describe(net))
    again.load_state_dict(net.state_dict())
    assert torch.equal(again(src, tgt), net(src, tgt))


@each
@pytest.mark.parametrize("norm_first", [True, False])
def test_input_grad_false(name, norm_first):
    """No gradient of the inputs, and the same ones of the parameters."""
    net = built(nn, name, norm_first=norm_first, dropout=0.0)
    inputs = inputs_of(name)
    y, saved = net.forward(*inputs)
    d_y = torch.randn_like(y)
    net.backward(d_y, saved)
    expected = [parameter.grad for parameter in net.param()]
    net.zero_grad()
    net.input_grad = False
    assert net.backward(d_y, net.forward(*inputs)[1]) is None
    for parameter, gradient in zip(net.param(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


@each
def test_half_precision(name):
    net = built(nn, name, dropout=0.0)
    inputs, results = [x.bfloat16() for x in inputs_of(name)], []
    for dtype in (torch.bfloat16, torch.float32):
        net.to(dtype).zero_grad()
        y, saved = net.forward(*(x.to(dtype) for x in inputs))
        d_inputs = net.backward(torch.ones_like(y), saved)
        d_inputs = d_inputs if isinstance(d_inputs, tuple) else (d_inputs,)
        assert {y.dtype, *(d.dtype for d in d_inputs)} == {dtype}
        results.append([y.float(), *(parameter.grad.float() for parameter in net.param())])
    for half, full in zip(*results, strict=True):
        torch.testing.assert_close(half, full, rtol=0.1, atol=0.3)


@each
def test_nothing(name):
    net = built(nn, name)
    inputs = inputs_of(name, batch=0)
    y, saved = net.forward(*inputs)
    assert net(*inputs).shape == y.shape == (3 if name == "Transformer" else 4, 0, 6)
    d_inputs = net.backward(torch.randn_like(y), saved)
    d_inputs = d_inputs if isinstance(d_inputs, tuple) else (d_inputs,)
    assert [d.shape for d in d_inputs] == [x.shape for x in inputs]


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("name", ["TransformerEncoderLayer", "TransformerDecoderLayer", "TransformerEncoder"])
def test_the_contract(name, norm_first):
    lengths = (4, 3) if len(INPUTS.get(name, "ab")) == 2 else (4,)
    check_layer(
        lambda: built(nn, name, norm_first=norm_first, dropout=0.0, batch_first=True, activation="gelu"),
        *((2, length, 6) for length in lengths),
        options={"tgt_is_causal": True} if len(lengths) == 2 else {"is_causal": True},
        tags=("fixed_dimensions",),
    )


def test_the_contract_with_dropout_and_the_batch_first():
    """Where attention is turned round for the order in which torch draws."""
    check_layer(
        lambda: built(nn, "TransformerDecoderLayer", dropout=0.3, batch_first=True),
        (2, 4, 6),
        (2, 3, 6),
        modes=("train",),
        tags=("fixed_dimensions",),
    )


@each
def test_shapes_and_dtypes_that_do_not_fit(name):
    net = built(nn, name)
    inputs = inputs_of(name)
    for wrong in ([x[..., :4] for x in inputs], [x[0, 0] for x in inputs], [x[None] for x in inputs]):
        with pytest.raises(ShapeError, match=r"src|tgt|memory"):
            net.forward(*wrong)
        with pytest.raises(ShapeError, match=r"src|tgt|memory"):
            net(*wrong)
    with pytest.raises(DtypeError, match=r"must have the dtype of the parameters, torch\.float32, got torch\.float64"):
        net.forward(*(x.double() for x in inputs))
    with pytest.raises(ArgumentError, match="must be a tensor, got a list"):
        net.forward(*(x.tolist() for x in inputs))
    if len(inputs) == 2:
        with pytest.raises(ShapeError, match="must have the batch of"):
            net.forward(inputs[0], inputs[1][:, :1])


@each
def test_upstream_gradients_and_saved_values_that_do_not_fit(name):
    net = built(nn, name)
    y, saved = net.forward(*inputs_of(name))
    for d_y in (y[:2], y.mT, y[0], None):
        with pytest.raises(ShapeError, match=f"{name}: d_y must have the shape of the output"):
            net.backward(d_y, saved)
    with pytest.raises(
        ArgumentError, match=f"{name}: saved must be a Saved, as its own forward returned, got a Tenso"
    ):
        net.backward(y, y)


def test_the_saved_value_of_another_layer():
    layer = nn.TransformerEncoderLayer(4, 2, 5)
    y, saved = layer.forward(torch.randn(3, 2, 4))
    with pytest.raises(ShapeError, match="TransformerEncoderLayer: saved must be that of a layer with d_model=6, got"):
        nn.TransformerEncoderLayer(6, 2, 5).backward(y, saved)


@pytest.mark.parametrize("name", ["TransformerEncoder", "TransformerDecoder"])
def test_a_saved_value_that_is_used_twice(name):
    net = built(nn, name)
    y, saved = net.forward(*inputs_of(name))
    net.backward(y, saved)
    text = f"{name}: saved must hold one value for each of 2 layers and one for the norm, got 0; a saved val"
    with pytest.raises(StateError, match=text):
        net.backward(y, saved)


@pytest.mark.parametrize(
    ("name", "options", "text"),
    [
        ("TransformerEncoderLayer", {"nhead": 4}, "TransformerEncoderLayer: nhead must divide d_model, 6, got 4"),
        (
            "TransformerDecoderLayer",
            {"d_model": 0},
            "TransformerDecoderLayer: d_model must be a whole number of at le",
        ),
        (
            "TransformerDecoderLayer",
            {"dim_feedforward": 1.5},
            "TransformerDecoderLayer: dim_feedforward must be a who",
        ),
        ("TransformerEncoderLayer", {"dropout": 2}, "TransformerEncoderLayer: dropout must be between 0 and 1, got 2"),
        (
            "TransformerEncoderLayer",
            {"activation": "swish"},
            "TransformerEncoderLayer: activation must be 'relu', 'ge",
        ),
        ("TransformerDecoderLayer", {"activation": abs}, "TransformerDecoderLayer: activation must be 'relu', 'gelu'"),
        ("TransformerDecoderLayer", {"activation": F.softmax}, "TransformerDecoderLayer: activation must be 'relu', "),
        ("Transformer", {"d_model": 0}, "Transformer: d_model must be a whole number of at least 1, got 0"),
    ],
)
def test_arguments_that_do_not_fit(name, options, text):
    with pytest.raises(ArgumentError) as caught:
        built(nn, name, **options)
    assert str(caught.value).startswith(text)


def test_stacks_that_cannot_be_built():
    layer = nn.TransformerEncoderLayer(**SIZES)
    for number in (0, 1.0, True):
        with pytest.raises(ArgumentError, match="TransformerEncoder: num_layers must be a whole number of at least 1"):
            nn.TransformerEncoder(layer, number)
    with pytest.raises(ArgumentError, match="TransformerEncoder: child must be a Module, got the class Transformer"):
        nn.TransformerEncoder(nn.TransformerEncoderLayer, 2)
    with pytest.raises(ArgumentError, match="TransformerDecoder: child must be a Module"):
        nn.TransformerDecoder(nn.TransformerDecoderLayer(**SIZES), 2, norm=torch.nn.LayerNorm(6))
