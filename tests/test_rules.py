"""Learning rules on the layers of mytorch.nn, and the examples of their data sheets."""

import doctest
import importlib

import pytest
import torch

from mytorch.core import ArgumentError, Module, allow_autograd
from mytorch.data import TensorDataSet
from mytorch.nn import (
    GRU,
    LIF,
    LSTM,
    RNN,
    AlphaDropout,
    AvgPool2d,
    BatchNorm1d,
    Bilinear,
    Checkpoint,
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose2d,
    CrossEntropyLoss,
    Dropout,
    Embedding,
    Flatten,
    Heaviside,
    Linear,
    MeanStep,
    MSELoss,
    MultiheadAttention,
    ReLU,
    Residual,
    RMSNorm,
    Sequential,
    Sign,
    Tanh,
    TransformerEncoderLayer,
)
from mytorch.optim import SGD
from mytorch.train import Batches, Setup, explain_setup, fit, gradients, rules
from mytorch.train.choose_step import choose_step

RULES = (
    "direct_feedback_alignment",
    "equilibrium_propagation",
    "evolution_strategies",
    "feedback_alignment",
    "forward_forward",
    "local_losses",
    "predictive_coding",
    "sign_symmetric",
    "straight_through",
    "surrogate_gradient",
    "synthetic_gradients",
    "target_propagation",
    "zeroth_order",
)
MODULES = ("mytorch.core.rule", *(f"mytorch.train.rules.{name}" for name in RULES))


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_the_data_sheets(name):
    tested = doctest.testmod(importlib.import_module(name))
    assert (tested.attempted > 5, tested.failed) == (True, 0)


CHAINS = (
    *("DirectFeedbackAlignment", "EquilibriumPropagation", "ForwardForward", "LocalLosses", "PredictiveCoding"),
    *("SyntheticGradients", "TargetPropagation"),
)
JUMPS = ("StraightThrough", "SurrogateGradient")


def network(name, *between):
    """One that the rule trains, on rows of six numbers in three classes."""
    torch.manual_seed(1)
    if name in JUMPS:
        return Sequential(Linear(6, 16), Sign(), *between, Linear(16, 16), Heaviside(), Linear(16, 3))
    norms = [RMSNorm(16, elementwise_affine=False) for _ in range(2)]
    first, second = ([norm] if name == "ForwardForward" else [] for norm in norms)
    layers = [Linear(6, 16), Tanh(), *first, *between, Linear(16, 16), ReLU(), *second, Linear(16, 3)]
    return Sequential(Flatten(), Sequential(*layers))


def clouds():
    y = torch.arange(120) % 3
    generator = torch.Generator().manual_seed(2)
    x = torch.eye(3)[y].repeat(1, 2) + 0.3 * torch.randn(120, 6, generator=generator)
    return TensorDataSet(x, y)


def train(name, net, epochs, **options):
    optimizer = SGD(net.param(), lr=0.05 if name in (*JUMPS, "ForwardForward") else 0.1)
    rule = getattr(rules, name)()
    options = {"batch_size": 20, "seed": 3, "quiet": True, "rule": rule, **options}
    return fit(net, CrossEntropyLoss(), optimizer, clouds(), epochs=epochs, **options)


@pytest.mark.parametrize("name", [*CHAINS, *JUMPS])
def test_a_network_of_layers_is_trained_and_resumed_to_the_bit(name, tmp_path):
    whole = network(name)
    training = train(name, whole, 30)
    assert training.history[-1]["train_loss"] < 0.6 * training.history[0]["train_loss"]
    x, y = clouds()[:]
    assert (whole(x).argmax(1) == y).float().mean() > 0.9
    train(name, network(name), 13, checkpoint=tmp_path / "cut")
    torch.manual_seed(9)
    resumed = network(name)
    for held in resumed.param():
        held.value.mul_(2)  # so that what was not loaded would be seen
    train(name, resumed, 30, resume=tmp_path / "cut")
    torch.testing.assert_close(resumed.state_dict(), whole.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("layer", [Dropout(0.5), BatchNorm1d(16), AlphaDropout(0.3)], ids=repr)
@pytest.mark.parametrize("name", ["EquilibriumPropagation", "ForwardForward", "PredictiveCoding", "TargetPropagation"])
def test_layers_that_differ_between_training_and_evaluation_are_refused(name, layer):
    net = network(name, layer)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(ArgumentError, match=f"{name}: layers must compute the same .*{type(layer).__name__}"):
        train(name, net, 1)
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["LocalLosses", "SyntheticGradients", *JUMPS])
def test_other_rules_train_them(name):
    training = train(name, network(name, BatchNorm1d(16), Dropout(0.1)), 20)
    assert training.history[-1]["train_loss"] < training.history[0]["train_loss"]


