"""The curvature of a batch is that of its definition, for every layer with parameters."""

import sys

import pytest
import torch
from nets_of_samples import CASES, WITHIN, make

from mytorch.core import ArgumentError, EachSample, Module, OuterProducts, Parameter, factor_shapes, kronecker
from mytorch.nn import (
    BatchNorm1d,
    BCEWithLogitsLoss,
    Conv2d,
    ConvTranspose2d,
    CrossEntropyLoss,
    Dropout,
    Embedding,
    Flatten,
    L1Loss,
    Linear,
    MSELoss,
    Sequential,
    Tanh,
)
from mytorch.train import gradients
from mytorch.train.gradients import forward
from mytorch.train.interop import FromTorch
from mytorch.train.quantities import (
    ggn_diagonal,
    kronecker_factors,
    sample_gradients,
    sample_second_moment,
)

SLOWER = "mytorch.train.quantities.QuantityWarning"
pytestmark = [pytest.mark.numbers, pytest.mark.filterwarnings(f"ignore::{SLOWER}")]
EXACT = 1e-9


def of_sample(inputs, at):
    return inputs[at : at + 1] if isinstance(inputs, torch.Tensor) else tuple(each[at : at + 1] for each in inputs)


def jacobians(net, inputs, rows):
    """By the name of a parameter, for each sample the derivative of its prediction: (numbers of both)."""
    found = {name: [] for name, _ in net.named_param()}
    for at in range(rows):
        size = net(*inputs_of(of_sample(inputs, at))).numel()
        columns = {name: [] for name in found}
        for place in range(size):
            net.zero_grad()
            prediction, saved = forward(net, of_sample(inputs, at))
            d = torch.zeros_like(prediction)
            d.view(-1)[place] = 1
            net.backward(d, saved)
            for name, parameter in net.named_param():
                columns[name].append(torch.zeros_like(parameter.value) if parameter.grad is None else parameter.grad)
        for name, each in columns.items():
            found[name].append(torch.stack([one.flatten() for one in each]))
    net.zero_grad()
    return found


def inputs_of(inputs):
    return (inputs,) if isinstance(inputs, torch.Tensor) else inputs


def hessians(loss, net, inputs, targets):
    """The Hessian of the loss with respect to each sample's prediction, by autograd."""
    prediction = net(*inputs_of(inputs))
    rows, size = len(prediction), prediction[0].numel()
    with torch.enable_grad():
        whole = torch.autograd.functional.hessian(lambda y: torch_loss(loss)(y, targets), prediction)
    whole = whole.reshape(rows, size, rows, size)
    return [whole[at, :, at] for at in range(rows)]


def torch_loss(loss):
    held = {name: buffer.value for name, buffer in loss.named_buffer()}
    options = {
        name: held.get(name, getattr(loss, name))
        for name in ("weight", "pos_weight", "ignore_index", "label_smoothing", "reduction")
        if hasattr(loss, name)
    }
    return getattr(torch.nn, type(loss).__name__)(**options)


def blocks(net, loss, inputs, targets):
    """The block of the GGN of each parameter."""
    of_loss = hessians(loss, net, inputs, targets)
    return {
        name: sum(j.T @ h @ j for j, h in zip(each, of_loss, strict=True))
        for name, each in jacobians(net, inputs, len(targets)).items()
    }


