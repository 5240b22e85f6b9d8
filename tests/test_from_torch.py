"""Modules of PyTorch as ours: by twins, with the weights in the same memory, or as a layer that says what it is."""

import copy
import doctest
import inspect
import warnings

import pytest
import torch
from torch import nn

import mytorch.nn
from mytorch.core import (
    ArgumentError,
    AutogradError,
    DescriptionError,
    DtypeError,
    Loss,
    ShapeError,
    describe,
    rebuild,
)
from mytorch.data import Disk
from mytorch.experiments.parity import twin_of
from mytorch.nn import CrossEntropyLoss, Linear, Sequential
from mytorch.optim import SGD, AdamW
from mytorch.plugins import catalogue
from mytorch.testing import CheckError, check_layer
from mytorch.train import fit, step
from mytorch.train.compiled.warning import EngineWarning
from mytorch.train.interop import FromTorch, FromTorchLoss, from_torch, to_torch, torch_layer
from mytorch.train.interop import from_torch as function

pytestmark = pytest.mark.numbers

SIZES = {
    "kernel_size": 3, "in_channels": 4, "out_channels": 6, "padding": 1, "output_size": 2, "in_features": 4,
    "out_features": 3, "dim_feedforward": 6, "value": 0.5, "threshold": 0.1,
}  # fmt: skip
"""Arguments for layers that have no default for them, and say nothing of how they are tried."""

SPECIAL = {
    "AdaptiveLogSoftmaxWithLoss": {"in_features": 8, "n_classes": 6, "cutoffs": [3], "div_value": 2.0},
    "Transformer": {"d_model": 4, "nhead": 2, "num_decoder_layers": 2, "dim_feedforward": 6, "batch_first": True},
}


def drawn(cls):
    """A part of ours with the arguments by which the kit tries it, or those above."""
    told = SPECIAL.get(cls.__name__, getattr(cls, "conformance", {}).get("arguments", {}))
    needed = {
        name: SIZES[name]
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL and name not in told
    }
    return cls(**{name: value() if inspect.isfunction(value) else value for name, value in {**needed, **told}.items()})


def parts():
    """The layers and losses of mytorch-nn that torch.nn has, too, but for those that hold what they are given."""
    for kind in ("layer", "loss"):
        for part in catalogue().of_kind(kind):
            holds = part.name in ("Sequential", "ModuleList", "ModuleDict", "TransformerEncoder", "TransformerDecoder")
            if hasattr(nn, part.name) and not part.name.startswith("Lazy") and not holds:
                yield part


@pytest.mark.parametrize("part", list(parts()), ids=lambda part: part.name)
def test_every_class_of_torch_that_has_a_twin_becomes_it(part):
    ours = drawn(part.load())
    known = inspect.signature(getattr(nn, part.name)).parameters
    options = {name: value for name, value in ours.arguments().items() if name in known or "kwargs" in known}
    theirs = getattr(nn, part.name)(**options).eval()
    net = from_torch(theirs)
    assert type(net) is type(ours)
    assert [name for name, _ in net.named_state()] == list(theirs.state_dict())
    assert all(net.state_dict()[name].data_ptr() == tensor.data_ptr() for name, tensor in theirs.state_dict().items())
    assert not any(module.training for module in net.modules())
    assert describe(rebuild(*describe(net), kind=part.kind))[0] == describe(net)[0]
    assert isinstance(net, Loss) == (part.kind == "loss")


class Basic(nn.Module):
    """A block with a forward of its own, and a layer that writes into what it is given."""

    def __init__(self, channels):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.act(x + self.bn(self.conv(x)))


class Named(nn.Sequential):
    """A subclass that changes nothing."""

    def __init__(self, *layers):
        super().__init__(*layers)
        self.note = "mine"


def resnet():
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True), Basic(4), nn.MaxPool2d(2), Basic(4),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3),
    )  # fmt: skip


def gpt():
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, "gelu", batch_first=True, norm_first=True)
    encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8), enable_nested_tensor=False)
    net = Named(nn.Embedding(11, 8), encoder, nn.Linear(8, 11, bias=False))
    net[2].weight = net[0].weight
    return net


def lstm():
    return nn.Sequential(Last(nn.LSTM(3, 5, num_layers=2, batch_first=True)), nn.GELU(), nn.Linear(5, 3))


