"""Layers state how their output and their backward change, and a layer that does not is answered for."""

import warnings

import pytest
import torch

from mytorch.core import Directions, Module, Parameter, ShapeError, states_tangents
from mytorch.nn import (
    CELU,
    ELU,
    GELU,
    GLU,
    SELU,
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    Add,
    AlphaDropout,
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    BCEWithLogitsLoss,
    ChannelShuffle,
    Checkpoint,
    CircularPad2d,
    Concatenate,
    ConstantPad2d,
    Conv2d,
    ConvTranspose2d,
    CrossEntropyLoss,
    CrossMapLRN2d,
    Dropout,
    Dropout2d,
    ELBOLoss,
    Embedding,
    EmbeddingBag,
    Flatten,
    Fold,
    FractionalMaxPool2d,
    GroupNorm,
    Hardshrink,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    Identity,
    InstanceNorm2d,
    LayerNorm,
    LeakyReLU,
    Linear,
    LinearCrossEntropyLoss,
    LocalResponseNorm,
    LogSigmoid,
    LogSoftmax,
    LPPool2d,
    MaxPool2d,
    Mish,
    MSELoss,
    MultiheadAttention,
    MultiMarginLoss,
    Padded,
    Parallel,
    Permute,
    PixelShuffle,
    PixelUnshuffle,
    PoissonNLLLoss,
    PReLU,
    ReflectionPad2d,
    ReLU6,
    Residual,
    Reversible,
    ReversibleSequence,
    RMSNorm,
    RotaryPositionalEncoding,
    RReLU,
    Select,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softmax2d,
    Softmin,
    Softplus,
    Softshrink,
    Softsign,
    Take,
    Tanh,
    Tanhshrink,
    Threshold,
    TransformerEncoder,
    TransformerEncoderLayer,
    Unfold,
    Upsample,
    VariationalAutoencoder,
)
from mytorch.plugins import catalogue
from mytorch.train import gradients
from mytorch.train.quantities import (
    QuantityWarning,
    ggn_vector_product,
    hessian_vector_product,
    jacobian_vector_product,
    tangents_by_differences,
)

pytestmark = pytest.mark.numbers
SLOWER = "mytorch.train.quantities.QuantityWarning"

SILENT = {
    "loss.ctc_loss": "CTCLoss",  # whose change would be one more pass over all alignments, which no kernel makes
    "spiking.binary": "Heaviside Sign",  # whose derivative is 0, or one that a learning rule sets, without its own
    "spiking.lif": "LIF",  # likewise
}
"""Those which do not state their tangents, by the file that has them."""


def test_which_layers_and_losses_state_their_tangents():
    silent = set()
    for kind in ("layer", "loss"):
        for part in catalogue().of_kind(kind):
            cls = part.load()
            ours = part.distribution == "mytorch-nn" and not part.name.startswith("Lazy")
            if ours and not states_tangents(object.__new__(cls)):
                silent.add(part.name)
    assert silent == {name for names in SILENT.values() for name in names.split()}


def net_and_batch():
    torch.manual_seed(3)
    twice = Linear(4, 4)
    net = Sequential(Linear(3, 4), Tanh(), twice, Dropout(0.4), Sequential(twice, Identity(), Sigmoid()), Linear(4, 3))
    net.double()
    vector = {name: torch.randn_like(parameter.value) for name, parameter in net.named_param()}
    return net, torch.randn(6, 3).double(), torch.randint(3, (6,)), vector


def products(net, x, t, vector):
    found = {}
    for function in (hessian_vector_product, ggn_vector_product):
        torch.manual_seed(4)
        for name, part in function(net, CrossEntropyLoss(label_smoothing=0.1), x, t, vector).items():
            found[function.__name__, name] = part
    torch.manual_seed(4)
    return {**found, "prediction": jacobian_vector_product(net, x, vector)}


