"""Learning rules with several batches a step and in half precision: those of one batch, and of backpropagation."""

from collections import Counter

import pytest
import torch

from mytorch.core import ArgumentError
from mytorch.data import TensorDataSet
from mytorch.nn import (
    BatchNorm1d,
    CrossEntropyLoss,
    Embedding,
    Flatten,
    Heaviside,
    LayerNorm,
    Linear,
    MSELoss,
    ReLU,
    Residual,
    RMSNorm,
    Sequential,
    Sign,
    Tanh,
)
from mytorch.optim import SGD, AdamW
from mytorch.train import fit, rules, step
from mytorch.train.half_precision.half_precision import make_precision
from mytorch.train.rules.rule_step import RuleStep

pytestmark = pytest.mark.numbers

JUMPS = ("StraightThrough", "SurrogateGradient")
ANY = ("FeedbackAlignment", "SignSymmetric", *JUMPS)
LINEAR = (*ANY, "DirectFeedbackAlignment")
TEACHING = ("LocalLosses", "SyntheticGradients")
SETTLING = ("EquilibriumPropagation", "PredictiveCoding")
FORWARD = ("EvolutionStrategies", "ZerothOrder")
EVERY = (*LINEAR, *TEACHING, *SETTLING, *FORWARD, "TargetPropagation", "ForwardForward")


def network(name):
    """One that the rule trains, on rows of six numbers in three classes."""
    torch.manual_seed(1)
    if name in JUMPS:
        return Sequential(Linear(6, 16), Sign(), Linear(16, 16), Heaviside(), Linear(16, 3))
    if name == "ForwardForward":
        norms = [RMSNorm(16, elementwise_affine=False) for _ in range(2)]
        return Sequential(Linear(6, 16), ReLU(), norms[0], Linear(16, 16), ReLU(), norms[1], Linear(16, 3))
    return Sequential(Flatten(), Sequential(Linear(6, 16), Tanh(), Linear(16, 16), Tanh()), Linear(16, 3))


def clouds(rows=120):
    y = torch.arange(rows) % 3
    generator = torch.Generator().manual_seed(2)
    return TensorDataSet(torch.eye(3)[y].repeat(1, 2) + 0.3 * torch.randn(rows, 6, generator=generator), y)


def taken(name, net, loss, batches, optimizer=SGD, **options):
    """The loss and the weight of one step of a new rule, and the values and gradients that the optimizer saw."""
    seen = {}

    class Watched(optimizer):
        def step(self, closure=None):
            seen.update({key: held.grad.clone() for key, held in net.named_param()})
            super().step(closure)

    take = RuleStep(getattr(rules, name)(), accumulates=isinstance(batches, list), **options)
    with torch.inference_mode():
        inputs, targets = zip(*batches, strict=True) if isinstance(batches, list) else batches
        value, weight = take(net, loss, Watched(net.param(), lr=0.1), inputs, targets)
    assert all(held.grad is None for held in net.param())
    return value, float(weight), seen


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", [*LINEAR, *SETTLING, *FORWARD])
def test_several_batches_are_one_batch_of_all_rows(name, reduction):
    """Of different sizes, one of them without rows, and with classes of different weights."""
    loss = CrossEntropyLoss(torch.tensor([0.5, 1.0, 2.0]).double(), reduction=reduction)
    x, y = clouds(23)[:]
    x, y, cuts = x.double(), y[torch.randperm(23)], [5, 0, 11, 7]
    value, weight, whole = taken(name, network(name).double(), loss, (x, y))
    batches = [*zip(x.split(cuts), y.split(cuts), strict=True)]
    several, total, found = taken(name, network(name).double(), loss, batches)
    assert total == pytest.approx(weight, rel=1e-12)
    torch.testing.assert_close(several, value, rtol=0, atol=1e-10)
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-10)
    assert any(each.any() for each in found.values())