class Last(nn.Module):
    """The last step of a recurrent layer."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0][:, -1]


MODELS = {
    "resnet": (resnet, lambda: torch.randn(4, 2, 8, 8)),
    "gpt": (gpt, lambda: torch.randint(11, (3, 6))),
    "lstm": (lstm, lambda: torch.randn(3, 5, 3)),
}


@pytest.fixture(params=MODELS)
def pair(request):
    """What a model becomes, the model with weights of its own, and an input."""
    torch.manual_seed(0)
    build, draw = MODELS[request.param]
    model = build().double()
    x = draw()
    return from_torch(copy.deepcopy(model)), model, x.double() if x.is_floating_point() else x


def test_outputs_and_gradients_are_those_of_the_model(pair):
    net, model, x = pair
    (y, saved), expected = net.forward(x), model(x)
    d_y = torch.randn_like(y)
    net.backward(d_y, saved)
    expected.backward(d_y)
    torch.testing.assert_close(y, expected.detach(), rtol=1e-10, atol=1e-10)
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert len(gradients) > 5
    torch.testing.assert_close({n: p.grad for n, p in net.named_param()}, gradients, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(net.state_dict(), dict(model.state_dict()), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(net(x), model(x).detach(), rtol=1e-10, atol=1e-10)


def test_a_training_of_ours_is_that_of_torch(pair):
    net, model, x = pair
    target = torch.randint(3, x.shape[:1] if x.is_floating_point() else x.shape)
    ours, theirs = AdamW(net.param(), lr=0.01), torch.optim.AdamW(model.parameters(), lr=0.01)

    class OfSteps(mytorch.nn.CrossEntropyLoss):
        """Of scores (..., classes)."""

        def forward(self, prediction, target):
            value, saved = super().forward(prediction.flatten(0, -2), target.flatten())
            return value, (saved, prediction.shape)

        def backward(self, d_value, saved):
            return super().backward(d_value, saved[0]).reshape(saved[1])

    for _ in range(5):
        with torch.inference_mode():
            step(net, OfSteps(), ours, x, target)
        theirs.zero_grad()
        nn.functional.cross_entropy(model(x).flatten(0, -2), target.flatten()).backward()
        theirs.step()
    torch.testing.assert_close(net.state_dict(), dict(model.state_dict()), rtol=1e-10, atol=1e-10)


def test_what_becomes_what(pair):
    net, model, _ = pair
    kinds = [type(module).__name__ for module in net.modules()]
    assert kinds.count("FromTorch") == sum(isinstance(module, Basic | Last) for module in model.modules())
    assert len(net.param()) == len(list(model.parameters()))


def test_there_and_back():
    net = mytorch.nn.Sequential(Linear(2, 3), mytorch.nn.Residual(mytorch.nn.Concatenate(Linear(3, 1), Linear(3, 2))))
    assert repr(from_torch(twin_of(net))) == repr(net)
    assert from_torch(to_torch(net)) is net
    assert from_torch(nn.Sequential(to_torch(net), nn.ReLU()))[0] is net


def test_modes_ties_and_what_is_frozen():
    shared = nn.Linear(3, 3)
    model = nn.Sequential(shared, nn.Dropout(0.3), shared, nn.BatchNorm1d(3).eval(), nn.Linear(3, 3))
    model[4].weight = shared.weight
    shared.bias.requires_grad_(False)
    net = from_torch(model)
    assert net[0] is net[2]
    assert net[4].weight is net[0].weight
    assert not net[0].bias.trainable
    assert [layer.training for layer in net] == [True, True, True, False, True]
    with torch.no_grad():
        model[4].weight.fill_(2.0)
    assert (net[0].weight.value == 2).all()


def test_no_random_number_is_drawn():
    model, before = gpt(), torch.get_rng_state()
    from_torch(model)
    assert torch.equal(torch.get_rng_state(), before)


class Doubled(nn.Linear):
    """A forward of its own."""

    def forward(self, x):
        return 2 * super().forward(x)


class Padded(nn.Conv1d):
    """A part of the computation of its own."""

    def _conv_forward(self, x, weight, bias):
        return super()._conv_forward(x, weight.abs(), bias)


def hooked():
    layer = nn.Linear(4, 3)
    layer.register_forward_hook(lambda module, inputs, output: 3 * output)
    return layer


def hooked_inside():
    layer = nn.TransformerEncoderLayer(4, 2, 6, 0.0)
    layer.linear1.register_forward_hook(lambda module, inputs, output: 3 * output)
    return layer


def exchanged():
    layer = nn.TransformerEncoderLayer(4, 2, 6, 0.0)
    layer.linear1 = nn.Sequential(nn.Linear(4, 6))
    return layer


def patched():
    layer = nn.Linear(4, 3)
    layer.forward = lambda x: nn.functional.linear(x, layer.weight)
    return layer


WITHOUT = {
    "a forward": lambda: Doubled(4, 3),
    "a method that forward calls": lambda: Padded(4, 3, 3, padding=1),
    "a forward of one object": patched,
    "hooks": hooked,
    "hooks inside": hooked_inside,
    "a child that was replaced": exchanged,
    "a parametrization": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)),
    "a class that we have not": lambda: nn.ParameterList([torch.ones(2)]),
    "a setting of one child": lambda: (
        setattr(layer := nn.TransformerEncoderLayer(4, 2, 6), "dropout1", nn.Dropout(0.7)) or layer
    ),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_what_has_no_twin_is_a_layer_that_says_so(name):
    torch.manual_seed(0)
    module = WITHOUT[name]().double()
    layer = from_torch(module)
    assert type(layer) is FromTorch
    assert repr(layer) == f"FromTorch({type(module).__name__}, gradients by autograd)"
    assert list(layer.state_dict()) == list(module.state_dict())
    if isinstance(module, nn.ParameterList):
        return
    module.eval()
    layer.eval()
    x = torch.randn(2, 4, 4, dtype=torch.float64, requires_grad=True)
    y, saved = layer.forward(x.detach())
    torch.testing.assert_close(y, module(x))
    torch.testing.assert_close(
        layer.backward(torch.ones_like(y), saved), torch.autograd.grad(module(x).sum(), x)[0], rtol=1e-10, atol=1e-10
    )


@pytest.mark.slow
def test_a_layer_of_torch_in_the_kit():
    def factory():
        return FromTorch(Doubled(4, 3))

    with pytest.raises(CheckError, match=r"no_autograd: backward must state the derivative itself"):
        check_layer(factory, torch.randn(5, 4))
    others = [
        *("finite_differences", "two_forwards", "nothing_written", "nothing_alive", "accumulation", "fresh_gradients"),
        *("not_trainable", "float32", "bfloat16", "device", "state_round_trip", "mode_at_backward", "non_contiguous"),
        *("expanded_upstream", "without_input_gradient", "empty_batch", "upstream_dtype", "upstream_shape"),
    ]
    assert len(check_layer(factory, torch.randn(5, 4), checks=others).passed) > 10


class Quartic(nn.MSELoss):
    """A loss of its own, whose gradient is known."""

    def forward(self, prediction, target):
        return (prediction - target).pow(4).mean()


def test_a_loss_of_torch_trains():
    loss = from_torch(Quartic())
    assert isinstance(loss, FromTorchLoss)
    assert isinstance(loss, Loss)
    prediction, target = torch.tensor([[1.0], [3.0]]), torch.tensor([[1.0], [1.0]])
    value, saved = loss.forward(prediction, target)
    assert (value.item(), loss.backward(2.0, saved).tolist()) == (8.0, [[0.0], [32.0]])
    _, saved = loss.forward(prediction, target)
    with pytest.raises(ShapeError, match=r"^FromTorchLoss: d_value must be a number"):
        loss.backward(torch.ones(2, 1), saved)
    net, x = Sequential(Linear(2, 1)), torch.randn(40, 2)
    data = [(row, row.sum(0, keepdim=True)) for row in x]
    batches = torch.utils.data.DataLoader(data, 8)
    training = fit(net, loss, SGD(net.param(), lr=0.01), batches, epochs=4, quiet=True)
    assert training.history[-1]["train_loss"] < training.history[0]["train_loss"]


def test_it_leaves_inputs_and_gradients_alone_and_trains_under_inference_mode():
    net = from_torch(nn.Sequential(Basic(2), nn.Flatten(), nn.Linear(8, 2)))
    x = torch.randn(3, 2, 2, 2)
    before = x.clone()
    y, saved = net.forward(x)
    net.backward(torch.ones_like(y), saved)
    net(x)
    assert torch.equal(x, before)
    net = from_torch(nn.Sequential(Doubled(2, 4), nn.Tanh(), nn.Linear(4, 2)))
    data = Disk(100)
    training = fit(net, CrossEntropyLoss(), SGD(net.param(), lr=0.2), data, epochs=5, batch_size=10, quiet=True)
    assert training.history[-1]["train_loss"] < training.history[0]["train_loss"]


def test_buffers_and_modes_of_a_layer_of_torch():
    module = nn.Sequential(Basic(2))
    layer = FromTorch(module)
    layer.forward(torch.randn(3, 2, 2, 2))
    assert layer.state_dict()["0.bn.num_batches_tracked"] == module[0].bn.num_batches_tracked == 1
    layer.eval()
    layer(torch.randn(3, 2, 2, 2))
    assert not module[0].bn.training
    layer.double()
    assert (
        layer(torch.randn(3, 2, 2, 2, dtype=torch.float64)).dtype == module[0].bn.running_mean.dtype == torch.float64
    )
    with torch.no_grad():
        module[0].conv.weight.zero_()
    assert not getattr(layer, "0.conv.weight").value.any()
    getattr(layer, "0.conv.weight").trainable = False
    y, saved = layer.forward(torch.randn(3, 2, 2, 2, dtype=torch.float64))
    layer.backward(torch.ones_like(y), saved)
    assert getattr(layer, "0.conv.weight").grad is None
    assert getattr(layer, "0.bn.weight").grad is not None


def test_several_inputs_and_outputs_of_a_layer_of_torch():
    class Both(nn.Module):
        def forward(self, a, b, scale=1.0):
            return {"sum": scale * (a + b), "a": (a * 2, a.argmax())}

    layer = from_torch(Both())
    a, b = torch.randn(3), torch.randn(3)
    y, saved = layer.forward(a, b, scale=3.0)
    assert torch.equal(y["sum"], 3 * (a + b))
    d_a, d_b = layer.backward({"sum": torch.ones(3), "a": (torch.ones(3), None)}, saved)
    assert (d_a.tolist(), d_b.tolist()) == ([5.0] * 3, [3.0] * 3)
    _, saved = layer.forward(a, b)
    assert layer.backward({"sum": None, "a": (torch.ones(3), None)}, saved)[1] is None


class Shifted(torch.nn.Module):
    """A layer with a table that its state dict has not."""

    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Linear(4, 4)
        self.register_buffer("table", torch.ones(4), persistent=False)

    def forward(self, x):
        return x + self.inner(x) + self.table


def test_a_table_that_is_not_in_the_state_moves_with_its_layer():
    layer = FromTorch(Shifted()).to("meta")
    assert layer(torch.ones(1, 4, device="meta")).device.type == "meta"


def test_hooks_on_parameters_stay_at_work():
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 2))
    mask = torch.tensor([[1.0, 0, 1], [0, 1, 1]])
    theirs[0].weight.register_hook(lambda gradient: gradient * mask)
    net = from_torch(theirs)
    _, saved = net.forward(torch.randn(5, 3))
    net.backward(torch.randn(5, 2), saved)
    assert ((dict(net.named_param())["0.weight"].grad != 0) == mask.bool()).all()


def test_hooks_on_what_to_torch_made_stay_at_work():
    module = to_torch(Linear(3, 2))
    module.register_forward_hook(lambda _module, _inputs, output: 2 * output)
    x = torch.randn(5, 3)
    torch.testing.assert_close(from_torch(module)(x), module(x).detach())


def test_copies_of_a_layer_of_torch():
    net = from_torch(nn.Sequential(Doubled(2, 3)))
    other = copy.deepcopy(net)
    other[0].weight.value.zero_()
    other(torch.randn(5, 2))
    assert other[0].module is not net[0].module
    assert not other[0].module.weight.any()
    assert net[0].weight.value.any()


def test_the_compiled_engine_goes_on_eagerly_and_says_why():
    net = from_torch(nn.Sequential(Doubled(2, 2)))
    with pytest.warns(EngineWarning, match=r"FromTorch: the step must be computed as it is written.*FromTorch.*eager"):
        fit(
            net,
            CrossEntropyLoss(),
            SGD(net.param(), lr=0.2),
            Disk(40),
            epochs=1,
            batch_size=10,
            quiet=True,
            engine="compiled",
        )


def test_refusals():
    with pytest.raises(ArgumentError, match=r"^from_torch: module must be a torch\.nn\.Module, got a Linear"):
        from_torch(Linear(2, 3))
    with pytest.raises(
        ArgumentError, match=r"^from_torch: every parameter must have its shape, .*: 0\.weight, 0\.bias; run"
    ):
        from_torch(nn.Sequential(nn.LazyLinear(3)))
    with pytest.raises(DescriptionError, match=r"model\.layers\.0\.module"):
        describe(Sequential(FromTorch(Doubled(2, 3))))
    layer = FromTorch(Doubled(2, 3))
    y, saved = layer.forward(torch.randn(5, 2))
    with pytest.raises(ShapeError, match=r"^FromTorch: d_y must have the shape of the output"):
        layer.backward(torch.ones(5, 2), saved)
    with pytest.raises(DtypeError, match=r"^FromTorch: d_y must have the dtype of the output"):
        layer.backward(y.double(), saved)
    with pytest.raises(ArgumentError, match=r"^FromTorch: saved must be a Graph"):
        layer.backward(y, None)
    with pytest.raises(AutogradError, match=r"^FromTorch: x must not require grad"):
        layer.forward(torch.randn(5, 2, requires_grad=True))


def test_the_examples_of_the_docstrings():
    import importlib

    module = importlib.import_module("mytorch.train.interop.from_torch")
    assert function is from_torch
    with warnings.catch_warnings():
        found = [doctest.testmod(each) for each in (module, torch_layer)]
    assert [(each.attempted > 3, each.failed) for each in found] == [(True, 0)] * 2