@pytest.mark.filterwarnings(f"ignore::{SLOWER}")
@pytest.mark.parametrize("silent", [(Sequential,), (Tanh, Linear), (Dropout, Sigmoid, CrossEntropyLoss)])
def test_differences_stand_for_what_is_not_stated(silent, monkeypatch):
    """Of a container as a whole, with the masks of its forward, and with a layer that is used twice."""
    wanted = products(*net_and_batch())
    for cls in silent:
        monkeypatch.delattr(cls, "tangent")
        monkeypatch.delattr(cls, "backward_tangent")
    torch.testing.assert_close(products(*net_and_batch()), wanted, rtol=0, atol=1e-9)


def small(*layers):
    return Sequential(Linear(3, 4), Tanh(), *layers, Linear(4, 2))


def image(*layers):
    return Sequential(Conv2d(2, 4, 3, padding=1), Tanh(), *layers, Flatten())


STATED = {
    "ELU": (lambda: small(ELU(1.3)), (5, 3)),
    "CELU": (lambda: small(CELU(-0.7), CELU(1.6)), (5, 3)),
    "SELU": (lambda: small(SELU()), (5, 3)),
    "GELU": (lambda: small(GELU(), Linear(4, 4), GELU("tanh")), (5, 3)),
    "SiLU": (lambda: small(SiLU(), Mish()), (2, 5, 3)),
    "Softplus": (lambda: small(Softplus(1.7, 0.6), Hardswish()), (5, 3)),
    "LayerNorm": (lambda: small(LayerNorm(4), Tanh(), LayerNorm((2, 4), bias=False)), (5, 2, 3)),
    "LayerNorm, no scale": (lambda: small(LayerNorm(4, elementwise_affine=False)), (5, 3)),
    "BatchNorm": (lambda: small(BatchNorm1d(4), Tanh(), BatchNorm1d(4, affine=False)), (5, 3)),
    "BatchNorm, evaluation": (lambda: image(BatchNorm2d(4).eval(), BatchNorm2d(4, bias=False).eval()), (3, 2, 4, 3)),
    "BatchNorm, images": (lambda: image(BatchNorm2d(4), Tanh()), (3, 2, 4, 3)),
    "Residual": (lambda: small(Residual(Sequential(Linear(4, 4), Tanh())), Residual(Tanh())), (5, 3)),
    "branches": (
        lambda: small(Add(Linear(4, 4), Tanh(), Dropout(0.3)), Concatenate(Tanh(), Linear(4, 3)), Linear(7, 4)),
        (5, 3),
    ),
    "branches before all else": (
        lambda: Sequential(Add(Linear(3, 4), Linear(3, 4)), Parallel(Tanh(), Linear(4, 2)), Take(1), Sigmoid()),
        (5, 3),
    ),
    "Checkpoint": (
        lambda: small(Checkpoint(Sequential(Linear(4, 4), BatchNorm1d(4), Dropout(0.3))), Checkpoint(Tanh())),
        (5, 3),
    ),
    "Checkpoint before all else": (lambda: Sequential(Checkpoint(small(Tanh())), Tanh(), Linear(2, 2)), (5, 3)),
    "Reversible": (
        lambda: small(Reversible(Linear(2, 2), Tanh()), Reversible(Dropout(0.3), Linear(2, 2), dim=-1)),
        (5, 3),
    ),
    "ReversibleSequence": (
        lambda: small(ReversibleSequence(Reversible(Linear(2, 2), Tanh()), Reversible(Dropout(0.3), Linear(2, 2)))),
        (5, 3),
    ),
    "ReversibleSequence before all else": (
        lambda: Sequential(ReversibleSequence(*(Reversible(Tanh(), Linear(2, 2)) for _ in range(3))), Sigmoid()),
        (5, 4),
    ),
    "Conv2d": (
        lambda: image(Conv2d(4, 6, (2, 3), (1, 2), (1, 0), groups=2), Tanh(), Conv2d(6, 2, 2, padding="same")),
        (3, 2, 5, 6),
    ),
    "Conv2d, borders": (
        lambda: image(
            Conv2d(4, 3, 3, padding=1, padding_mode="circular", bias=False), Tanh(), frozen(Conv2d(3, 2, 2))
        ),
        (3, 2, 4, 4),
    ),
    "ConvTranspose2d": (
        lambda: image(ConvTranspose2d(4, 4, 2, 2, output_padding=1, groups=2), Tanh(), ConvTranspose2d(4, 1, 2)),
        (3, 2, 3, 2),
    ),
    "bounded": (lambda: small(LogSigmoid(), Softsign(), Linear(4, 4), Tanhshrink(), Hardsigmoid()), (5, 3)),
    "shrinks": (lambda: small(Linear(4, 4), Softshrink(0.1), Linear(4, 4), Hardshrink(0.2)), (5, 3)),
    "rectifiers": (lambda: small(LeakyReLU(0.2), Linear(4, 4), RReLU(), Linear(4, 4), Hardtanh(), ReLU6()), (5, 3)),
    "Threshold": (lambda: small(Threshold(0.1, 0.7)), (5, 3)),
    "Softmax": (lambda: small(Softmax(-1), Linear(4, 4), Softmin(0), Linear(4, 4), LogSoftmax(-1)), (5, 3)),
    "GLU": (lambda: Sequential(Linear(3, 4), Tanh(), GLU(), Linear(2, 2), GLU(0)), (4, 3)),
    "Softmax2d": (lambda: image(Softmax2d()), (3, 2, 3, 3)),
    "dropout of channels": (lambda: image(Dropout2d(0.4), Tanh(), AlphaDropout(0.3)), (3, 2, 3, 3)),
    "Embedding": (lambda: Sequential(Embedding(7, 3, padding_idx=2), Tanh(), Linear(3, 2)), (4, 3)),
    "RMSNorm": (lambda: small(RMSNorm(4), Tanh(), RMSNorm((2, 4), elementwise_affine=False)), (5, 2, 3)),
    "GroupNorm": (lambda: image(GroupNorm(2, 4), Tanh(), GroupNorm(1, 4, affine=False)), (3, 2, 3, 4)),
    "pads": (
        lambda: image(CircularPad2d(1), Tanh(), ConstantPad2d((1, -1, 0, 1), 0.4), Tanh(), ReflectionPad2d(2)),
        (2, 2, 3, 4),
    ),
    "axes": (
        lambda: Sequential(Conv2d(2, 4, 2), Permute((0, 2, 3, 1)), Tanh(), Select(1, 0), Flatten()),
        (3, 2, 3, 3),
    ),
    "attention": (
        lambda: Sequential(TransformerEncoderLayer(4, 2, 6, 0.3), TransformerEncoderLayer(4, 2, 5, norm_first=True)),
        (3, 2, 4),
    ),
    "MultiheadAttention": (
        lambda: Sequential(Linear(3, 4), RotaryPositionalEncoding(4), MultiheadAttention(4, 2, 0.2), Take(0)),
        (3, 2, 3),
    ),
    "pooling": (lambda: image(MaxPool2d(2, padding=1), AvgPool2d(2, 1, ceil_mode=True)), (3, 2, 5, 4)),
    "pooling to sizes": (lambda: image(AdaptiveMaxPool2d(3), Tanh(), AdaptiveAvgPool2d((2, None))), (3, 2, 5, 4)),
    "pooling at random": (lambda: image(FractionalMaxPool2d(2, 2), Tanh(), LPPool2d(2, 2, 1)), (3, 2, 5, 4)),
    "windows": (lambda: Sequential(Conv2d(2, 4, 2), Unfold(2), Tanh(), Fold((4, 3), 2), Flatten()), (3, 2, 5, 4)),
    "shuffles": (lambda: image(PixelShuffle(2), Tanh(), PixelUnshuffle(2), ChannelShuffle(2)), (3, 2, 2, 3)),
    "upsampling": (lambda: image(Upsample(scale_factor=2, mode="bilinear"), Tanh(), Upsample((3, 5))), (3, 2, 2, 3)),
    "slopes": (lambda: small(PReLU(4), Linear(4, 4), frozen(PReLU())), (5, 3)),
    "InstanceNorm": (
        lambda: image(InstanceNorm2d(4, affine=True), Tanh(), InstanceNorm2d(4, track_running_stats=True).eval()),
        (3, 2, 4, 3),
    ),
    "neighbouring channels": (
        lambda: image(LocalResponseNorm(3, alpha=0.7), Tanh(), CrossMapLRN2d(2, alpha=0.4)),
        (3, 2, 4, 3),
    ),
    "EmbeddingBag": (lambda: Sequential(EmbeddingBag(7, 3, padding_idx=2), Tanh(), Linear(3, 2)), (4, 3)),
    "EmbeddingBag, largest": (lambda: Sequential(EmbeddingBag(7, 3, mode="max"), Tanh()), (4, 3)),
}


