"""A step whose updates come during the backward pass equals the plain one and holds the gradients of one layer."""

import pytest
import torch
from toy_parts import SGD, Both, Chain, Dense, Line, Noise, Ramp, Rectify, SquaredError, Table, network

from mytorch.core import ArgumentError, Module, Parameter
from mytorch.plugins import hookimpl
from mytorch.train import ExperimentError, fit, step, train_experiment
from mytorch.train.check_experiment import check_experiment
from mytorch.train.choose_step import choose_step
from mytorch.train.step_in_backward import LateGradientError, step_in_backward


class Detour(Module):
    """y = x + inner(x)"""

    def __init__(self, inner):
        self.inner = inner

    def forward(self, x):
        change, saved = self.inner.forward(x)
        return x + change, saved

    def backward(self, d_y, saved):
        return d_y + self.inner.backward(d_y, saved)


class Again(Module):
    """Keeps nothing of inner but its input, and computes the rest again during the backward."""

    def __init__(self, inner):
        self.inner = inner

    def forward(self, x):
        return self.inner(x), x

    def backward(self, d_y, x):
        return self.inner.backward(d_y, self.inner.forward(x)[1])


class Temperature(Module):
    """A loss with a parameter."""

    def __init__(self):
        self.inner, self.scale = SquaredError(), Parameter(torch.tensor(2.0))

    def forward(self, prediction, target):
        value, saved = self.inner.forward(prediction * self.scale.value, target)
        return value, (prediction, saved)

    def backward(self, d_value, saved):
        d = self.inner.backward(d_value, saved[1])
        self.scale.accumulate((d * saved[0]).sum())
        return d * self.scale.value


