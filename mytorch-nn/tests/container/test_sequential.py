import subprocess
import sys
import weakref

import pytest
import torch

from mytorch.core import ArgumentError, Module, ShapeError, StateError, add_path, describe, rebuild
from mytorch.nn import Dropout, Embedding, Flatten, Identity, Linear, MSELoss, ReLU, Sequential, Tanh
from mytorch.testing import check_layer


def pair(*layers):
    """A net and its twin: numbers are linear layers, the others are class names."""
    made = [
        [cls(*layer) if isinstance(layer, tuple) else cls() for layer, cls in zip(layers, classes, strict=True)]
        for classes in (
            [Linear if isinstance(layer, tuple) else layer for layer in layers],
            [torch.nn.Linear if isinstance(layer, tuple) else getattr(torch.nn, layer.__name__) for layer in layers],
        )
    ]
    return Sequential(*made[0]), torch.nn.Sequential(*made[1])


@pytest.mark.parametrize("shape", [(7, 2), (0, 2), (1, 2), (2,), (3, 2, 2)], ids=str)
def test_as_torch(agree, shape):
    agree(*pair((2, 25), ReLU, (25, 25), Tanh, Dropout, (25, 2)), torch.randn(shape))


def test_nested_and_empty(agree):
    ours, twin = pair((2, 3), Tanh)
    more, twin_more = pair((3, 2), ReLU)
    agree(Sequential(ours, more), torch.nn.Sequential(twin, twin_more), torch.randn(4, 2))
    agree(Sequential(), torch.nn.Sequential(), torch.randn(4, 2))


def test_a_layer_used_twice(agree):
    ours, twin = Linear(3, 3), torch.nn.Linear(3, 3)
    agree(Sequential(ours, Tanh(), ours), torch.nn.Sequential(twin, torch.nn.Tanh(), twin), torch.randn(5, 3))


def shared_twice():
    layer = Linear(3, 3)
    return Sequential(layer, Tanh(), layer)


FACTORIES = [lambda: Sequential(Linear(3, 4), Tanh(), Dropout(), Linear(4, 2)), shared_twice, Sequential]


@pytest.mark.parametrize("factory", FACTORIES, ids=["net", "shared", "empty"])
def test_the_contract(factory):
    check_layer(factory, torch.randn(5, 3))


def test_uneven_micro_batches_add_up_to_the_full_batch():
    net, loss = pair((3, 5), Tanh, (5, 2))[0].to(torch.float64), MSELoss()
    x, t = torch.randn(10, 3, dtype=torch.float64), torch.randn(10, 2, dtype=torch.float64)

    def step(rows, weight):
        y, saved = net.forward(x[rows])
        net.backward(loss.backward(weight, loss.forward(y, t[rows])[1]), saved)

    step(slice(None), 1.0)
    full = [parameter.grad.clone() for parameter in net.param()]
    net.zero_grad()
    for low, high in ((0, 3), (3, 4), (4, 10)):
        step(slice(low, high), (high - low) / 10)
    torch.testing.assert_close([parameter.grad for parameter in net.param()], full, rtol=1e-12, atol=1e-12)


def test_a_saved_value_is_good_for_one_backward():
    net = Sequential(Linear(3, 3), ReLU())
    y, saved = net.forward(torch.randn(2, 3))
    net.backward(y, saved)
    assert saved == []
    with pytest.raises(StateError) as caught:
        net.backward(y, saved)
    assert str(caught.value) == (
        "Sequential: saved must hold one value for each of 2 layers, got 0; a saved value is good for one backward: "
        "call forward again"
    )


class Watch(Module):
    """Tells in every forward whether the value saved two layers before is still there."""

    seen: list

    def __init__(self, seen):
        self.seen = seen

    def forward(self, x):
        self.seen.append([ref() is not None for ref, *_ in self.seen])
        saved = torch.zeros(1)
        self.seen[-1] = (weakref.ref(saved), self.seen[-1])
        return x.clone(), saved


def test_a_call_drops_saved_values_layer_by_layer():
    seen = []
    Sequential(Watch(seen), Watch(seen), Watch(seen))(torch.ones(1))
    assert not any(alive for _, before in seen for alive in before)