def frozen(layer):
    return layer.requires_grad_(False)


@pytest.mark.filterwarnings(f"ignore::{SLOWER}")
@pytest.mark.parametrize(("build", "shape"), STATED.values(), ids=STATED)
def test_what_is_stated_is_what_differences_of_the_whole_net_give(build, shape, monkeypatch):
    torch.manual_seed(5)
    net, x = build().double(), torch.randn(shape).double()
    if isinstance(net[0], (Embedding, EmbeddingBag)):
        x = torch.randint(7, shape)
    vector = {name: torch.randn_like(p.value) for name, p in net.named_param() if p.trainable}
    for parameter in net.param():
        parameter.value = parameter.value + 0.3 * torch.randn_like(parameter.value)
    t = torch.randn_like(net(x))

    def found():
        torch.manual_seed(6)
        of = {
            f"{f.__name__} {name}": part
            for f in (hessian_vector_product, ggn_vector_product)
            for name, part in f(net, MSELoss(), x, t, vector).items()
        }
        return {**of, "prediction": jacobian_vector_product(net, x, vector)}

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stated = found()
    monkeypatch.setattr(tangents_by_differences, "states_tangents", lambda module: False)
    torch.testing.assert_close(stated, found(), rtol=1e-7, atol=1e-8)


@pytest.mark.filterwarnings(f"ignore::{SLOWER}")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_what_a_loss_states_is_what_differences_give(weighted, reduction, monkeypatch):
    torch.manual_seed(7)
    net, x, t = small(Tanh()).double(), torch.randn(5, 3).double(), torch.rand(5, 2).double()
    weights = (torch.tensor([0.4, 1.3]).double(), torch.tensor([2.0, 0.6]).double()) if weighted else (None, None)
    loss = BCEWithLogitsLoss(weights[0], reduction, weights[1])
    vector = {name: torch.randn_like(parameter.value) for name, parameter in net.named_param()}
    stated = [f(net, loss, x, t, vector) for f in (hessian_vector_product, ggn_vector_product)]
    monkeypatch.setattr(tangents_by_differences, "states_tangents", lambda module: False)
    found = [f(net, loss, x, t, vector) for f in (hessian_vector_product, ggn_vector_product)]
    torch.testing.assert_close(stated, found, rtol=1e-7, atol=1e-8)


