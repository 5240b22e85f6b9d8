"""K-FAC is its formula, trains in fewer steps than SGD, resumes exactly, and works by name in an experiment."""

import copy
import os
import signal

import pytest
import torch

from mytorch.core import ArgumentError, Parameter, Quantity, StateError
from mytorch.data import Disk, TensorDataSet
from mytorch.experiments import train_experiment
from mytorch.nn import (
    Conv2d,
    CrossEntropyLoss,
    Embedding,
    Flatten,
    L1Loss,
    Linear,
    MSELoss,
    ReLU,
    Sequential,
    Tanh,
)
from mytorch.optim import KFAC, SGD, Shampoo
from mytorch.plugins import Callback
from mytorch.train import Interrupted, NotFiniteError, Privacy, fit, step
from mytorch.train.quantities.watched_step import WatchedStep

pytestmark = pytest.mark.numbers
DAMPING, DECAY = 0.03, 0.8


def classifier(dtype=torch.float64):
    torch.manual_seed(3)
    return Sequential(Linear(2, 4), Tanh(), Linear(4, 3)).to(dtype)


def take(net, loss, optimizer, *batch):
    with torch.inference_mode():
        WatchedStep(step, optimizer.quantities())(net, loss, optimizer, *batch)


def shown_by_hand(net, x, classes):
    """A and G of each parameter, from one drawn target for each row."""
    saved, y, given = [], x, {}
    for place, layer in enumerate(net):
        given[place] = y
        y, kept = layer.forward(y)
        saved.append(kept)
    p = y.softmax(1)
    drawn = torch.nn.functional.one_hot(torch.multinomial(p, 1).squeeze(1), p.shape[1])
    d = (p - drawn) / len(x) ** 0.5
    found = {}
    for place in (2, 1, 0):
        if isinstance(net[place], Linear):
            found[f"{place}.weight"] = given[place].T @ given[place] / len(x), d.T @ d
            found[f"{place}.bias"] = torch.ones(1, 1, dtype=x.dtype), d.T @ d
        d = net[place].backward(d, saved[place])
    net.zero_grad()
    return found


def damped_by_hand(a, g, damping):
    scale = ((a.trace() / len(a)) / (g.trace() / len(g))).sqrt()
    eye_a, eye_g = torch.eye(len(a), dtype=a.dtype), torch.eye(len(g), dtype=a.dtype)
    return (a + scale * damping**0.5 * eye_a).inverse(), (g + damping**0.5 / scale * eye_g).inverse()


@torch.no_grad()
@pytest.mark.parametrize("inverse_every", [1, 2])
def test_a_step_follows_the_formula(inverse_every):
    net, twin = classifier(), classifier()
    settings = {"lr": 0.2, "momentum": 0.7, "weight_decay": 0.1, "kl_clip": 0.05, "inverse_every": inverse_every}
    optimizer = KFAC(net.param(), damping=DAMPING, decay=DECAY, **settings)
    averages, inverses, buffers, shares = {}, {}, {}, []
    for number in range(6):
        x, classes = torch.randn(7, 2).double(), torch.randint(3, (7,))
        torch.manual_seed(number)
        take(net, CrossEntropyLoss(), optimizer, x, classes)
        torch.manual_seed(number)
        shown = shown_by_hand(twin, x, classes)
        y, saved = twin.forward(x)
        loss, change, steps = CrossEntropyLoss(), 0.0, {}
        twin.backward(loss.backward(1.0, loss.forward(y, classes)[1]), saved)
        keep = min(1 - 1 / (number + 1), DECAY)
        for name, parameter in twin.named_param():
            before = averages.get(name, shown[name])
            averages[name] = tuple(keep * old + (1 - keep) * new for old, new in zip(before, shown[name], strict=True))
            if number % inverse_every == 0:
                inverses[name] = damped_by_hand(*averages[name], DAMPING)
            inverse_a, inverse_g = inverses[name]
            g = parameter.grad + 0.1 * parameter.value
            u = (inverse_g @ g.reshape(len(inverse_g), -1) @ inverse_a).reshape(g.shape)
            steps[name] = u
            change += float((u * g).sum()) * 0.2**2
        share = min(1, (0.05 / change) ** 0.5)
        shares.append(share)
        for name, parameter in twin.named_param():
            buffers[name] = 0.7 * buffers.get(name, 0) + share * steps[name]
            parameter.value.sub_(0.2 * buffers[name])
        twin.zero_grad()
        for (name, found), wanted in zip(net.named_param(), twin.param(), strict=True):
            torch.testing.assert_close(found.value, wanted.value, rtol=0, atol=1e-9, msg=f"{name} at {number}")
    assert min(shares) < 1
    assert max(shares) == 1