@pytest.mark.parametrize("name", TEACHING)
def test_what_a_rule_teaches_learns_from_one_batch_after_the_other(name):
    """So the second batch of a step is seen by heads that have learned from the first."""
    x, y = clouds(20)[:]
    net, rule, optimizer = network(name), getattr(rules, name)(), SGD
    batches = [(x[:12], y[:12]), (x[12:], y[12:])]
    _, _, found = taken(name, network(name), CrossEntropyLoss(), batches, optimizer)
    rule.prepare(net, CrossEntropyLoss())
    wanted = Counter()
    for inputs, targets in batches:
        net.zero_grad()
        rule.gradients(net, CrossEntropyLoss(), inputs, targets)
        for key, held in net.named_param():
            wanted[key] = wanted[key] + held.grad * len(inputs) / 20
    torch.testing.assert_close(found, dict(wanted))


def test_directions_and_ranks_are_those_of_all_batches():
    """A mean of ranks would be another one."""
    x, y = clouds(20)[:]
    batches = [(x[:3].double(), y[:3]), (x[3:].double(), y[3:])]
    loss, net = CrossEntropyLoss(), network("EvolutionStrategies").double()
    _, _, found = taken("EvolutionStrategies", net, loss, batches)
    apart = [taken("EvolutionStrategies", network("EvolutionStrategies").double(), loss, each)[2] for each in batches]
    mean = {key: (3 * apart[0][key] + 17 * apart[1][key]) / 20 for key in found}
    assert any(not torch.allclose(found[key], mean[key]) for key in found)


def train(name, epochs, **options):
    net = options.pop("net", None) or network(name)
    optimizer = SGD(net.param(), lr=0.05 if name in (*JUMPS, "ForwardForward") else 0.1)
    options = {"batch_size": 10, "seed": 3, "quiet": True, "rule": getattr(rules, name)(), **options}
    return fit(net, CrossEntropyLoss(), optimizer, clouds(), epochs=epochs, **options)


@pytest.mark.parametrize("name", EVERY)
def test_every_rule_trains_with_several_batches_and_is_resumed_to_the_bit(name, tmp_path):
    whole = train(name, 12, accumulate=2)
    assert whole.history[-1]["train_loss"] < 0.97 * whole.history[0]["train_loss"]
    train(name, 5, accumulate=2, checkpoint=tmp_path / "cut")
    resumed = train(name, 12, accumulate=2, resume=tmp_path / "cut")
    torch.testing.assert_close(resumed.net.state_dict(), whole.net.state_dict(), rtol=0, atol=0)


HALF = {
    "bfloat16-mixed": (*LINEAR, *TEACHING, "ForwardForward"),
    "bfloat16": (*LINEAR, *TEACHING, "ForwardForward"),
    "float16-mixed": LINEAR,
}


@pytest.mark.parametrize(("precision", "name"), [(key, name) for key, names in HALF.items() for name in names])
def test_rules_train_in_half_precision_and_keep_what_they_learn_in_float32(precision, name, tmp_path):
    dtypes = Counter()

    class Watched(SGD):
        def step(self, closure=None):
            dtypes.update((held.value.dtype, held.grad.dtype) for held in self.param_groups[0]["params"])
            super().step(closure)

    def run(epochs, **options):
        net, rule = network(name), getattr(rules, name)()
        optimizer = Watched(net.param(), lr=0.05 if name in (*JUMPS, "ForwardForward") else 0.1)
        options = {"batch_size": 10, "accumulate": 2, "seed": 3, "quiet": True, "precision": precision, **options}
        return fit(net, CrossEntropyLoss(), optimizer, clouds(), epochs=epochs, rule=rule, **options), rule

    training, rule = run(12)
    assert training.history[-1]["train_loss"] < 0.97 * training.history[0]["train_loss"]
    stored = torch.bfloat16 if precision == "bfloat16" else torch.float32
    assert set(dtypes) == {(stored, stored)}
    assert {held.value.dtype for held in training.net.param()} == {torch.float32}
    held = [rule.state_dict()]
    while held:
        each = held.pop()
        assert not isinstance(each, torch.Tensor) or each.dtype in (torch.float32, torch.uint8)
        held += each.values() if isinstance(each, dict) else each if isinstance(each, list) else []
    run(5, checkpoint=tmp_path / "cut")
    resumed, _ = run(12, resume=tmp_path / "cut")
    torch.testing.assert_close(resumed.net.state_dict(), training.net.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("precision", "name"), [(key, name) for key in ("bfloat16-mixed", "float16-mixed") for name in HALF[key]]
)
def test_gradients_in_half_precision_are_those_in_float32_but_for_rounding(precision, name):
    x, y = clouds(30)[:]
    _, _, exact = taken(name, network(name), CrossEntropyLoss(), (x, y))
    _, _, found = taken(name, network(name), CrossEntropyLoss(), (x, y), precision=make_precision(precision))
    exact, found = (torch.cat([each[key].flatten() for key in exact]) for each in (exact, found))
    bound = 0.1 if name in JUMPS else 0.02  # since a sum near 0 may jump
    assert 0 < (found - exact).norm() < bound * exact.norm()


