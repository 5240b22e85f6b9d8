"""Parallel, Add and Concatenate: several branches that see one input; and Take, which keeps one of several outputs."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mytorch.core import ArgumentError, ContractError, DtypeError, Module, ShapeError, StateError, add_path
from mytorch.nn import (
    Add,
    BatchNorm2d,
    Concatenate,
    Conv2d,
    Dropout,
    Identity,
    Linear,
    MaxPool2d,
    Parallel,
    ReLU,
    Residual,
    Sequential,
    Take,
    Tanh,
)
from mytorch.testing import declare_layer


class ParallelTwin(torch.nn.ModuleList):
    def forward(self, *inputs):
        return tuple(branch(*inputs) for branch in self)


class AddTwin(ParallelTwin):
    def forward(self, *inputs):
        return sum(super().forward(*inputs))


class ConcatenateTwin(ParallelTwin):
    def __init__(self, branches, dim=1):
        super().__init__(branches)
        self.dim = dim

    def forward(self, *inputs):
        return torch.cat(super().forward(*inputs), self.dim)


def linears(sizes, classes=(Linear, Tanh, Sequential)):
    linear, tanh, sequential = classes
    return [sequential(linear(3, size), tanh()) for size in sizes]


TORCH = (torch.nn.Linear, torch.nn.Tanh, torch.nn.Sequential)
SHAPES = st.sampled_from([(5, 3), (0, 3), (1, 3), (2, 4, 3)])
COUNTS = st.integers(1, 4)


@given(count=COUNTS, shape=SHAPES)
def test_add_as_torch(agree, count, shape):
    agree(Add(*linears([4] * count)), AddTwin(linears([4] * count, TORCH)), torch.randn(shape))


@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4), shape=SHAPES)
def test_concatenate_as_torch(agree, sizes, shape):
    ours = Concatenate(*linears(sizes), dim=-1)
    agree(ours, ConcatenateTwin(linears(sizes, TORCH), -1), torch.randn(shape))


@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4), shape=SHAPES)
def test_parallel_as_torch(agree, sizes, shape):
    agree(Parallel(*linears(sizes)), ParallelTwin(linears(sizes, TORCH)), torch.randn(shape))


def test_images_with_dropout_and_statistics(agree):
    def branches(nn):
        return [
            nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU()),
            nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), nn.Dropout(0.5)),
            nn.Identity(),
        ]

    import mytorch.nn

    agree(Concatenate(*branches(mytorch.nn)), ConcatenateTwin(branches(torch.nn)), torch.randn(3, 2, 5, 4))
    agree(
        Concatenate(*branches(mytorch.nn)[1:], dim=-3),
        ConcatenateTwin(branches(torch.nn)[1:], -3),
        torch.randn(2, 5, 4),
    )


def test_one_layer_in_two_branches(agree):
    ours, twin = Linear(3, 3), torch.nn.Linear(3, 3)
    agree(
        Add(ours, Sequential(ours, Tanh())),
        AddTwin([twin, torch.nn.Sequential(twin, torch.nn.Tanh())]),
        torch.randn(5, 3),
    )


class Both(Module):
    """y = layer(a) * b"""

    def __init__(self):
        self.layer = Linear(3, 3)

    def forward(self, a, b, scale=1.0):
        y, saved = self.layer.forward(a)
        return scale * y * b, (saved, y, b, scale)

    def backward(self, d_y, saved):
        kept, y, b, scale = saved
        return self.layer.backward(scale * d_y * b, kept), scale * d_y * y


class BothTwin(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 3)

    def forward(self, a, b, scale=1.0):
        return scale * self.layer(a) * b


@pytest.mark.parametrize(("cls", "twin"), [(Add, AddTwin), (Concatenate, ConcatenateTwin), (Parallel, ParallelTwin)])
def test_several_inputs_have_a_gradient_each(agree, cls, twin):
    agree(cls(Both(), Both()), twin([BothTwin(), BothTwin()]), torch.randn(5, 3), torch.randn(5, 3))


@pytest.mark.parametrize("cls", [Add, Concatenate, Parallel])
def test_options_reach_every_branch(cls):
    a, b, net = torch.randn(5, 3), torch.randn(5, 3), cls(Both(), Both())
    (output, _), single = net.forward(a, b, scale=2.0), net(a, b)
    halves = [value / 2 for value in output] if cls is Parallel else [output / 2]
    torch.testing.assert_close(halves, list(single) if cls is Parallel else [single])


# Through the kit

test_add = declare_layer(lambda: Add(Linear(3, 4), Sequential(Linear(3, 4), Tanh())), (5, 3))
test_concatenate = declare_layer(
    lambda: Concatenate(Identity(), Linear(3, 2), ReLU(), dim=-1), (5, 3), tags=("fixed_dimensions",)
)
test_parallel = declare_layer(lambda: Parallel(Linear(3, 4), Identity(), Dropout(0.3)), (5, 3))
test_nested = declare_layer(lambda: Parallel(Parallel(Linear(3, 4), ReLU()), Residual(Linear(3, 3))), (5, 3))
test_take = declare_layer(lambda: Take(-1), (torch.randn(5, 3), torch.randn(5, 2)))
test_take_of_a_pair_within = declare_layer(
    lambda: Sequential(Parallel(Parallel(Linear(3, 4), ReLU()), Identity()), Take(0), Take(1)), (5, 3)
)


def test_an_output_that_was_not_used_leaves_its_branch_without_gradients():
    net = Parallel(Linear(3, 2), Linear(3, 2))
    x = torch.randn(5, 3)
    (_, high), saved = net.forward(x)
    d_x = net.backward((None, torch.ones_like(high)), saved)
    assert [parameter.grad is None for parameter in net.param()] == [True, True, False, False]
    torch.testing.assert_close(d_x, torch.ones(5, 2) @ net[1].weight.value)


def test_take_answers_with_none_for_what_it_left():
    pair = (torch.randn(5, 3), (torch.randn(2), torch.randn(4)))
    y, saved = Take(1).forward(pair)
    assert y is pair[1]
    d_y = (torch.randn(2), None)
    assert Take(1).backward(d_y, saved) == (None, d_y)
    y, saved = Take(0).forward(pair)
    d_y = torch.randn(5, 3)
    assert Take(0).backward(d_y, saved) == (d_y, (None, None))


def test_take_of_indices_has_no_gradient_to_give():
    net = Sequential(MaxPool2d(2, return_indices=True), Take(0))
    x = torch.randn(1, 2, 4, 4)
    y, saved = net.forward(x)
    torch.testing.assert_close(net.backward(torch.ones_like(y), saved).sum(), y.new_tensor(y.numel()))
    y, saved = Take(1).forward((torch.ones(2), torch.arange(3)))
    assert Take(1).backward(None, saved) == (None, None)


@pytest.mark.parametrize("cls", [Add, Concatenate, Parallel])
def test_input_grad_reaches_each_branch_that_is_used_once(cls):
    twice = Linear(3, 3)
    net = Sequential(cls(Linear(3, 3), twice, Sequential(twice, Tanh())))
    net.input_grad = False
    assert [branch.input_grad for branch in net[0]] == [False, True, False]
    y, saved = net.forward(torch.randn(5, 3))
    assert net.backward(y, saved) is None
    assert all(parameter.grad is not None for parameter in net.param())


@pytest.mark.parametrize("cls", [Add, Concatenate, Parallel])
def test_it_is_a_list(cls):
    net = cls(ReLU())
    net.append(Tanh())
    net.extend([Identity()])
    assert [name for name, _ in net.named_children()] == ["0", "1", "2"]
    assert type(net[1:]) is cls
    assert list(net[1:]) == list(net)[1:]
    del net[:2]
    assert len(net) == 1


def test_a_slice_keeps_the_axis_and_is_described():
    from mytorch.core import describe, rebuild

    net = Concatenate(ReLU(), Tanh(), dim=-1)
    assert net[:1].dim == -1
    assert repr(net[:1]) == "Concatenate(dim=-1\n  (0): ReLU()\n)"
    again = rebuild(*describe(net))
    assert (repr(again), again.dim) == (repr(net), -1)
    assert repr(Concatenate(ReLU())) == "Concatenate(\n  (0): ReLU()\n)"


# Bad use


@pytest.mark.parametrize("cls", [Add, Concatenate, Parallel])
def test_what_no_branch_can_be_and_a_container_without_any(cls):
    name = cls.__name__
    with pytest.raises(ArgumentError, match=rf"{name}: child must be a Module, got the class ReLU; write ReLU\(...\)"):
        cls(ReLU)
    with pytest.raises(ArgumentError, match=rf"{name}: child must be a Module, got list; write {name}\(\*branches\)"):
        cls([ReLU(), ReLU()])
    for use in (cls().forward, cls()):
        with pytest.raises(StateError, match=rf"{name}: branches must be at least one before a forward, got none"):
            use(torch.ones(2))
    for use in (cls(ReLU()).forward, cls(ReLU())):
        with pytest.raises(ArgumentError, match=rf"{name}: x must be a tensor, got a list; convert with"):
            use([1.0])


class NoPair(Module):
    def forward(self, x):
        return x[:2]


@pytest.mark.parametrize("cls", [Add, Concatenate, Parallel])
def test_a_branch_whose_forward_returns_no_pair(cls):
    for use in (cls(NoPair()).forward, cls(NoPair())):
        with pytest.raises(ContractError, match=r"NoPair: forward must return a pair"):
            use(torch.ones(3, 2))


@pytest.mark.parametrize("cls", [Add, Concatenate, Parallel])
def test_saved_values_that_do_not_fit(cls):
    name, net, x = cls.__name__, cls(Linear(3, 3), ReLU()), torch.randn(5, 3)
    y, saved = net.forward(x)
    for other in (None, 3, x, [x], (x, x), (1, 2, 3)):
        with pytest.raises(ArgumentError, match=rf"{name}: saved must be a pair whose first entry is a list"):
            net.backward(y, other)
    net.backward(y, saved)
    with pytest.raises(StateError, match=rf"{name}: saved must hold one value for each of 2 branches, got 0"):
        net.backward(y, saved)
    _, saved = net.forward(x)
    net.append(ReLU())
    with pytest.raises(StateError, match=rf"{name}: saved must hold one value for each of 3 branches, got 2"):
        net.backward(y, saved)


def test_saved_values_of_another_container():
    x = torch.randn(5, 5)
    nets = [Add(ReLU(), Tanh()), Concatenate(ReLU(), Tanh()), Parallel(ReLU(), Tanh())]
    for net in nets:
        for other in nets:
            if other is not net:
                y, _ = net.forward(x)
                _, saved = other.forward(x)
                with pytest.raises(ArgumentError, match=rf"{type(net).__name__}: saved must be a pair whose first"):
                    net.backward(y, saved)
    y, saved = Concatenate(Identity(), Identity()).forward(x)
    with pytest.raises(ArgumentError, match=r"Concatenate: saved must be that of a layer with dim 0, got one with 1"):
        Concatenate(Identity(), Identity(), dim=0).backward(y, saved)


def test_outputs_that_do_not_fit_each_other():
    x = torch.randn(5, 3)
    both = ("forward", "__call__")
    for use in both:
        with pytest.raises(ShapeError) as caught:
            getattr(Add(Linear(3, 2), Linear(3, 1)), use)(x)
        assert str(caught.value) == (
            "Add: output of branch 1 must have the shape of that of branch 0, (5, 2), got (5, 1)"
        )
        with pytest.raises(ShapeError) as caught:
            getattr(Concatenate(Linear(3, 2), Linear(3, 1), dim=0), use)(x)
        assert str(caught.value) == (
            "Concatenate: output of branch 1 must have the shape of that of branch 0, (5, 2), but along axis 0, "
            "got (5, 1)"
        )
        with pytest.raises(ShapeError, match=r"Concatenate: outputs must have an axis 2, got 2 axes in \(5, 3\)"):
            getattr(Concatenate(ReLU(), dim=2), use)(x)
        with pytest.raises(ArgumentError, match=r"Add: output of branch 0 must be a tensor, got a tuple; append Take"):
            getattr(Add(Parallel(ReLU())), use)(x)

    class Double(Module):
        def forward(self, x):
            return x.double(), None

    with pytest.raises(DtypeError, match=r"Concatenate: output of branch 1 must have the dtype of that of branch 0"):
        Concatenate(ReLU(), Double())(x)
    with pytest.raises(ArgumentError, match=r"Concatenate: dim must be a whole number, got 1.5"):
        Concatenate(ReLU(), dim=1.5)


def test_upstream_gradients_that_do_not_fit():
    x = torch.randn(5, 3)
    net = Parallel(ReLU(), Tanh())
    for d_y, got in ((x, "a Tensor"), ((x,), "a tuple of 1"), (None, "None")):
        _, saved = net.forward(x)
        with pytest.raises(ShapeError, match=rf"a tuple of one entry for each of 2 branches, got {got}"):
            net.backward(d_y, saved)
    _, saved = net.forward(x)
    with pytest.raises(ShapeError, match=r"Parallel: d_y must have a gradient for at least one of its entries"):
        net.backward((None, None), saved)
    for cls, shape in ((Add, r"\(5, 3\)"), (Concatenate, r"\(5, 6\)")):
        _, saved = cls(ReLU(), Tanh()).forward(x)
        with pytest.raises(ShapeError, match=rf"{cls.__name__}: d_y must have the shape of the output, {shape}"):
            cls(ReLU(), Tanh()).backward(x[:1], saved)


def test_bad_use_of_take():
    x = torch.ones(2)
    with pytest.raises(ArgumentError, match=r"Take: index must be a whole number, got '0'"):
        Take("0")
    for value, got in ((x, "a Tensor"), ((x, x), "one of 2"), ([x, x], "a list")):
        with pytest.raises(ArgumentError, match=rf"Take: x must be a tuple with an entry 2, got {got}"):
            Take(2).forward(value)
    with pytest.raises(ArgumentError, match=r"Take: x must be a tensor, got a list; convert with"):
        Take(0).forward((x, [x]))
    _, saved = Take(1).forward((x, (x, x)))
    with pytest.raises(ArgumentError, match=r"Take: saved must be that of a layer with index 0, got one with 1"):
        Take(0).backward(x, saved)
    with pytest.raises(ArgumentError, match=r"Take: saved must be a tuple of 2 \(int, tuple\), as its own forward"):
        Take(2).backward(x, x)
    with pytest.raises(ShapeError, match=r"Take: d_y must have the shape of the output, a tuple of 2, got a Tensor"):
        Take(1).backward(x, saved)
    with pytest.raises(ShapeError, match=r"Take: d_y must have the shape of the output, \(2,\), got \(1,\)"):
        Take(1).backward((x[:1], None), saved)


def test_an_error_names_the_path_to_the_layer():
    net = Sequential(Linear(2, 3), Concatenate(ReLU(), Add(Identity(), Sequential(Linear(4, 1)))))
    with pytest.raises(ShapeError) as caught:
        net.forward(torch.zeros(5, 2))
    add_path(caught.value, net)
    assert caught.value.__notes__ == ["in layer '1.1.1.0' (Linear) of Sequential"]
    net = Sequential(Conv2d(2, 3, 1), Add(BatchNorm2d(3), Conv2d(3, 4, 1)))
    with pytest.raises(ShapeError) as caught:
        net(torch.zeros(2, 2, 4, 4))
    add_path(caught.value, net)
    assert caught.value.__notes__ == ["in layer '1' (Add) of Sequential"]