def steps_to(optimizer, target=0.15, most=150):
    """How many steps of a whole batch bring the loss of a disk down."""
    torch.manual_seed(0)
    net, loss, data = Sequential(Linear(2, 16), Tanh(), Linear(16, 2)), CrossEntropyLoss(), Disk(400)
    x, classes = data[:400]
    made = optimizer(net.param())
    stepping = WatchedStep(step, made.quantities()) if made.quantities() else step
    for number in range(1, most + 1):
        with torch.inference_mode():
            stepping(net, loss, made, x, classes)
        if float(loss(net(x), classes)) < target:
            return number
    return most


@pytest.mark.slow
def test_it_needs_fewer_steps_than_sgd():
    theirs = min(steps_to(lambda p, lr=lr: SGD(p, lr=lr, momentum=0.9)) for lr in (0.1, 0.3, 1.0))
    ours = steps_to(lambda p: KFAC(p, lr=0.1))
    assert ours < theirs / 2, (ours, theirs)


def test_convolutions_groups_and_embeddings():
    """A convolution in groups has a pair of factors for each; an embedding has a diagonal."""
    torch.manual_seed(0)
    net = Sequential(Conv2d(2, 4, 3, groups=2), ReLU(), Flatten(), Linear(16, 3))
    x, classes, loss = torch.randn(20, 2, 4, 4), torch.randint(3, (20,)), CrossEntropyLoss()
    optimizer = KFAC(net.param(), lr=0.05)
    before = float(loss(net(x), classes))
    for _ in range(20):
        take(net, loss, optimizer, x, classes)
    assert float(loss(net(x), classes)) < before / 2
    assert optimizer.state[net[0].weight]["inputs"].shape == (2, 9, 9)
    words = Sequential(Embedding(7, 4), Flatten(), Linear(8, 3))
    optimizer, x = KFAC(words.param(), lr=0.05), torch.randint(7, (20, 2))
    first = words[0].weight.value.clone()
    take(words, loss, optimizer, x, classes)
    diagonal = optimizer.state[words[0].weight]["diagonal"]
    assert diagonal.shape == (7, 4)
    assert (diagonal > 0).any()
    assert not torch.equal(first, words[0].weight.value)


class StopAt(Callback):
    """Asks the process to end in the second epoch."""

    def batch_ended(self, epoch, batch):
        if (epoch, batch) == (2, 2):
            os.kill(os.getpid(), signal.SIGTERM)


def trained(made=lambda params: KFAC(params, lr=0.05, inverse_every=3), **options):
    net = classifier(torch.float32)
    net[2] = Linear(4, 2)
    optimizer = made(net.named_param())
    return fit(net, CrossEntropyLoss(), optimizer, Disk(80), epochs=3, batch_size=16, quiet=True, **options)