def require_diagonal(net, loss, inputs, targets):
    found, of_loss = ggn_diagonal(net, loss, inputs, targets), hessians(loss, net, inputs, targets)
    derivatives = jacobians(net, inputs, len(targets))
    assert list(found) == list(derivatives)
    for name, each in derivatives.items():
        actual, wanted = found[name].flatten(), sum((j * (h @ j)).sum(0) for j, h in zip(each, of_loss, strict=True))
        torch.testing.assert_close(actual, wanted, rtol=0, atol=EXACT, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.parametrize("together", [True, False], ids=["together", "one by one"])
@pytest.mark.parametrize("case", [case for case in (*CASES, *WITHIN) if case != "RNN, long"])
def test_the_diagonal_is_that_of_the_ggn_for_every_layer(case, together, monkeypatch):
    """With a layer behind it that leaves few columns, which go through the net together or share one forward."""
    monkeypatch.setattr("mytorch.train.quantities.curvature.NUMBERS_AT_ONCE", 2**19 if together else 1)
    layer, inputs, _ = make(case, {**CASES, **WITHIN})
    rows = len(inputs_of(inputs)[0])
    size = layer(*inputs_of(inputs)).numel() // rows
    net = Sequential(layer, Flatten(), Linear(size, 2).double())
    require_diagonal(net, MSELoss(), inputs, torch.randn(rows, 2).double())


def class_targets(rows=5, *places):
    return torch.randint(3, (rows, *places))


LOSSES = {
    "classes": (CrossEntropyLoss(), class_targets()),
    "weighted, smoothed": (
        CrossEntropyLoss(torch.tensor([1.0, 2, 0.5]).double(), ignore_index=1, label_smoothing=0.2),
        torch.tensor([0, 1, 2, 1, 2]),
    ),
    "summed": (CrossEntropyLoss(reduction="sum"), class_targets()),
    "all ignored": (CrossEntropyLoss(ignore_index=1), torch.ones(5, dtype=torch.int64)),
    "probabilities": (
        CrossEntropyLoss(torch.tensor([1.0, 2, 0.5]).double(), label_smoothing=0.2),
        torch.rand(5, 3).double(),
    ),
    "questions": (BCEWithLogitsLoss(), torch.rand(5, 3).double()),
    "weighted questions": (
        BCEWithLogitsLoss(torch.rand(3).double(), pos_weight=torch.rand(3).double() + 2),
        torch.rand(5, 3).double(),
    ),
    "summed questions": (BCEWithLogitsLoss(reduction="sum"), torch.rand(5, 3).double()),
    "squares": (MSELoss(), torch.randn(5, 3).double()),
    "summed squares": (MSELoss(reduction="sum"), torch.randn(5, 3).double()),
}  # fmt: skip


def classifier():
    torch.manual_seed(3)
    return Sequential(Linear(2, 4), Tanh(), Linear(4, 3)).double()


@pytest.mark.parametrize(("loss", "targets"), LOSSES.values(), ids=LOSSES)
def test_columns_of_the_root_of_each_loss_are_those_of_its_hessian(loss, targets):
    prediction = torch.randn(5, 3, dtype=torch.float64)
    root = torch.stack(list(loss.hessian_root(prediction, targets)))
    found = torch.einsum("cni,cnj->nij", root, root)
    wanted = torch.stack(hessians(loss, torch.nn.Identity(), prediction, targets))
    if bool((targets == 1).all()) and not targets.is_floating_point():  # torch divides by 0
        wanted = torch.zeros_like(wanted)
    torch.testing.assert_close(found, wanted, rtol=0, atol=EXACT)


@pytest.mark.parametrize(("loss", "targets"), LOSSES.values(), ids=LOSSES)
def test_drawn_columns_have_the_hessian_as_their_mean(loss, targets):
    torch.manual_seed(0)
    prediction = torch.randn(5, 3, dtype=torch.float64)
    root = torch.stack(list(loss.hessian_root(prediction, targets)))
    wanted = torch.einsum("cni,cnj->nij", root, root)
    found = torch.stack(list(loss.hessian_root(prediction, targets, draws=4000)))
    found = torch.einsum("cni,cnj->nij", found, found)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0.1 * float(wanted.abs().max()))