def autoencoder():
    return VariationalAutoencoder(small(), Sequential(Linear(1, 4), Tanh(), Linear(4, 3)))


OF_NETS = {
    "ELBOLoss": (autoencoder, lambda: ELBOLoss(0.7), torch.linspace(-1, 1, 15).reshape(5, 3).double()),
    "LinearCrossEntropyLoss": (
        small,
        lambda: LinearCrossEntropyLoss(2, 6, bias=True, batch_chunk_size=2, label_smoothing=0.1),
        torch.tensor([0, 5, 2, 1, 1]),
    ),
    "PoissonNLLLoss": (small, PoissonNLLLoss, torch.arange(10).reshape(5, 2)),
    "MultiMarginLoss": (small, lambda: MultiMarginLoss(p=2), torch.tensor([0, 1, 1, 0, 1])),
}


@pytest.mark.filterwarnings(f"ignore::{SLOWER}")
@pytest.mark.parametrize(("build", "loss", "t"), OF_NETS.values(), ids=OF_NETS)
def test_products_of_a_net_with_its_loss_are_what_differences_give(build, loss, t, monkeypatch):
    torch.manual_seed(8)
    net, loss, x = build().double(), loss().double(), torch.randn(5, 3).double()
    vector = {name: torch.randn_like(parameter.value) for name, parameter in net.named_param()}

    def found():
        torch.manual_seed(6)
        return [f(net, loss, x, t, vector) for f in (hessian_vector_product, ggn_vector_product)]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stated = found()
    monkeypatch.setattr(tangents_by_differences, "states_tangents", lambda module: False)
    torch.testing.assert_close(stated, found(), rtol=1e-7, atol=1e-8)


