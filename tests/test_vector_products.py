"""Products of curvature matrices with vectors are those of torch.func, and of the definition for every layer."""

import pytest
import torch
from nets_of_samples import CASES, WITHIN, make
from torch.func import functional_call, grad, jvp, vjp

import mytorch.nn
from mytorch.core import ArgumentError, EachSample, Module, OuterProducts, ShapeError, Stacked, TableRows
from mytorch.nn import (
    BatchNorm1d,
    CrossEntropyLoss,
    Dropout,
    Flatten,
    L1Loss,
    Linear,
    MSELoss,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
)
from mytorch.train.quantities import (
    QuantityWarning,
    ggn_diagonal,
    ggn_vector_product,
    hessian_vector_product,
    jacobian_vector_product,
)

SLOWER = "mytorch.train.quantities.QuantityWarning"
pytestmark = [pytest.mark.numbers, pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")]
EXACT = 1e-9

NETS = {
    "perceptron": (
        lambda n: n.Sequential(n.Linear(4, 5), n.Tanh(), n.Linear(5, 4), n.Sigmoid(), n.Linear(4, 3)), (6, 4)),
    "convolutions": (
        lambda n: n.Sequential(n.Conv2d(2, 3, 2), n.GELU(), n.AvgPool2d(2), n.Conv2d(3, 2, 2, padding=1),
                               n.GroupNorm(1, 2), n.Flatten(), n.Linear(18, 3)), (5, 2, 5, 5)),
    "normalised": (lambda n: n.Sequential(n.Linear(4, 5), n.LayerNorm(5), n.SiLU(), n.Linear(5, 3)), (6, 4)),
}  # fmt: skip


def beside_torch(case):
    torch.manual_seed(3)
    build, shape = NETS[case]
    theirs, net = build(torch.nn).double(), build(mytorch.nn).double()
    net.load_state_dict(theirs.state_dict())
    x, t = torch.randn(shape, dtype=torch.float64), torch.randint(3, (shape[0],))
    values = {name: value.detach() for name, value in theirs.named_parameters()}
    vector = {name: torch.randn_like(value) for name, value in values.items()}
    return net, theirs, x, t, values, vector


def require_close(found, wanted, atol=EXACT, rtol=0):
    assert list(found) == list(wanted)
    for name, each in wanted.items():
        torch.testing.assert_close(found[name], each, rtol=rtol, atol=atol, msg=lambda text, n=name: f"{n}: {text}")


@pytest.mark.filterwarnings(f"ignore::{SLOWER}")
@pytest.mark.parametrize("case", NETS)
def test_the_product_with_the_jacobian_is_that_of_torch_func(case):
    net, theirs, x, _, values, vector = beside_torch(case)
    _, wanted = jvp(lambda p: functional_call(theirs, p, (x,)), (values,), (vector,))
    torch.testing.assert_close(jacobian_vector_product(net, x, vector), wanted, rtol=0, atol=EXACT)


@pytest.mark.filterwarnings(f"ignore::{SLOWER}")
@pytest.mark.parametrize("case", NETS)
def test_the_product_with_the_ggn_is_that_of_torch_func(case):
    net, theirs, x, t, values, vector = beside_torch(case)

    def predicted(p):
        return functional_call(theirs, p, (x,))

    y, d_y = jvp(predicted, (values,), (vector,))
    _, of_loss = jvp(grad(lambda y: torch.nn.functional.cross_entropy(y, t)), (y,), (d_y,))
    wanted = vjp(predicted, values)[1](of_loss)[0]
    require_close(ggn_vector_product(net, CrossEntropyLoss(), x, t, vector), wanted)


@pytest.mark.filterwarnings(f"ignore::{SLOWER}")
@pytest.mark.parametrize("case", NETS)
def test_the_product_with_the_hessian_is_that_of_torch_func(case):
    net, theirs, x, t, values, vector = beside_torch(case)

    def value(p):
        return torch.nn.functional.cross_entropy(functional_call(theirs, p, (x,)), t)

    _, wanted = jvp(grad(value), (values,), (vector,))
    require_close(hessian_vector_product(net, CrossEntropyLoss(), x, t, vector), wanted)
    before = {name: parameter.value.clone() for name, parameter in net.named_param()}
    single = {name: part.float() for name, part in vector.items()}
    found = hessian_vector_product(net.float(), CrossEntropyLoss(), x.float(), t, single)
    assert all(part.dtype is torch.float32 for part in found.values())
    require_close({name: part.double() for name, part in found.items()}, wanted, 1e-5, 1e-5)
    assert all(torch.equal(before[name].float(), parameter.value) for name, parameter in net.named_param())
    assert all(parameter.grad is None for parameter in net.param())


@pytest.mark.filterwarnings(f"ignore::{SLOWER}")
@pytest.mark.parametrize("case", [case for case in (*CASES, *WITHIN) if case != "RNN, long"])
def test_the_product_with_the_ggn_for_every_layer(case):
    """Its columns, one for each number of a parameter, are what the diagonal holds."""
    layer, inputs, _ = make(case, {**CASES, **WITHIN})
    given = (inputs,) if isinstance(inputs, torch.Tensor) else inputs
    rows = len(given[0])
    net = Sequential(layer, Flatten(), Linear(layer(*given).numel() // rows, 2).double())
    t = torch.randn(rows, 2).double()
    diagonal = ggn_diagonal(net, MSELoss(), inputs, t)
    zeros = {name: torch.zeros_like(parameter.value) for name, parameter in net.named_param()}
    products = {}
    for name in [name for name, _ in net.named_param()][:3]:
        unit = zeros[name].clone()
        place = int(diagonal[name].argmax())
        unit.view(-1)[place] = 1
        products[name, place] = ggn_vector_product(net, MSELoss(), inputs, t, {**zeros, name: unit})
        found = products[name, place][name].view(-1)[place]
        torch.testing.assert_close(found, diagonal[name].view(-1)[place], rtol=0, atol=EXACT)
    for (name, place), one in products.items():  # the matrix is symmetric
        for (other, at), two in products.items():
            torch.testing.assert_close(one[other].view(-1)[at], two[name].view(-1)[place], rtol=0, atol=EXACT)


def outer_blocks():
    return OuterProducts(torch.randn(3, 2, 4, 5), torch.randn(3, 2, 4, 2), (10, 2), 0.5)


FORMS = {
    "each": lambda: EachSample(torch.randn(3, 4, 2), 2.0),
    "outer": lambda: OuterProducts(torch.randn(3, 6, 4), torch.randn(3, 6, 2), (4, 2), 3.0),
    "blocks": outer_blocks,
    "table": lambda: TableRows(torch.randn(4, 2), *torch.tensor([[0, 0, 1, 2], [1, 3, 3, 0]]), 3, (5, 2), 2),
    "stacked": lambda: Stacked((EachSample(torch.randn(3, 4, 2)), outer_blocks()), (14, 2)),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_what_each_form_says_of_a_vector(form):
    torch.manual_seed(3)
    samples = form()
    vector = torch.randn(samples.sizes()[1:])
    wanted = torch.einsum("nij,ij->n", samples.each(), vector)
    torch.testing.assert_close(samples.along(vector), wanted)


@pytest.mark.filterwarnings(f"ignore::{SLOWER}")
def test_a_layer_that_mixes_the_batch_and_draws_numbers_has_a_product_with_the_hessian():
    torch.manual_seed(3)
    net = Sequential(Linear(4, 6), BatchNorm1d(6), Tanh(), Dropout(0.5), Linear(6, 2)).double()
    x, t = torch.randn(8, 4).double(), torch.randn(8, 2).double()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    vectors = [{n: torch.randn_like(p.value) for n, p in net.named_param()} for _ in range(2)]
    torch.manual_seed(4)
    one, two = (hessian_vector_product(net, MSELoss(), x, t, vector) for vector in vectors)
    left = sum((one[name] * vectors[1][name]).sum() for name in one)
    right = sum((two[name] * vectors[0][name]).sum() for name in two)
    torch.testing.assert_close(left, right, rtol=0, atol=1e-8)  # the matrix is symmetric
    assert float(left) != 0
    torch.testing.assert_close(net.state_dict(), state, rtol=0, atol=0)


def test_the_hessian_without_a_second_derivative_of_the_net_is_the_ggn():
    net, x, t = Linear(4, 3).double(), torch.randn(6, 4).double(), torch.randint(3, (6,))
    vector = {name: torch.randn_like(parameter.value) for name, parameter in net.named_param()}
    wanted = ggn_vector_product(net, CrossEntropyLoss(), x, t, vector)
    require_close(hessian_vector_product(net, CrossEntropyLoss(), x, t, vector), wanted)
    zero = {name: torch.zeros_like(part) for name, part in vector.items()}
    assert not any(part.any() for part in hessian_vector_product(net, CrossEntropyLoss(), x, t, zero).values())


class Rectifier(Module):
    """A stranger's ReLU."""

    def forward(self, x):
        return x.clamp(min=0), x

    def backward(self, d_y, x):
        return d_y * (x > 0)


def near_the_kink(rectifier, distance):
    net = Sequential(Linear(1, 1), rectifier, Linear(1, 1)).double()
    for layer, bias in ((net[0], -1 + distance), (net[2], 0.5)):
        layer.weight.value.fill_(1.0)
        layer.bias.value.fill_(bias)
    x = torch.ones(1, 1).double()
    return net, MSELoss(), x, x, {name: torch.ones_like(parameter.value) for name, parameter in net.named_param()}


@pytest.mark.filterwarnings(f"ignore::{SLOWER}")
def test_smaller_steps_are_taken_near_a_kink_and_one_at_the_place_is_told():
    wanted = hessian_vector_product(*near_the_kink(ReLU(), 2e-4))
    require_close(hessian_vector_product(*near_the_kink(Rectifier(), 2e-4)), wanted, 1e-6)
    told = r"the backward_tangent of layer '1' \(Rectifier\) is measured to have a relative error of"
    with pytest.warns(QuantityWarning, match=told):
        hessian_vector_product(*near_the_kink(Rectifier(), 0.0))


@pytest.mark.parametrize("function", [ggn_vector_product, hessian_vector_product])
@pytest.mark.parametrize(
    ("vector", "error", "text"),
    [
        ({"weight": torch.ones(2, 2)}, ArgumentError, "for each trained parameter, weight, bias, got weight"),
        (
            [1],
            ArgumentError,
            "vector must be a dict with a tensor for each trained parameter, weight, bias, got a list",
        ),
        (
            {"weight": torch.ones(2), "bias": torch.ones(2)},
            ShapeError,
            r"have the shape \(2, 2\) for weight, got \(2,\)",
        ),
    ],
)
def test_a_vector_that_does_not_fit_is_refused(function, vector, error, text):
    with pytest.raises(error, match=f"{function.__name__}: .*{text}"):
        function(Linear(2, 2), MSELoss(), torch.ones(3, 2), torch.ones(3, 2), vector)


@pytest.mark.filterwarnings(f"ignore::{SLOWER}")
def test_a_loss_without_a_root_has_a_ggn_unless_targets_are_drawn():
    net, x, t = Sequential(Linear(2, 2), Sigmoid(), Linear(2, 2)), torch.randn(3, 2), torch.randn(3, 2)
    vector = {name: torch.randn_like(parameter.value) for name, parameter in net.named_param()}
    assert not any(part.any() for part in ggn_vector_product(net, L1Loss(), x, t, vector).values())
    assert hessian_vector_product(net, L1Loss(), x, t, vector)["0.weight"].any()
    with pytest.raises(ArgumentError, match="L1Loss: hessian_root must be defined"):
        ggn_vector_product(net, L1Loss(), x, t, vector, samples=1)