@pytest.mark.parametrize(
    ("loss", "targets"),
    [
        (CrossEntropyLoss(), class_targets(4, 2, 3)),
        (MSELoss(), torch.randn(4, 3, 2, 3).double()),
        (BCEWithLogitsLoss(pos_weight=torch.full((3, 1, 1), 2.0).double()), torch.rand(4, 3, 2, 3).double()),
    ],
)
@pytest.mark.parametrize("draws", [None, 4000])
def test_a_prediction_of_several_places(loss, targets, draws):
    torch.manual_seed(0)
    prediction = torch.randn(4, 3, 2, 3, dtype=torch.float64)
    wanted = torch.stack(hessians(loss, torch.nn.Identity(), prediction, targets))
    found = torch.zeros_like(wanted)
    for column in loss.hessian_root(prediction, targets, draws):
        assert column.shape == prediction.shape
        found += torch.einsum("ni,nj->nij", column.flatten(1), column.flatten(1))
    torch.testing.assert_close(found, wanted, rtol=0, atol=EXACT if draws is None else 0.1 * float(wanted.max()))


def test_a_prediction_without_a_batch():
    loss, prediction, target = CrossEntropyLoss(), torch.randn(3).double(), torch.tensor(1)
    root = torch.stack(list(loss.hessian_root(prediction, target)))
    p = prediction.softmax(0)
    torch.testing.assert_close(root.T @ root, p.diag() - p.outer(p), rtol=0, atol=EXACT)
    assert next(iter(loss.hessian_root(prediction, target, 1))).shape == (3,)


@pytest.mark.parametrize(("loss", "targets"), LOSSES.values(), ids=LOSSES)
def test_the_diagonal_for_every_loss(loss, targets):
    x = torch.randn(5, 2, dtype=torch.float64)
    if targets is LOSSES["all ignored"][1]:
        assert not any(each.any() for each in ggn_diagonal(classifier(), loss, x, targets).values())
    else:
        require_diagonal(classifier(), loss, x, targets)


def test_more_columns_than_go_through_the_net_at_once(monkeypatch):
    net, x, t = classifier(), torch.randn(5, 2).double(), class_targets()
    wanted = ggn_diagonal(net, CrossEntropyLoss(), x, t)
    factors = kronecker_factors(net, CrossEntropyLoss(), x, t, None)
    monkeypatch.setattr("mytorch.train.quantities.curvature.NUMBERS_AT_ONCE", 100)
    torch.testing.assert_close(ggn_diagonal(net, CrossEntropyLoss(), x, t), wanted, rtol=0, atol=EXACT)
    torch.testing.assert_close(kronecker_factors(net, CrossEntropyLoss(), x, t, None), factors, rtol=0, atol=EXACT)


def forwards_for_three_columns(between, monkeypatch):
    """How often the forward of the first layer runs, after it was tried which axis has the samples."""
    forwards = []

    class Counting(Linear):
        def forward(self, x):
            forwards.append(len(x))
            return super().forward(x)

    monkeypatch.setattr("mytorch.train.quantities.curvature.NUMBERS_AT_ONCE", 1)
    torch.manual_seed(3)
    net = Sequential(Counting(2, 4), between, Linear(4, 3)).double()
    require_diagonal(net, CrossEntropyLoss(), torch.randn(5, 2).double(), class_targets())
    forwards.clear()
    ggn_diagonal(net, CrossEntropyLoss(), torch.randn(5, 2).double(), class_targets())
    return forwards.count(5)


def test_one_forward_serves_all_columns_unless_what_it_saves_can_be_used_once(monkeypatch):
    assert forwards_for_three_columns(Tanh(), monkeypatch) == 1
    assert forwards_for_three_columns(FromTorch(torch.nn.Tanh()), monkeypatch) == 3


@pytest.mark.parametrize("function", [ggn_diagonal, lambda *batch: kronecker_factors(*batch, None)])
@pytest.mark.parametrize("at_once", [2**19, 1], ids=["together", "one by one"])
def test_the_windows_of_a_convolution_are_unfolded_once_for_all_columns(function, at_once, monkeypatch):
    monkeypatch.setattr("mytorch.train.quantities.curvature.NUMBERS_AT_ONCE", at_once)
    unfolded, windows = [], Conv2d._windows
    monkeypatch.setattr(Conv2d, "_windows", lambda self, x, pads: unfolded.append(len(x)) or windows(self, x, pads))
    net = Sequential(Conv2d(1, 2, 2), Tanh(), Conv2d(2, 3, 2), Flatten())
    function(net, CrossEntropyLoss(), torch.randn(5, 1, 3, 3), class_targets())
    assert unfolded == [5, 5]