def test_the_hessian_is_the_derivative_of_the_gradient():
    net, x, t, vector = net_and_batch()
    loss, h, found = CrossEntropyLoss(reduction="sum"), 1e-5, {}
    net.input_grad = False
    for sign in (1, -1):
        for name, parameter in net.named_param():
            parameter.value = parameter.value + (h if sign == 1 else -2 * h) * vector[name]
            parameter.grad = None
        torch.manual_seed(4)
        gradients(net, loss, x, t)
        found[sign] = {name: parameter.grad for name, parameter in net.named_param()}
    for name, parameter in net.named_param():
        parameter.value = parameter.value + h * vector[name]
    torch.manual_seed(4)
    for name, part in hessian_vector_product(net, loss, x, t, vector).items():
        torch.testing.assert_close(part, (found[1][name] - found[-1][name]) / (2 * h), rtol=0, atol=1e-7)


class Scale(Module):
    """A stranger's layer."""

    def __init__(self, size):
        self.gain = Parameter(torch.ones(size))

    def forward(self, x):
        return x * self.gain.value, x

    def backward(self, d_y, x):
        self.gain.accumulate((d_y * x).sum(0))
        return d_y * self.gain.value


def test_a_layer_that_does_not_state_them_is_named_once():
    net, x = Sequential(Linear(2, 3), Scale(3), Linear(3, 1)), torch.randn(4, 2)
    vector = {name: torch.randn_like(parameter.value) for name, parameter in net.named_param()}
    with pytest.warns(QuantityWarning) as told:
        hessian_vector_product(net, MSELoss(), x, torch.randn(4, 1), vector)
    (warning,) = told
    assert "quantities: layer '1' (Scale) does not state tangent and backward_tangent" in str(warning.message)


WITHIN = {
    "Residual": (lambda: Residual(Scale(4)), "1.inner"),
    "Add": (lambda: Add(Tanh(), Scale(4)), "1.1"),
    "Concatenate": (lambda: Concatenate(Scale(4), dim=-1), "1.0"),
    "Parallel": (lambda: Sequential(Parallel(Scale(4), Tanh()), Take(0)), "1.0.0"),
    "Checkpoint": (lambda: Checkpoint(Sequential(Scale(4), Tanh())), "1.inner.0"),
    "Reversible": (lambda: Reversible(Scale(2), Tanh()), "1.f"),
    "ReversibleSequence": (lambda: ReversibleSequence(Reversible(Tanh(), Scale(2))), "1.0.g"),
    "Padded": (lambda: Padded(Scale(4), Tanh()), "1.0"),
    "TransformerEncoder": (
        lambda: TransformerEncoder(TransformerEncoderLayer(4, 2, 3, 0.0, Scale(3)), 1, norm=LayerNorm(4)),
        "1.layers.0.activation",
    ),
}