FREED = """
import weakref
import torch
from mytorch.core import Module
from mytorch.nn import Sequential

class Doubled(Module):
    def forward(self, x):
        return 2 * x, None

    def backward(self, d_y, saved):
        d_x = 2 * d_y
        made.append((weakref.ref(d_x), [ref() is not None for ref, _ in made]))
        return d_x

made = []
net = Sequential(Sequential(Doubled(), Doubled(), Doubled()), Doubled())
net.backward(torch.randn(3), net.forward(torch.randn(3))[1])
print([alive for _, alive in made])
"""
"""In a process of its own: once torch.compile has run, Python keeps the arguments of a call until it returns."""


def test_a_nested_backward_frees_the_gradients_that_its_layers_have_used():
    run = subprocess.run([sys.executable, "-c", FREED], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout == f"{[[], [True], [False, True], [False, False, True]]}\n"


# A list of layers


def test_list_operations():
    a, b, c, d = Linear(1, 1), ReLU(), Tanh(), Linear(1, 1)
    net = Sequential(a, b)
    net.append(c)
    net.insert(1, d)
    assert list(net) == [a, d, b, c]
    net[0] = c
    net[-1] = a
    assert [net[i] for i in range(len(net))] == [c, d, b, a]
    net.extend([b, b])
    assert len(net) == 6
    del net[4:]
    assert net.pop() is a
    del net[0]
    assert list(net) == [d, b]
    net[:] = [a, c]
    assert list(net) == [a, c]
    part = net[1:]
    assert isinstance(part, Sequential)
    assert list(part) == [c]
    assert [name for name, _ in net.named_children()] == ["0", "1"]
    with pytest.raises(IndexError, match="Sequential: index must fit 2 children, got 2"):
        net[2]


@pytest.mark.parametrize(
    ("child", "text"),
    [
        ([ReLU()], "Sequential: child must be a Module, got list; write Sequential(*layers)"),
        (ReLU, "Sequential: child must be a Module, got the class ReLU; write ReLU(...)"),
        (torch.relu, "Sequential: child must be a Module, got builtin_function_or_method"),
        (torch.nn.ReLU(), "Sequential: child must be a Module, got torch.nn.modules.activation.ReLU"),
    ],
)
def test_a_child_that_is_no_module(child, text):
    net = Sequential(ReLU())
    for use in (Sequential, net.append, lambda child: net.insert(0, child), lambda child: net.extend([child])):
        with pytest.raises(ArgumentError) as caught:
            use(child)
        assert str(caught.value) == text
    assert len(net) == 1


def test_described_are_the_present_children():
    net = Sequential(Linear(2, 3))
    net.append(ReLU())
    net.insert(0, Linear(2, 2))
    again = rebuild(describe(net)[0])
    assert repr(again) == repr(net)
    again.load_state_dict(net.state_dict())
    assert repr(Sequential()) == "Sequential()"


# input_grad


def test_input_grad_reaches_the_first_layer_only():
    net = Sequential(Sequential(Linear(2, 3), ReLU()), Linear(3, 1))
    net.input_grad = False
    assert [module.input_grad for module in net.modules()] == [False, False, False, True, True]
    y, saved = net.forward(torch.randn(4, 2))
    assert net.backward(y, saved) is None
    assert all(parameter.grad is not None for parameter in net.param())


def test_layers_before_the_first_with_parameters_have_no_backward_to_do():
    class Counted(Identity):
        calls = 0

        def backward(self, d_y, shape):
            type(self).calls += 1
            return super().backward(d_y, shape)

    net = Sequential(Counted(), Sequential(Flatten(), Counted()), Linear(6, 3), Tanh(), Linear(3, 1))
    x, gradients = torch.randn(4, 2, 3), []
    for wanted in (True, False):
        net.input_grad = wanted
        assert [net[0].input_grad, net[1].input_grad, net[1][0].input_grad, net[2].input_grad] == [wanted] * 4
        assert net[4].input_grad
        net.zero_grad()
        y, saved = net.forward(x)
        assert (net.backward(torch.ones_like(y), saved) is None) is not wanted
        assert saved == []
        gradients.append([parameter.grad for parameter in net.param()])
        assert Counted.calls == 2
    torch.testing.assert_close(*gradients, rtol=0, atol=0)


@pytest.mark.parametrize("wanted", [True, False])
def test_whole_numbers_that_are_rearranged_have_no_gradient(wanted):
    net = Sequential(Flatten(), Identity(), Embedding(5, 3), Flatten(), Linear(18, 2))
    net.input_grad = wanted
    y, saved = net.forward(torch.randint(5, (4, 2, 3)))
    assert net.backward(torch.ones_like(y), saved) is None
    assert saved == []
    assert all(parameter.grad is not None for parameter in net.param())


def test_a_layer_that_returns_no_gradient_for_one_with_parameters_is_found():
    class Forgets(Tanh):
        def backward(self, d_y, y):
            super().backward(d_y, y)

    net = Sequential(Linear(3, 3), Forgets())
    y, saved = net.forward(torch.randn(4, 3))
    with pytest.raises(ShapeError, match=r"Linear: d_y must have the shape of the output, \(4, 3\), got None"):
        net.backward(y, saved)


def test_input_grad_is_not_passed_to_a_first_layer_that_is_used_again():
    net = shared_twice()
    net.input_grad = False
    y, saved = net.forward(torch.randn(4, 3))
    assert net[0].input_grad
    assert net.backward(y, saved) is None


CHANGES = {
    "insert": lambda net: net.insert(0, Linear(3, 3)),
    "set": lambda net: net.__setitem__(0, Linear(3, 3)),
    "delete": lambda net: net.__delitem__(0),
    "use again": lambda net: net.append(net[0]),
    "slice": lambda net: net.__setitem__(slice(0, 1), [Tanh(), Linear(3, 3)]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_input_grad_survives_a_change_of_layers(change):
    first = Linear(3, 3)
    net = Sequential(first, Linear(3, 3), Tanh())
    net.input_grad = False
    change(net)
    assert not net.input_grad
    assert all(layer.input_grad for layer in (first, *net))
    y, saved = net.forward(torch.randn(4, 3))
    assert net.backward(y, saved) is None
    assert all(parameter.grad is not None for parameter in net.param())


@pytest.mark.parametrize("at", [0, 1])
def test_a_layer_set_within_a_container_may_be_used_outside_it(at):
    inner, again = Sequential(Linear(3, 3)), Linear(3, 3)
    outer = Sequential(*(inner, again) if at == 0 else (again, inner))
    outer.input_grad = False
    inner[0] = again
    y, saved = outer.forward(torch.randn(4, 3))
    assert outer.backward(torch.randn_like(y), saved) is None
    assert again.weight.grad is not None


def test_an_error_names_the_path_to_the_layer():
    net = Sequential(Linear(2, 3), Sequential(ReLU(), Linear(4, 1)))
    with pytest.raises(ValueError, match=r"Linear: last axis of x must be 4, got 3 in a tensor of \(5, 3\)") as caught:
        net.forward(torch.zeros(5, 2))
    add_path(caught.value, net)
    assert caught.value.__notes__ == ["in layer '1.1' (Linear) of Sequential"]


def test_its_parts_share_its_layers_and_give_what_it_gives():
    net = Sequential(Linear(2, 3), ReLU(), Linear(3, 1))
    first, second = net.cut([1, 2])
    x = torch.randn(5, 2)
    assert torch.equal(second(first(x)), net(x))
    assert [*first, *second] == [*net]
    assert type(first) is type(second) is Sequential


@pytest.mark.parametrize("counts", [[1, 1], [4, -1], []])
def test_parts_must_have_all_layers(counts):
    net = Sequential(Linear(2, 3), ReLU(), Linear(3, 1))
    with pytest.raises(ArgumentError, match=r"^Sequential: counts must add up to its 3 layers, got \["):
        net.cut(counts)


def test_a_subclass_with_a_forward_of_its_own_is_not_cut():
    class Doubled(Sequential):
        def forward(self, x):
            y, saved = super().forward(x)
            return 2 * y, saved

    with pytest.raises(
        ArgumentError, match=r"^Doubled: it must have the forward and backward of Sequential to be cut"
    ):
        Doubled(Linear(2, 3)).cut([1])