@pytest.mark.parametrize("at_once", [2**19, 1], ids=["together", "one by one"])
@pytest.mark.parametrize("kept", [2**21, 20], ids=["all columns", "some columns"])
def test_columns_that_are_stated_together(kept, at_once, monkeypatch):
    """Several rows a sample, and groups, with all columns or some at a time."""
    monkeypatch.setattr("mytorch.train.quantities.curvature.NUMBERS_AT_ONCE", at_once)
    monkeypatch.setattr("mytorch.train.quantities.columns.NUMBERS_KEPT", kept)
    monkeypatch.setattr("mytorch.train.quantities.column_products.NUMBERS_FORMED", 200)
    torch.manual_seed(3)
    net = Sequential(Conv2d(2, 4, 2, groups=2), Tanh(), Linear(3, 2), Flatten(), Linear(24, 3)).double()
    x, t = torch.randn(5, 2, 4, 4).double(), class_targets()
    require_diagonal(net, CrossEntropyLoss(), x, t)
    found = ggn_diagonal(net, CrossEntropyLoss(), x, t)
    factors = kronecker_factors(net, CrossEntropyLoss(), x, t, None)
    torch.testing.assert_close(factors["2.bias"].outputs.diagonal(), found["2.bias"], rtol=0, atol=EXACT)


def test_no_gradients_of_the_batch_are_computed(monkeypatch):
    def accumulate(parameter, d_value):
        raise AssertionError

    monkeypatch.setattr(Parameter, "accumulate", accumulate)
    net, x, t = classifier(), torch.randn(5, 2).double(), class_targets()
    net[2].bias.trainable = False
    found = ggn_diagonal(net, CrossEntropyLoss(), x, t)
    assert list(found) == ["0.weight", "0.bias", "2.weight"]
    assert [parameter.trainable for parameter in net.param()] == [True, True, True, False]


def test_drawn_targets_give_the_diagonal_in_the_mean_and_differ_between_calls():
    net, x, t = classifier(), torch.randn(5, 2).double(), class_targets()
    wanted = ggn_diagonal(net, CrossEntropyLoss(), x, t)
    torch.manual_seed(0)
    found = ggn_diagonal(net, CrossEntropyLoss(), x, t, samples=5000)
    for name, each in wanted.items():
        torch.testing.assert_close(found[name], each, rtol=0, atol=0.06 * float(each.max()))
    torch.manual_seed(1)
    one, other = (ggn_diagonal(net, CrossEntropyLoss(), x, t, 1)["0.weight"] for _ in range(2))
    assert not torch.equal(one, other)
    torch.manual_seed(1)
    assert torch.equal(ggn_diagonal(net, CrossEntropyLoss(), x, t, 1)["0.weight"], one)


def test_a_net_that_draws_random_numbers_draws_the_same_for_each_column():
    torch.manual_seed(3)
    net, x, t = (
        Sequential(Linear(2, 30), Dropout(0.5), Linear(30, 3)).double(),
        torch.randn(5, 2).double(),
        class_targets(),
    )
    torch.manual_seed(5)
    kept, _ = net.layers[1].forward(torch.ones(5, 30).double()) if hasattr(net, "layers") else (None, None)
    torch.manual_seed(5)
    found = ggn_diagonal(net, CrossEntropyLoss(), x, t)
    hidden = net[0](x) * kept
    p = net[2](hidden).softmax(1)
    wanted = (p - p * p).T @ hidden.square() / 5
    torch.testing.assert_close(found["2.weight"], wanted, rtol=0, atol=EXACT)
    assert torch.equal(torch.get_rng_state(), _seeded(5))  # all is put back
    drawn = ggn_diagonal(net, CrossEntropyLoss(), x, t, samples=600)["2.bias"]
    torch.testing.assert_close(drawn, ggn_diagonal(net.eval(), CrossEntropyLoss(), x, t)["2.bias"], rtol=0, atol=0.1)