WHOLE = ("DirectFeedbackAlignment", "LocalLosses", "SyntheticGradients")
"""Those that take a layer which holds layers as one."""


@pytest.mark.parametrize("name", sorted({*CHAINS} - {*WHOLE}))
def test_branches_are_refused_by_name(name):
    net = network(name, Residual(Linear(16, 16)))
    text = rf"{name}: the model must be a chain of layers.*got Residual at '1\.\d'; .*LocalLosses or DirectFeedback"
    with pytest.raises(ArgumentError, match=text):
        train(name, net, 1)
    assert all(held.grad is None for held in net.param())


@pytest.mark.parametrize("name", CHAINS)
def test_what_is_no_sequential_is_refused_by_name(name):
    text = rf"{name}: the model must be a chain .*, got Residual; .* or take FeedbackAlignment"
    with pytest.raises(ArgumentError, match=text):
        train(name, Residual(Linear(6, 6)), 1)


def deep():
    """A transformer for sequences of vectors, whose layers have branches and are held in a stack."""
    torch.manual_seed(1)
    layer = TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    inner = Sequential(Linear(8, 8), Tanh(), Linear(8, 8))
    return Sequential(Linear(2, 8), Tanh(), Residual(inner), Sequential(layer, ReLU()), Flatten(), Linear(24, 3))


@pytest.mark.parametrize("name", WHOLE)
def test_a_layer_that_holds_layers_is_trained_as_one(name):
    """Each block learns from the error at its output, within it as autograd has it."""
    net, (x, y) = deep().double(), clouds()[:]
    x, y, rule, loss = x[:20].reshape(20, 3, 2).double(), y[:20], getattr(rules, name)(), CrossEntropyLoss()
    rule.prepare(net, loss)
    for _ in range(3):  # in which the models of gradients learn, one after the other, that are 0 at first
        rule.gradients(net, loss, x, y)
    net.zero_grad()
    learned = {}
    for block in rule._blocks[:-1] if name == "SyntheticGradients" else rule._hidden:
        vars(block)["backward"] = recording(block.backward, str(block), learned)
    rule.gradients(net, loss, x, y)
    assert len(learned) == 3
    assert all(d_h.any() for d_h in learned.values())
    twin = deep().double()
    twin.load_state_dict(net.state_dict())
    with allow_autograd():
        held = dict(twin.named_param())
        for parameter in held.values():
            parameter.value = parameter.value.detach().requires_grad_()
        at = x
        for path, part in (("0", twin[:2]), ("2", twin[2:3]), ("3", twin[3:5])):
            h = part(at)
            (d_h,) = (d for named, d in learned.items() if f"('{path}" in named)
            names = [key for key in held if key.startswith(path)]
            wanted = torch.autograd.grad(h, [held[key].value for key in names], d_h.reshape(h.shape))
            for key, each in zip(names, wanted, strict=True):
                torch.testing.assert_close(dict(net.named_param())[key].grad, each, rtol=1e-9, atol=1e-12)
            at = h.detach()


def recording(backward, name, found):
    def recorded(d_y, saved):
        found[name] = d_y
        return backward(d_y, saved)

    return recorded