class Masked(Dense):
    """A parameter of its own beside a child that has more."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.inner = Dense(sizes[1], sizes[1])

    def forward(self, x):
        y, first = super().forward(x)
        y, second = self.inner.forward(y)
        return y, (first, second)

    def backward(self, d_y, saved):
        return super().backward(self.inner.backward(d_y, saved[1]), saved[0])


def tied():
    net = Chain(Dense(3, 3), Rectify(), Dense(3, 3), Dense(3, 2))
    net.layers[2].weight = net.layers[0].weight
    return net


def tied_across():
    """The child of a branch shares a parameter with a later layer."""
    net = Chain(Detour(Chain(Dense(3, 3, bias=False), Rectify())), Dense(3, 3), Dense(3, 3), Dense(3, 2))
    net.layers[2].weight = net.layers[0].inner.layers[0].weight
    return net


def twice():
    shared = Dense(3, 3)
    return Chain(shared, Rectify(), Detour(shared), Dense(3, 2), Rectify())


def frozen():
    net = Chain(Dense(3, 4), Dense(4, 4), Dense(4, 2))
    net.layers[1].weight.trainable = net.layers[2].bias.trainable = False
    return net


NETS = {
    "chain": lambda: Chain(Dense(3, 4), Rectify(), Noise(), Dense(4, 2)),
    "tied": tied,
    "tied across": tied_across,
    "twice": twice,
    "residual": lambda: Chain(Detour(Dense(3, 3)), Detour(Chain(Dense(3, 3), Rectify())), Dense(3, 2)),
    "frozen": frozen,
    "again": lambda: Chain(Dense(3, 3), Again(Chain(Dense(3, 3), Rectify())), Dense(3, 2)),
    "again and twice": lambda: Chain(shared := Dense(3, 3), Again(shared), Dense(3, 2)),
    "own and child": lambda: Chain(Masked(3, 4), Dense(4, 2)),
}


def two_groups(net):
    parameters = net.param()
    return SGD([{"params": parameters[::2]}, {"params": parameters[1::2], "lr": 0.02, "momentum": 0.9}], lr=0.1)


def trained(take, build, optimizer=two_groups, loss=SquaredError, steps=4):
    """The losses and the state after some steps."""
    torch.manual_seed(3)
    net, loss = build(), loss()
    made = optimizer(net)
    with torch.inference_mode():
        losses = [take(net, loss, made, torch.randn(5, 3), torch.randn(5, 2)) for _ in range(steps)]
    assert all(parameter.grad is None for parameter in net.param() + loss.param())
    return losses, net.state_dict() | loss.state_dict(), made.state_dict()


@pytest.mark.parametrize("build", NETS.values(), ids=NETS)
def test_it_equals_the_plain_step_to_the_bit(build):
    torch.testing.assert_close(trained(step_in_backward, build), trained(step, build), rtol=0, atol=0)


def test_parameters_of_the_loss_and_of_nobody_are_updated_as_well():
    stray = Parameter(torch.ones(2))  # in the optimizer, with a gradient, and in no module

    def run(take):
        stray.value.fill_(1.0)
        loss = Temperature()

        def optimizer(net):
            stray.grad = torch.ones(2)
            return SGD([*net.param(), *loss.param(), stray], 0.1, momentum=0.9)

        return *trained(take, NETS["chain"], optimizer, lambda: loss), stray.value.clone()

    found = run(step_in_backward)
    torch.testing.assert_close(found, run(step), rtol=0, atol=0)
    assert not torch.equal(found[-1], torch.ones(2))


def test_gradients_that_are_there_already_and_those_of_others_count():
    def run(take):
        torch.manual_seed(3)
        net = Chain(Dense(3, 4), Dense(4, 2))
        for parameter in net.param():
            parameter.grad = torch.ones_like(parameter.value)
        optimizer = SGD(net.layers[0].param(), 0.1)
        for _ in range(2):
            take(net, SquaredError(), optimizer, torch.ones(5, 3), torch.zeros(5, 2))
        others = [parameter.grad for parameter in net.layers[1].param()]
        assert all(grad is not None for grad in others)
        return net.state_dict(), others

    torch.testing.assert_close(run(step_in_backward), run(step), rtol=0, atol=0)


def test_several_inputs():
    def run(take):
        torch.manual_seed(3)
        net = Both(Dense(2, 1), Dense(3, 1))
        take(net, SquaredError(), SGD(net.param()), (torch.randn(4, 2), torch.randn(4, 3)), torch.randn(4, 1))
        return net.state_dict()

    torch.testing.assert_close(run(step_in_backward), run(step), rtol=0, atol=0)


@pytest.fixture
def most_at_once(monkeypatch):
    """The largest number of gradients that parameters held at one time during a step of a net."""
    accumulate = Parameter.accumulate

    def run(take, net, inputs):
        counts = []

        def counting(parameter, d_value):
            accumulate(parameter, d_value)
            counts.append(sum(one.grad is not None for one in net.param()))

        monkeypatch.setattr(Parameter, "accumulate", counting)
        take(net, SquaredError(), SGD(net.param()), inputs, torch.zeros(5, 2))
        return max(counts)

    return run


@pytest.mark.parametrize(
    ("build", "plain", "at_once"),
    [
        (lambda: Chain(*(Dense(3, 3) for _ in range(6)), Dense(3, 2)), 14, 2),
        (lambda: Chain(Detour(Dense(3, 3)), Chain(Dense(3, 3), Rectify()), Dense(3, 2)), 6, 2),
        (tied, 5, 2),
        (tied_across, 6, 3),  # the tied weight waits for its other holder
        (twice, 4, 2),
        (NETS["again"], 6, 4),  # its forward without a backward stays open to the end
    ],
)
def test_gradients_are_freed_layer_by_layer(most_at_once, build, plain, at_once):
    x = torch.randn(5, 3)
    assert most_at_once(step, build(), x) == plain
    assert most_at_once(step_in_backward, build(), x) == at_once


def test_a_gradient_that_comes_after_the_update_is_an_error():
    class Penalty(Module):
        """Adds to the gradient of a weight that only its child holds, after the child's backward."""

        def __init__(self, inner):
            self.inner = inner

        def forward(self, x):
            return self.inner.forward(x)

        def backward(self, d_y, saved):
            d_x = self.inner.backward(d_y, saved)
            self.inner.weight.accumulate(0.1 * self.inner.weight.value)
            return d_x

    class Twice(Penalty):
        """Goes through its child's forward and backward twice, one after the other."""

        def forward(self, x):
            return self.inner(x) * 0, x

        def backward(self, d_y, x):
            self.inner.backward(d_y, self.inner.forward(x)[1])
            return self.inner.backward(d_y, self.inner.forward(x)[1])

    net = Chain(Dense(3, 3), Penalty(Dense(3, 2)))
    given = SquaredError(), SGD(net.param()), torch.randn(5, 3), torch.randn(5, 2)
    text = (
        r"optimizer_in_backward: the gradient of 1\.inner\.weight must be complete when the backward of every module "
        "that holds it is through, got more after its update; let the module that adds to it hold the parameter as an "
        "attribute, or leave optimizer_in_backward out"
    )
    with pytest.raises(LateGradientError, match=text):
        step_in_backward(net, *given)
    net.zero_grad()
    step(net, *given)  # the plain step takes it
    net.layers[1].held = net.layers[1].inner.weight  # the way out
    step_in_backward(net, *given)
    net = Chain(Dense(3, 3), Twice(Dense(3, 2)))
    assert step_in_backward(net, SquaredError(), SGD(net.param()), *given[2:]).isfinite()  # its forwards stay open


def test_a_second_update_in_one_step_is_an_error():
    class Hidden(Module):
        """Computes everything in its backward only, twice over."""

        def __init__(self, inner):
            self.inner = inner

        def forward(self, x):
            return torch.zeros(len(x), 2), x

        def backward(self, d_y, x):
            self.inner.backward(d_y, self.inner.forward(x)[1])
            return self.inner.backward(d_y, self.inner.forward(x)[1])

    net = Hidden(Dense(3, 2))
    with pytest.raises(LateGradientError, match=r"the gradient of inner\.weight must be complete"):
        step_in_backward(net, SquaredError(), SGD(net.param()), torch.randn(5, 3), torch.randn(5, 2))