def _seeded(seed):
    torch.manual_seed(seed)
    return torch.get_rng_state()


def test_the_second_moment_is_the_mean_of_squares():
    net, x, t = classifier(), torch.randn(5, 2).double(), class_targets()
    each = sample_gradients(net, CrossEntropyLoss(), x, t)
    found = sample_second_moment(net, CrossEntropyLoss(), x, t)
    assert list(found) == list(each)
    for name, one in each.items():
        torch.testing.assert_close(found[name], one.square().mean(0), rtol=0, atol=EXACT)


def test_net_loss_and_gradients_are_as_before():
    net, x, t = classifier(), torch.randn(5, 2).double(), class_targets()
    gradients(net, CrossEntropyLoss(), x, t)
    before = [parameter.grad.clone() for parameter in net.param()]
    ggn_diagonal(net, CrossEntropyLoss(), x, t)
    kronecker_factors(net, CrossEntropyLoss(), x, t)
    assert all(map(torch.equal, before, (parameter.grad for parameter in net.param())))
    assert all("forward" not in vars(module) and module.input_grad for module in net.modules())


FACTORED = {
    "one row": (lambda: Sequential(Linear(4, 5), Tanh(), Linear(5, 3, bias=False)), (6, 4)),
    "rows": (lambda: Sequential(Linear(4, 3), Tanh(), Linear(3, 2)), (5, 3, 4)),
    "convolution": (lambda: Sequential(Conv2d(2, 3, 2), Flatten()), (4, 2, 4, 3)),
}


@pytest.mark.parametrize("draws", [None, 2])
@pytest.mark.parametrize(("build", "shape"), FACTORED.values(), ids=FACTORED)
def test_the_factors_are_those_of_their_formula(build, shape, draws):
    """By what each layer is given and the gradients at its output, one column after the other."""
    torch.manual_seed(3)
    net, x = build().double(), torch.randn(shape).double()
    t = torch.randn(net(x).shape).double()
    torch.manual_seed(1)
    found = kronecker_factors(net, MSELoss(), x, t, draws)
    torch.manual_seed(1)
    if draws is not None:
        torch.manual_seed(int(torch.randint(2**62, ())))
    columns = list(MSELoss().hessian_root(net(x), t, draws))
    layer = net[0]
    rows = rows_of(layer, x)
    places = rows.shape[1]
    outputs, bias = 0.0, 0.0
    for column in columns:
        d = column
        saved, y = [], x
        for each in net:
            y, kept = each.forward(y)
            saved.append(kept)
        for each, kept in zip(reversed(list(net)[1:]), reversed(saved[1:]), strict=True):
            d = each.backward(d, kept)
        d = d.flatten(2).mT if isinstance(layer, Conv2d) else d.reshape(len(d), -1, d.shape[-1])
        outputs = outputs + torch.einsum("nti,ntj->ij", d, d) / places
        bias = bias + torch.einsum("ni,nj->ij", d.sum(1), d.sum(1))
    inputs = torch.einsum("nti,ntj->ij", rows, rows) / len(x)
    torch.testing.assert_close(found["0.weight"].inputs, inputs, rtol=0, atol=EXACT)
    torch.testing.assert_close(found["0.weight"].outputs, outputs, rtol=0, atol=EXACT)
    torch.testing.assert_close(found["0.bias"].outputs, bias, rtol=0, atol=EXACT)
    assert torch.equal(found["0.bias"].inputs, torch.ones(1, 1).double())


def rows_of(layer, x):
    if isinstance(layer, Conv2d):
        return torch.nn.functional.unfold(x, layer.kernel_size).mT
    return x.reshape(len(x), -1, x.shape[-1])