class Deep(Sequential):
    """What has layers within layers, a normalisation that stays in float32, and one that is used twice."""

    def __init__(self):
        shared = Linear(8, 8)
        super().__init__(
            Embedding(9, 8),
            Flatten(),
            Linear(24, 8),
            BatchNorm1d(8),
            Residual(Sequential(shared, Tanh(), LayerNorm(8))),
            Sequential(shared, ReLU()),
            Linear(8, 3),
        )


@pytest.mark.parametrize("precision", ["bfloat16-mixed", "float16-mixed", "bfloat16"])
def test_feedback_by_the_weights_is_backpropagation_in_half_precision_to_the_bit(precision):
    nets = []
    for _ in range(2):
        torch.manual_seed(5)
        nets.append(Deep())
    x, y, loss = torch.randint(9, (11, 3)), torch.randint(3, (11,)), CrossEntropyLoss()
    mixed = [make_precision(precision) for _ in nets]
    rule = rules.FeedbackAlignment()
    take = RuleStep(rule, precision=mixed[0])
    optimizers = [AdamW(net.param(), lr=0.01) for net in nets]
    with mixed[0].storing(nets[0]), mixed[1].storing(nets[1]), torch.inference_mode():
        take.prepare(nets[0], loss, optimizers[0])
        for _ in range(3):
            weights = {key: held.value.float() for key, held in nets[0].named_param()}
            rule.load_state_dict({"feedback": {key: weights[key] for key in rule.state_dict()["feedback"]}})
            found = take(nets[0], loss, optimizers[0], x, y)
            wanted = step(nets[1], loss, optimizers[1], x, y, precision=mixed[1])
            torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    torch.testing.assert_close(nets[0].state_dict(), nets[1].state_dict(), rtol=0, atol=0)
    assert all("forward" not in vars(module) and "backward" not in vars(module) for module in nets[0].modules())


@pytest.mark.parametrize(
    ("names", "precision", "text"),
    [
        (FORWARD, "bfloat16-mixed", "in which the small differences between losses that it learns from are lost"),
        ((*SETTLING, "TargetPropagation"), "bfloat16", "in which the small differences between activities that it"),
        (TEACHING, "float16-mixed", "which scales the loss, from which the rule also teaches its"),
        (("ForwardForward",), "float16-mixed", "which scales the loss, from which hidden blocks do not learn"),
    ],
)
def test_a_precision_is_refused_with_the_reason_of_the_rule(names, precision, text):
    for name in names:
        with pytest.raises(ArgumentError, match=f"with precision = '{precision}', {text}.*, got {name}; leave one"):
            train(name, 1, precision=precision)


def test_lists_of_different_lengths_are_refused():
    net = Sequential(Linear(2, 2))
    take = RuleStep(rules.FeedbackAlignment(), accumulates=True)
    x = torch.randn(3, 2)
    with pytest.raises(ArgumentError, match="rule: targets must be of as many batches as inputs, 2, got 1"):
        take(net, MSELoss(), SGD(net.param()), [x, x], [x])