@pytest.mark.parametrize("options", [{}, {"made": lambda params: Shampoo(params, momentum=0.5, root_every=4)}])
def test_a_resumed_training_is_one_that_was_not_interrupted(tmp_path, options):
    whole = trained(**options)
    with pytest.raises(Interrupted):
        trained(callbacks=[StopAt()], checkpoint=tmp_path / "c.safetensors", **options)
    resumed = trained(resume=tmp_path / "c.safetensors", **options)
    torch.testing.assert_close(resumed.net.state_dict(), whole.net.state_dict(), rtol=0, atol=0)
    for one, other in zip(whole.history, resumed.history, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


def test_state_goes_on_in_another_optimizer():
    net, loss = classifier(), CrossEntropyLoss()
    batch = torch.randn(7, 2).double(), torch.randint(3, (7,))
    optimizer = KFAC(net.param(), inverse_every=2)
    take(net, loss, optimizer, *batch)
    twin = copy.deepcopy(net)
    other = KFAC(twin.param(), inverse_every=2)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for number in range(3):
        torch.manual_seed(number)
        take(net, loss, optimizer, *batch)
        torch.manual_seed(number)
        take(twin, loss, other, *batch)
    torch.testing.assert_close(twin.state_dict(), net.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["inputs", "outputs_inverse"])
def test_factors_of_other_sizes_are_refused(name):
    net = classifier()
    optimizer = KFAC(net.param())
    take(net, CrossEntropyLoss(), optimizer, torch.randn(7, 2).double(), torch.randint(3, (7,)))
    state = optimizer.state_dict()
    for wrong in (torch.eye(5), torch.ones(2, 3), "much"):
        state["state"][0][name] = wrong
        with pytest.raises(StateError, match=r"KFAC: state must have two square factors that fit .* \(4, 2\), got \["):
            optimizer.load_state_dict(state)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"lr": -1}, "lr must be at least 0, got -1"),
        ({"damping": 0}, "damping must be at least 1e-12, got 0"),
        ({"kl_clip": -1}, "kl_clip must be at least 1e-12, got -1"),
        ({"decay": 1.5}, "decay must be between 0 and 1, got 1.5"),
        ({"inverse_every": 0}, "inverse_every must be an integer of at least 1, got 0"),
        ({"momentum": "much"}, "momentum must be a number, got 'much'"),
    ],
)
def test_settings_out_of_range(settings, text):
    with pytest.raises(ArgumentError, match=f"^KFAC: {text}"):
        KFAC([Parameter(torch.ones(2))], **settings)


class Records(Quantity):
    """What it is shown of a parameter's gradient."""

    def __init__(self):
        self.grads = []

    def gradient(self, seen):
        self.grads.append(seen.grad.clone())
        assert seen.samples is None

    def names(self, net):
        return ["seen"]

    def results(self):
        return {"seen": len(self.grads)}


def test_quantities_of_the_user_see_the_gradients_of_the_targets():
    net, records = classifier(torch.float32), Records()
    net[2] = Linear(4, 2)
    told = fit(
        *(net, CrossEntropyLoss(), KFAC(net.param()), Disk(16)),
        epochs=1,
        batch_size=16,
        quiet=True,
        quantities=[records],
    )
    assert told.history[0]["seen"] == 4


def test_drawn_targets_make_no_gradient_of_the_batch():
    """The backward of drawn targets finds nothing to train, and what gradients hold is not touched."""
    seen = []

    class Told(Linear):
        def backward(self, d_y, x):
            seen.append((self.weight.trainable, self.weight.grad))
            return super().backward(d_y, x)

    torch.manual_seed(0)
    net, before = Sequential(Told(2, 3)), torch.ones(3, 2)
    net[0].weight.grad = before
    optimizer, x, classes = KFAC(net.param()), torch.randn(7, 2), torch.randint(3, (7,))
    WatchedStep(lambda *_: (torch.zeros(()), 7), optimizer.quantities())(
        net, CrossEntropyLoss(), optimizer, x, classes
    )
    assert [(trained, grad is before) for trained, grad in seen] == [(False, True)]
    assert net[0].weight.grad is before
    assert torch.equal(before, torch.ones(3, 2))
    assert net[0].weight.trainable
    assert set(optimizer.state[net[0].weight]) >= {"inputs", "outputs", "shown"}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"engine": "compiled"}, "KFAC: must be left out with an engine that compiles steps"),
        ({"optimizer_in_backward": True}, "KFAC: parameters must be updated all at once"),
        ({"accumulate": 2}, "KFAC: must be left out with accumulate = 2, since it must be shown the backward"),
        ({"precision": "bfloat16"}, "KFAC: must be left out with precision = 'bfloat16'"),
        ({"step": lambda *_: 0}, "KFAC: must be left out with a step of your own"),
        ({"clip_sample_norm": 1.0}, "KFAC: must be left out with clip_sample_norm = 1.0"),
        ({"memory": "1 MiB"}, "KFAC: must be left out with memory = '1 MiB'"),
        ({"saved": "int8"}, "KFAC: must be left out with saved = 'int8'"),
        ({"privacy": Privacy.__new__(Privacy)}, "KFAC: must be left out with privacy"),
    ],
)
def test_what_cannot_show_it_the_backward_is_refused(options, text):
    with pytest.raises(ArgumentError, match=text):
        trained(**options)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("made", [KFAC, Shampoo])