def test_the_factors_of_a_single_sample_are_the_block_itself():
    net, x, t = classifier(), torch.randn(1, 2).double(), class_targets(1)
    found = kronecker_factors(net, CrossEntropyLoss(), x, t, None)
    for name, block in blocks(net, CrossEntropyLoss(), x, t).items():
        product = torch.kron(found[name].outputs, found[name].inputs)
        torch.testing.assert_close(product, block, rtol=0, atol=EXACT)


@pytest.mark.parametrize("groups", [1, 2])
def test_the_factors_of_a_transposed_convolution_of_one_place_are_the_block_itself(groups):
    """The first axis of its weight belongs to the input, so that the gradients are in the other factor."""
    torch.manual_seed(3)
    net = Sequential(ConvTranspose2d(4, 2 * groups, (2, 1), groups=groups), Flatten()).double()
    x, t = torch.randn(1, 4, 1, 1).double(), class_targets(1)
    found = kronecker_factors(net, CrossEntropyLoss(), x, t, None)["0.weight"]
    block = blocks(net, CrossEntropyLoss(), x, t)["0.weight"]
    for group, part in enumerate(block.unflatten(0, (groups, -1)).unflatten(2, (groups, -1)).unbind()):
        outputs, inputs = (factor if groups == 1 else factor[group] for factor in (found.outputs, found.inputs))
        torch.testing.assert_close(torch.kron(outputs, inputs), part[:, group], rtol=0, atol=EXACT)


def test_the_factors_of_groups_are_those_of_convolutions_side_by_side():
    torch.manual_seed(3)
    grouped, x = Conv2d(4, 6, 2, groups=2).double(), torch.randn(3, 4, 3, 3).double()
    found = kronecker_factors(Sequential(grouped), MSELoss("sum"), x, torch.zeros(3, 6, 2, 2).double(), None)[
        "0.weight"
    ]
    for group in range(2):
        part = x[:, 2 * group : 2 * group + 2]
        alone = kronecker_factors(
            Sequential(Conv2d(2, 3, 2).double()), MSELoss("sum"), part, torch.zeros(3, 3, 2, 2).double(), None
        )["0.weight"]
        torch.testing.assert_close(found.inputs[group], alone.inputs, rtol=0, atol=EXACT)
        torch.testing.assert_close(found.outputs[group], alone.outputs, rtol=0, atol=EXACT)


def test_what_has_no_factors_is_left_out():
    net = Sequential(Embedding(7, 4), Flatten(), Linear(8, 2))
    found = kronecker_factors(net, MSELoss(), torch.tensor([[1, 2], [3, 4]]), torch.randn(2, 2))
    assert list(found) == ["2.weight", "2.bias"]
    assert kronecker(EachSample(torch.randn(3, 2, 2))) is None
    assert kronecker(OuterProducts(torch.ones(2, 1, 3), torch.ones(2, 1, 4), (3, 4))).outputs.shape == (3, 3)


@pytest.mark.parametrize("samples", [1, None])
@pytest.mark.parametrize("bias", [False, True])
def test_factors_that_have_no_room_are_refused_before_they_are_formed(monkeypatch, samples, bias):
    """Before most of the 20,000 columns, too, each of which would take a pass."""
    monkeypatch.setattr(sys.modules["mytorch.plugins.memory"], "memory", lambda: 10**8)
    torch.manual_seed(0)
    net, x, t = Sequential(Linear(4, 8), Tanh(), Linear(8, 20_000, bias=bias)), torch.randn(3, 4), class_targets(3)
    text = (
        rf"^kronecker_factors: factors up to those of 2\.{'bias' if bias else 'weight'}, .* and \(20000, 20000\), "
        r"must fit into the memory of this machine, 100\.0 MB, got 1\.6 GB; set trainable = False for this parameter"
    )
    if bias:
        net[2].weight.trainable = False
    with pytest.raises(ArgumentError, match=text):
        kronecker_factors(net, CrossEntropyLoss(), x, t, samples)
    net[2].weight.trainable = True
    for held in net[2].param():
        held.trainable = False
    assert list(kronecker_factors(net, CrossEntropyLoss(), x, t, 1)) == ["0.weight", "0.bias"]