@pytest.mark.parametrize(("build", "path"), WITHIN.values(), ids=WITHIN)
def test_a_layer_within_a_container_that_does_not_state_them(build, path, monkeypatch):
    torch.manual_seed(8)
    net = Sequential(Linear(3, 4), build(), Linear(4, 2)).double()
    x, t = torch.randn(5, 3).double(), torch.randn(5, 2).double()
    vector = {name: torch.randn_like(parameter.value) for name, parameter in net.named_param()}
    with pytest.warns(QuantityWarning) as told:
        found = hessian_vector_product(net, MSELoss(), x, t, vector)
    assert [str(each.message).split("'")[1] for each in told] == [path]
    monkeypatch.setattr(
        Scale, "tangent", lambda self, t_x, x, along: (along[self.gain] * x + self.gain.value * t_x, t_x)
    )
    monkeypatch.setattr(Scale, "backward_tangent", change_of_scale)
    torch.testing.assert_close(found, hessian_vector_product(net, MSELoss(), x, t, vector), rtol=1e-7, atol=1e-8)


def change_of_scale(layer, d_y, t_d_y, x, t_x, along):
    layer.gain.accumulate((t_d_y * x + d_y * t_x).sum(0))
    return layer.gain.value * d_y, along[layer.gain] * d_y + layer.gain.value * t_d_y


@pytest.mark.filterwarnings(f"ignore::{SLOWER}")
@pytest.mark.parametrize("between", [Tanh(), Scale(3)])
def test_net_gradients_and_random_state_are_as_before(between):
    net, x, t = Sequential(Linear(2, 3), between, Dropout(0.5), Linear(3, 2)), torch.randn(4, 2), torch.randn(4, 2)
    vector = {name: torch.randn_like(parameter.value) for name, parameter in net.named_param()}
    gradients(net, MSELoss(), x, t)
    before = [(p.value.clone(), p.grad.clone()) for p in net.param()]
    state = torch.get_rng_state()
    hessian_vector_product(net, MSELoss(), x, t, vector)
    ggn_vector_product(net, MSELoss(), x, t, vector)
    jacobian_vector_product(net, x, vector)
    assert torch.equal(torch.get_rng_state(), state)
    for parameter, (value, grad) in zip(net.param(), before, strict=True):
        assert torch.equal(parameter.value, value)
        assert torch.equal(parameter.grad, grad)
    for module in net.modules():
        assert module.input_grad
        assert not {"forward", "backward", "tangent", "backward_tangent"} & vars(module).keys()


class Doubled(Linear):
    """Has another forward than the layer whose statement it inherits."""

    def forward(self, x):
        y, saved = super().forward(x)
        return 2 * y, saved

    def backward(self, d_y, x):
        return super().backward(2 * d_y, x)


def test_a_subclass_with_another_forward_does_not_inherit_the_statement():
    assert states_tangents(Linear(2, 2))
    assert not states_tangents(Doubled(2, 2))
    net, x = Doubled(2, 1).double(), torch.randn(3, 2).double()
    vector = {name: torch.randn_like(parameter.value) for name, parameter in net.named_param()}
    with pytest.warns(QuantityWarning, match="layer '' \\(Doubled\\)"):
        found = jacobian_vector_product(net, x, vector)
    torch.testing.assert_close(found, 2 * (x @ vector["weight"].T + vector["bias"]))


def test_the_methods_of_the_base_refuse_by_name():
    with pytest.raises(NotImplementedError, match="Scale: tangent must be defined"):
        Scale(2).tangent(None, None, Directions({}))
    with pytest.raises(NotImplementedError, match="Scale: backward_tangent must be defined"):
        Scale(2).backward_tangent(None, None, None, None, Directions({}))


def test_a_direction_of_another_shape_is_refused():
    with pytest.raises(ShapeError, match=r"direction must have the shape of its parameter, \(2,\), got \(3,\)"):
        Directions({Parameter(torch.ones(2)): torch.ones(3)})