@pytest.mark.parametrize("name", WHOLE)
def test_networks_of_branches_learn_and_are_resumed_to_the_bit(name, tmp_path):
    x, y = clouds()[:]
    rows = TensorDataSet(x.reshape(-1, 3, 2), y)

    def run(epochs, **options):
        net = deep()
        options = {"batch_size": 20, "seed": 3, "quiet": True, "rule": getattr(rules, name)(), **options}
        return fit(net, CrossEntropyLoss(), SGD(net.param(), lr=0.05), rows, epochs=epochs, **options)

    whole = run(20)
    assert whole.history[-1]["train_loss"] < 0.7 * whole.history[0]["train_loss"]
    run(7, checkpoint=tmp_path / "cut")
    resumed = run(20, resume=tmp_path / "cut")
    torch.testing.assert_close(resumed.net.state_dict(), whole.net.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("name", sorted({*CHAINS} - {"ForwardForward"}))
def test_numbers_and_images_are_trained(name):
    """Convolutions, pooling and the squared error."""
    torch.manual_seed(4)
    net = Sequential(
        *(Conv2d(1, 4, 3, padding=1), Tanh(), AvgPool2d(2), Conv2d(4, 6, 3, padding=1), Tanh(), Flatten()),
        *(Linear(54, 8), Tanh(), Linear(8, 2)),
    )
    x = torch.randn(60, 1, 6, 6)
    rows = TensorDataSet(x, torch.stack([x[:, 0, :3].mean((1, 2)), x[:, 0, 3:].mean((1, 2))], 1) * 3)
    options = {"batch_size": 20, "seed": 3, "quiet": True, "rule": getattr(rules, name)()}
    training = fit(net, MSELoss(), SGD(net.param(), lr=0.05), rows, epochs=40, **options)
    slow = {"SyntheticGradients": 0.95, "EquilibriumPropagation": 0.85}  # whose first layers wait for others
    share = slow.get(name, 0.7)
    assert training.history[-1]["train_loss"] < share * training.history[0]["train_loss"]


@pytest.mark.parametrize("name", ["LocalLosses", "PredictiveCoding", "EquilibriumPropagation", "TargetPropagation"])
def test_sequences_are_trained(name):
    """An embedding, whose input has no gradient."""
    torch.manual_seed(4)
    net = Sequential(Embedding(5, 6), Flatten(), Linear(24, 16), Tanh(), Linear(16, 2))
    x = torch.randint(5, (80, 4))
    options = {"batch_size": 20, "seed": 3, "quiet": True, "rule": getattr(rules, name)()}
    rows = TensorDataSet(x, (x[:, 0] > 2).long())
    training = fit(net, CrossEntropyLoss(), SGD(net.param(), lr=0.2), rows, epochs=30, **options)
    assert training.history[-1]["train_loss"] < 0.7 * training.history[0]["train_loss"]


def test_spiking_neurons_learn_by_a_surrogate():
    torch.manual_seed(0)
    x = torch.randn(200, 10, 3)
    rows = TensorDataSet(x, (x.mean((1, 2)) > 0).long())
    net = Sequential(Linear(3, 32), LIF(), Linear(32, 16), LIF(0.5), Linear(16, 2), MeanStep())
    options = {"batch_size": 20, "seed": 3, "quiet": True, "rule": rules.SurrogateGradient(slope=5.0)}
    training = fit(net, CrossEntropyLoss(), SGD(net.param(), lr=0.5), rows, epochs=40, **options)
    assert training.history[-1]["train_loss"] < 0.6 * training.history[0]["train_loss"]


@pytest.mark.parametrize("name", CHAINS)
def test_explain_shows_each_call_by_the_path_of_its_layer_and_no_look_at_the_first_batch(name):
    torch.manual_seed(1)
    net = network(name)
    step = choose_step(optimizer := SGD(net.param(), lr=0.1), rule=getattr(rules, name)())
    explanation = explain_setup(Setup(net, CrossEntropyLoss(), optimizer, Batches(clouds(), 20), step=step))
    layers = {path: type(layer).__name__ for path, layer in net.named_modules()}
    calls = [each for each in explanation.steps if each.phase in ("forward", "backward") and each.path != "loss"]
    assert all(layers[each.path] == each.layer for each in calls)
    first = [each for each in calls if each.path == "1.0" and each.phase == "forward"]
    assert len(first) == {"ForwardForward": 2, "PredictiveCoding": 2, "EquilibriumPropagation": 2}.get(name, 1)
    assert any(each.path == "1.0" and each.phase == "backward" for each in calls)


@pytest.mark.parametrize("name", JUMPS)
def test_explain_shows_what_goes_back_through_a_jump(name):
    net = network(name)
    step = choose_step(optimizer := SGD(net.param(), lr=0.1), rule=getattr(rules, name)())
    explanation = explain_setup(Setup(net, CrossEntropyLoss(), optimizer, Batches(clouds(), 20), step=step))
    jumps = [each for each in explanation.steps if each.phase == "backward" and each.layer in ("Sign", "Heaviside")]
    assert [each.path for each in jumps] == ["3", "1"]
    assert all(each.outputs[0].norm > 0 for each in jumps)
    assert all("jump_derivative" not in vars(layer) for layer in net)


WEIGHTED = {
    "Linear": (lambda: Linear(3, 4), (5, 3)),
    "Bilinear": (lambda: Bilinear(3, 4, 2), (5, 3), (5, 4)),
    "Conv1d": (lambda: Conv1d(3, 4, 3), (2, 3, 7)),
    "Conv2d": (lambda: Conv2d(3, 4, 3, groups=1), (2, 3, 6, 6)),
    "Conv3d": (lambda: Conv3d(2, 4, 2), (2, 2, 4, 4, 4)),
    "ConvTranspose2d": (lambda: ConvTranspose2d(3, 4, 3), (2, 3, 5, 5)),
    "RNN": (lambda: RNN(3, 4, num_layers=2), (6, 2, 3)),
    "LSTM": (lambda: LSTM(3, 4, bidirectional=True), (6, 2, 3)),
    "GRU": (lambda: GRU(3, 4), (6, 2, 3)),
    "MultiheadAttention": (lambda: MultiheadAttention(4, 2), (6, 2, 4), (6, 2, 4), (6, 2, 4)),
    "TransformerEncoderLayer": (lambda: TransformerEncoderLayer(4, 2, 8, dropout=0.0), (6, 2, 4)),
    "Residual": (lambda: Residual(Linear(3, 3)), (5, 3)),
    "Checkpoint": (lambda: Checkpoint(Sequential(Linear(3, 4), Tanh(), Linear(4, 3))), (5, 3)),
}
"""Layers with weights of two and more dimensions, and the shapes of their inputs."""
ALONE = ("Linear", "Bilinear", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose2d")
"""Those with one such weight, of which no gradient of its own depends on it."""


class First(Module):
    """The first output of a layer, whose inputs come as a tuple, so that a loss can read it."""

    def __init__(self, inner):
        self.inner = inner

    def forward(self, *inputs):
        y, saved = self.inner.forward(*inputs)
        self.__dict__["seen"] = y
        return (y[0] if isinstance(y, tuple) else y), (saved, isinstance(y, tuple))

    def backward(self, d_y, saved):
        inner, several = saved
        self.__dict__["d_x"] = self.inner.backward((d_y, None) if several else d_y, inner)
        return self.d_x


def fed_back(name, matrices):
    """The gradients of a layer and its inputs: by backpropagation (None), with matrices that are drawn, or weights."""
    build, *shapes = WEIGHTED[name]
    torch.manual_seed(0)
    net, loss = First(build().double()), MSELoss()
    x = tuple(torch.randn(shape).double() for shape in shapes)
    t = torch.randn_like(net(*x))
    weights = {key: value.clone() for key, value in net.state_dict().items()}
    rule = rules.FeedbackAlignment()
    rule.prepare(net, loss)
    if matrices == "weights":
        rule.load_state_dict({"feedback": {key: weights[key] for key in rule.state_dict()["feedback"]}})
    (gradients if matrices is None else rule.gradients)(net, loss, x, t)
    inputs = net.d_x if isinstance(net.d_x, tuple) else (net.d_x,)
    return {key: held.grad for key, held in net.named_param()}, inputs


@pytest.mark.parametrize("name", WEIGHTED)
def test_every_layer_with_weights_feeds_back_through_matrices(name):
    """With the weights for matrices it is backpropagation; with others, what goes on differs."""
    grads, d_x = fed_back(name, None)
    torch.testing.assert_close(fed_back(name, "weights"), (grads, d_x), rtol=0, atol=0)
    other, d_other = fed_back(name, "drawn")
    assert all(not torch.allclose(one, two) for one, two in zip(d_x, d_other, strict=True) if one is not None)
    if name in ALONE:
        torch.testing.assert_close(other, grads, rtol=0, atol=0)