class Breaks(Module):
    """Its backward raises."""

    def __init__(self, error):
        self.error = error

    def forward(self, x):
        return x, None

    def backward(self, d_y, saved):
        raise self.error


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_what_breaks_off_the_backward_leaves_the_layers_before_it_as_they_were(error):
    net = Chain(Dense(3, 3), Breaks(error), Dense(3, 2))
    before = [parameter.value.clone() for parameter in net.param()]
    with pytest.raises(type(error)) as caught:
        step_in_backward(net, SquaredError(), SGD(net.param()), torch.randn(5, 3), torch.randn(5, 2))
    assert [torch.equal(p.value, old) for p, old in zip(net.param(), before, strict=True)] == [
        True,
        True,
        False,
        False,
    ]
    assert not any({"forward", "backward"} & set(vars(module)) for module in net.modules())
    if isinstance(error, ValueError):
        assert caught.value.__notes__ == ["in layer '1' (Breaks) of Chain"]


class Sees:
    """Whether the layers are as their classes wrote them, between steps."""

    def __init__(self):
        self.seen = []

    @hookimpl
    def batch_ended(self, run):
        self.seen.append(any("backward" in vars(module) for module in run.net.modules()))


def test_a_run_equals_the_plain_one():
    runs, hook = [], Sees()
    for in_backward in (False, True):
        torch.manual_seed(5)
        net = Chain(Dense(2, 4), Rectify(), Noise(), Dense(4, 2))
        optimizer = SGD(net.param(), lr=0.05, momentum=0.9)
        data = Table(inputs := torch.randn(46, 2), inputs * 2)
        options = {"schedule": Ramp(optimizer, 15), "batch_size": 10, "epochs": 3, "test": data, "quiet": True}
        runs.append(
            fit(net, SquaredError(), optimizer, data, hooks=[hook], optimizer_in_backward=in_backward, **options)
        )
    plain, other = runs
    without_time = [[{**record, "seconds": 0} for record in run.history] for run in runs]
    assert without_time[0] == without_time[1]
    torch.testing.assert_close(other.net.state_dict(), plain.net.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(other.optimizer.state_dict(), plain.optimizer.state_dict(), rtol=0, atol=0)
    assert hook.seen == [False] * 30


class Coupled(SGD):
    mixes_parameters = True


class Counting(SGD):
    def step(self):
        super().step()


MIXES = "must be updated all at once, got some of them: "
REFUSED = [
    (
        {"clip_grad_norm": 0.5},
        SGD,
        "must be left out with clip_grad_norm, got clip_grad_norm = 0.5: the norm over all",
    ),
    ({"engine": "compiled"}, SGD, "must be left out with the compiled engine, whose step is one function of all grad"),
    ({}, Coupled, f"Coupled: parameters {MIXES}it mixes parameters; leave optimizer_in_backward out"),
    ({}, Counting, f"Counting: parameters {MIXES}it has a step of its own; leave optimizer_in_backward out"),
]


@pytest.mark.parametrize(("options", "kind", "text"), REFUSED)
def test_refusals_come_in_one_line_before_anything_is_written(options, kind, text, tmp_path):
    net = Chain(Dense(1, 1))
    given = {"epochs": 1, "batch_size": 2, "folder": tmp_path / "runs", "quiet": True, "optimizer_in_backward": True}
    with pytest.raises(ArgumentError, match=f"^optimizer_in_backward: {text}") as caught:
        fit(net, SquaredError(), kind(net.param()), Line(4), **given, **options)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_the_key_of_an_experiment(content, tmp_path):
    content |= {"epochs": 2, "optimizer_in_backward": True}
    run = train_experiment(content, output=tmp_path, quiet=True)
    plain = train_experiment(content | {"optimizer_in_backward": False}, output=tmp_path, quiet=True)
    torch.testing.assert_close(run.net.state_dict(), plain.net.state_dict(), rtol=0, atol=0)
    assert "optimizer_in_backward = true" in (run.path / "experiment.toml").read_text()
    both = content | {"clip_grad_norm": 1.0}
    with pytest.raises(ArgumentError, match="optimizer_in_backward: must be left out with clip_grad_norm, got"):
        train_experiment(both, output=tmp_path / "none", quiet=True)
    with pytest.raises(ExperimentError, match="optimizer_in_backward: must be left out with clip_grad_norm, got"):
        check_experiment(both)
    assert not (tmp_path / "none").exists()


def test_without_options_the_step_is_the_plain_one():
    net = network()
    assert choose_step(SGD(net.param()), None, False) is step
    assert choose_step(SGD(net.param()), None, True) is step_in_backward