def test_rows_that_are_not_finite_are_told_as_by_any_optimizer(made, value):
    torch.manual_seed(0)
    net, x = Linear(2, 2), torch.randn(20, 2)
    x[3] = value
    rows = TensorDataSet(x, torch.randint(2, (20,)))
    with pytest.raises(NotFiniteError, match="the first value that is not finite is the inputs of the batch"):
        fit(net, CrossEntropyLoss(), made(net.param()), rows, epochs=1, batch_size=8, quiet=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_factors_of_a_net_in_half_precision_are_kept_in_float32(dtype):
    torch.manual_seed(0)
    net, loss = Sequential(Embedding(7, 4), Flatten(), Linear(8, 3)), CrossEntropyLoss()
    net.to(dtype)
    optimizer, x, classes = KFAC(net.param(), lr=0.05), torch.randint(7, (20, 2)), torch.randint(3, (20,))
    before = float(loss(net(x), classes))
    for _ in range(10):
        take(net, loss, optimizer, x, classes)
    assert float(loss(net(x), classes)) < before
    assert {held["inputs"].dtype for held in optimizer.state.values() if "inputs" in held} == {torch.float32}
    assert optimizer.state[net[0].weight]["diagonal"].dtype is torch.float32
    assert net[2].weight.value.dtype is dtype


def test_inverses_are_those_of_float64():
    """Of inputs whose outer products are far larger than the damping."""
    torch.manual_seed(0)
    net, x, t = Linear(40, 1, bias=False), 100 * torch.randn(20, 40), torch.randn(20, 1)
    optimizer = KFAC(net.param(), damping=1e-8, momentum=0)
    take(net, MSELoss(), optimizer, x, t)
    a, g = (optimizer.state[net.weight][name].double() for name in ("inputs", "outputs"))
    s = (a.diagonal().mean() / g.squeeze()).sqrt()
    wanted = torch.linalg.inv(a + s * 1e-4 * torch.eye(40).double())
    torch.testing.assert_close(optimizer.state[net.weight]["inputs_inverse"].double(), wanted, rtol=1e-4, atol=0)


def test_a_parameter_whose_factors_would_be_too_large_has_a_diagonal(monkeypatch):
    monkeypatch.setattr("mytorch.optim.kfac.LARGEST", 5)
    torch.manual_seed(0)
    net = Sequential(Linear(4, 6), Tanh(), Linear(6, 3))
    optimizer = KFAC(net.param())
    take(net, CrossEntropyLoss(), optimizer, torch.randn(9, 4), torch.randint(3, (9,)))
    kept = {name: "diagonal" in optimizer.state[parameter] for name, parameter in net.named_param()}
    assert kept == {"0.weight": True, "0.bias": True, "2.weight": True, "2.bias": False}
    assert optimizer.state[net[0].weight]["diagonal"].shape == (6, 4)


def test_a_loss_without_a_root_is_refused_before_anything_changes():
    net = Linear(2, 2)
    before = net.weight.value.clone()
    with pytest.raises(ArgumentError, match="L1Loss: hessian_root must be defined"):
        take(net, L1Loss(), KFAC(net.param()), torch.randn(4, 2), torch.randn(4, 2))
    assert torch.equal(net.weight.value, before)
    assert net.weight.grad is None
    take(net, MSELoss(), KFAC(net.param()), torch.randn(4, 2), torch.randn(4, 2))
    assert not torch.equal(net.weight.value, before)


@pytest.mark.parametrize("name", ["KFAC", "Shampoo"])
def test_an_experiment_names_it(tmp_path, name):
    changes = {"optimizer": {"type": name, "lr": 0.05}, "epochs": 2}
    run = train_experiment("disk", changes, output=tmp_path / "runs", quiet=True)
    assert f'type = "{name}"' in (run.path / "experiment.toml").read_text()
    assert len((run.path / "history.csv").read_text().splitlines()) == 3