@pytest.mark.parametrize("groups", [1, 2])
def test_shapes_of_factors_are_known_before_they_are_formed(groups):
    d_rows, rows = torch.randn(3, groups, 5, 2), torch.randn(3, groups, 5, 4)
    if groups == 1:
        d_rows, rows = d_rows.squeeze(1), rows.squeeze(1)
    for reverse in (False, True):
        shape = (groups * 4, 2) if reverse else (groups * 2, 4)
        products = OuterProducts(
            rows if reverse else d_rows, d_rows if reverse else rows, shape, gradients_in_rows=reverse
        )
        assert factor_shapes(products) == tuple(tuple(factor.shape) for factor in kronecker(products))
    vector = EachSample(torch.randn(3, 6))
    assert factor_shapes(vector) == tuple(tuple(factor.shape) for factor in kronecker(vector)) == ((1, 1), (6, 6))
    assert factor_shapes(EachSample(torch.randn(3, 2, 2))) == ()


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 2)])
def test_columns_are_the_same_however_many_are_computed_at_once(monkeypatch, shape):
    prediction, target = torch.randn(shape).double(), torch.randint(3, (shape[0], *shape[2:]))
    wanted = list(CrossEntropyLoss().hessian_root(prediction, target))
    for numbers in (1, 31):
        monkeypatch.setattr(sys.modules["mytorch.nn.loss.cross_entropy_loss"], "AT_ONCE", numbers)
        found = list(CrossEntropyLoss().hessian_root(prediction, target))
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)


class Plain(Module):
    """A loss that is no `mytorch.core.Loss`."""

    def forward(self, prediction, target):
        return (prediction - target).square().mean(), (prediction, target)

    def backward(self, d, saved):
        return d * 2 * (saved[0] - saved[1]) / saved[0].numel()


class Pair(Module):
    """Returns its output twice."""

    def __init__(self):
        self.layer = Linear(2, 2)

    def forward(self, x):
        y, saved = self.layer.forward(x)
        return (y, y), saved

    def backward(self, d, saved):
        return self.layer.backward(d[0] + d[1], saved)


class OfPair(MSELoss):
    def forward(self, prediction, target):
        return super().forward(prediction[0], target)

    def backward(self, d_value, saved):
        d = super().backward(d_value, saved)
        return d, torch.zeros_like(d)

    def weight_of(self, prediction, target):
        return target.numel()


@pytest.mark.parametrize(
    ("net", "loss", "options", "text"),
    [
        (Linear(2, 2), L1Loss(), {}, "L1Loss: hessian_root must be defined where second derivatives of the loss"),
        (
            Linear(2, 2),
            Plain(),
            {},
            "curvature: loss must be a mytorch.core.Loss, which states hessian_root, got a",
        ),
        (Linear(2, 2), MSELoss(), {"samples": 0}, "curvature: samples must be a whole number of at least 1, got 0"),
        (Linear(2, 2), MSELoss("none"), {}, "reduction of the loss must be one of mean, sum"),
        (Pair(), OfPair(), {}, "curvature: the net must return a tensor with the 4 samples .* got a tuple"),
        (Sequential(Linear(2, 2), BatchNorm1d(2)), MSELoss(), {}, r"layer '1' \(BatchNorm1d\), which mixes"),
    ],
)
@pytest.mark.parametrize("function", [ggn_diagonal, kronecker_factors])
def test_what_has_no_curvature_is_refused(function, net, loss, options, text):
    with pytest.raises(ArgumentError, match=text):
        function(net, loss, torch.randn(4, 2), torch.randn(4, 2), **options)
