"""A training by a learning rule is like any other: clipped, resumed, replayed, told of, or refused by name."""

from typing import ClassVar

import pytest
import torch
from toy_parts import SGD, Chain, Dense, Rectify, SquaredError, Table

from mytorch.core import ArgumentError, Rule
from mytorch.plugins import Callback, StopTraining
from mytorch.train import Batches, NotFiniteError, RunError, fit, gradients, step
from mytorch.train.explain.explain import explain_setup
from mytorch.train.privacy import Privacy
from mytorch.train.quantities import LayerGradients
from mytorch.train.rules import FeedbackAlignment, ZerothOrder
from mytorch.train.rules.rule_step import RuleStep
from mytorch.train.setup import Setup
from mytorch.train.trackers.gradient_norms import gradient_norms

pytestmark = pytest.mark.numbers


class Blurred(Rule):
    """Backpropagation with noise of its own generator and a running sum, so that resuming needs its state."""

    transposes = True

    def __init__(self, seed=0):
        self.seed, self.prepared = seed, 0

    def prepare(self, net, loss):
        self.prepared += 1
        self.generator = torch.Generator().manual_seed(self.seed)
        self.drift = {name: torch.zeros_like(held.value) for name, held in net.named_param()}
        self.steps = 0

    def gradients(self, net, loss, inputs, targets):
        result = gradients(net, loss, inputs, targets)
        for name, held in net.named_param():
            self.drift[name].add_(torch.randn(held.value.shape, generator=self.generator), alpha=0.01)
            held.grad = held.grad + self.drift[name]
        self.steps += 1
        return result

    def names(self, net):
        return ["blurred_steps"]

    def results(self):
        found, self.steps = {"blurred_steps": self.steps}, 0
        return found

    def state_dict(self):
        return {"drift": self.drift, "generator": self.generator.get_state(), "steps": self.steps}

    def load_state_dict(self, state):
        self.drift = {name: value.clone() for name, value in state["drift"].items()}
        self.generator.set_state(state["generator"])
        self.steps = state["steps"]


class StopAfter(Callback):
    def __init__(self, batches):
        self.left = batches

    def batch_ended(self):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


class Once(Callback):
    def epoch_ended(self):
        raise StopTraining


def table(rows=40):
    generator = torch.Generator().manual_seed(2)
    return Table(torch.randn(rows, 3, generator=generator), torch.randn(rows, 2, generator=generator))


def network():
    torch.manual_seed(3)
    return Chain(Dense(3, 4), Rectify(), Dense(4, 2))


def trained(rule, **options):
    net = options.pop("net", None) or network()
    optimizer = options.pop("optimizer", None) or SGD(net.param(), lr=0.05)
    options = {"epochs": 3, "batch_size": 8, "quiet": True, "rule": rule, **options}
    return fit(net, SquaredError(), optimizer, options.pop("data", table()), **options)


def numbers(training):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in training.history]


def same(first, second):
    torch.testing.assert_close(first.net.state_dict(), second.net.state_dict(), rtol=0, atol=0)
    assert numbers(first) == numbers(second)


def test_it_trains_along_the_gradients_of_the_rule():
    rule, net = FeedbackAlignment(), network()
    rule.prepare(net, SquaredError())
    optimizer = SGD(net.param(), lr=0.05)
    training = trained(FeedbackAlignment(), epochs=1, shuffle=False, net=network())
    data = table()
    for start in range(0, 40, 8):
        rule.gradients(net, SquaredError(), *data[start : start + 8])
        optimizer.step()
        net.zero_grad()
    torch.testing.assert_close(training.net.state_dict(), net.state_dict(), rtol=0, atol=0)
    assert all(held.grad is None for held in training.net.param())


@pytest.mark.parametrize("clipping", [{"clip_grad_norm": 0.1}, {"clip_grad_value": 0.01}])
def test_its_gradients_are_clipped(clipping):
    class Plain(Rule):
        def gradients(self, net, loss, inputs, targets):
            return gradients(net, loss, inputs, targets)

    def taken(take):
        net = network()
        optimizer = SGD(net.param(), lr=0.05)
        with torch.inference_mode():
            result = take(net, SquaredError(), optimizer, *table()[:8])
        return result, net.state_dict()

    def clipped(*args):
        return step(*args, **clipping)

    torch.testing.assert_close(taken(RuleStep(Plain(), **clipping)), taken(clipped), rtol=0, atol=0)
    ours, theirs = (trained(rule, **clipping).net.state_dict() for rule in (Plain(), None))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("build", [Blurred, FeedbackAlignment])
@pytest.mark.parametrize("batches", [4, 7, 10])
def test_a_run_that_was_interrupted_goes_on_to_the_bit(build, batches, tmp_path):
    whole = trained(build())
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(KeyboardInterrupt):
        trained(build(), checkpoint=path, checkpoint_every=0, callbacks=[StopAfter(batches)])
    same(trained(build(), resume=path), whole)
    assert whole.columns[-1] == ("blurred_steps" if build is Blurred else "train_loss")


def test_a_run_is_resumed_by_the_same_rule_alone(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    trained(FeedbackAlignment(), checkpoint=path)
    with pytest.raises(RunError, match="rule must be FeedbackAlignment, got Blurred"):
        trained(Blurred(), resume=path, epochs=5)
    with pytest.raises(RunError, match="rule must be FeedbackAlignment, got none"):
        trained(None, resume=path, epochs=5)


def test_a_run_is_resumed_with_the_same_settings_of_the_rule_alone(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    trained(FeedbackAlignment(seed=1), checkpoint=path)
    with pytest.raises(RunError, match=r"set up the same; rule\.seed must be 1, got 2$"):
        trained(FeedbackAlignment(seed=2), resume=path, epochs=5)
    assert trained(FeedbackAlignment(seed=1), resume=path, epochs=5).epoch == 5
    trained(ZerothOrder(epsilon=1e-2, samples=2), checkpoint=path)
    with pytest.raises(RunError, match=r"rule\.epsilon must be 0\.01, got 0\.001; rule\.samples must be 2, got 1$"):
        trained(ZerothOrder(), resume=path, epochs=5)


def test_epochs_one_by_one_are_the_same_and_a_new_optimizer_begins_anew():
    whole = trained(Blurred())
    rule, net = Blurred(), network()
    optimizer = SGD(net.param(), lr=0.05)
    for _ in range(3):
        last = trained(rule, net=net, optimizer=optimizer, epochs=1)
    torch.testing.assert_close(last.net.state_dict(), whole.net.state_dict(), rtol=0, atol=0)
    assert rule.prepared == 1
    trained(rule, net=net)
    assert rule.prepared == 2


def test_the_search_for_what_is_not_finite_repeats_the_steps():
    class Bursts(Blurred):
        """Blows up in one step, which depends on the state."""

        def gradients(self, net, loss, inputs, targets):
            result = super().gradients(net, loss, inputs, targets)
            if self.steps == 3:
                net.layers[2].weight.grad[0, 0] = torch.inf
            return result

    with pytest.raises(NotFiniteError, match=r"epoch 1, batch 3: the first .* is 2.weight after the update"):
        trained(Bursts())


def test_the_engine_that_changes_over_stays_eager():
    same(trained(FeedbackAlignment(), engine="auto"), trained(FeedbackAlignment()))


def test_an_error_names_the_layer():
    with pytest.raises(Exception, match="last axis") as caught:
        trained(FeedbackAlignment(), net=Chain(Dense(3, 4), Dense(5, 2)))
    assert any("in layer '1' (Dense)" in note for note in caught.value.__notes__)


class Several(SGD):
    needs_closure = True


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"step": step}, r"a step of your own \(step\), which makes its own gradients, got FeedbackAlignment"),
        ({"quantities": [LayerGradients()]}, "quantities, which needs the backward pass of backpropagation"),
        ({"clip_sample_norm": 1.0}, "clip_sample_norm = 1.0, which needs"),
        ({"privacy": Privacy.__new__(Privacy)}, "privacy, which needs"),
        ({"optimizer_in_backward": True}, "optimizer_in_backward, which needs"),
        ({"engine": "compiled"}, "the compiled engine, which compiles backpropagation"),
    ],
)
def test_what_does_not_go_together_with_it_is_refused(options, text):
    with pytest.raises(ArgumentError, match=f"rule: must be left out with {text}"):
        trained(FeedbackAlignment(), **options)


class Named(FeedbackAlignment):
    refuses: ClassVar[dict[str, str]] = {"clip_grad_norm": "whose norms it sets itself", "float16-mixed": "of 16 bits"}


@pytest.mark.parametrize(
    ("rule", "options", "text"),
    [
        (
            Blurred,
            {"accumulate": 2},
            r"accumulate = 2, which a rule takes only if it says so \(Rule\.refuses\), got Bl",
        ),
        (Blurred, {"precision": "bfloat16"}, "precision = 'bfloat16', which a rule takes only if it says so"),
        (
            Named,
            {"clip_grad_norm": 1.0},
            r"clip_grad_norm = 1\.0, whose norms it sets itself, got Named; leave one of",
        ),
        (Named, {"precision": "float16-mixed"}, "precision = 'float16-mixed', of 16 bits"),
    ],
)
def test_what_a_rule_says_that_it_refuses_is_refused(rule, options, text):
    with pytest.raises(ArgumentError, match=f"rule: must be left out with {text}"):
        trained(rule(), **options)


def test_what_is_no_rule_and_what_returns_no_loss_are_refused():
    with pytest.raises(ArgumentError, match="fit: rule must be a Rule of mytorch, got"):
        trained("FeedbackAlignment")
    net = network()
    with pytest.raises(ArgumentError, match="rule: must be left out with Several, which evaluates the loss"):
        trained(FeedbackAlignment(), net=net, optimizer=Several(net.param()))

    class Silent(Rule):
        def gradients(self, net, loss, inputs, targets):
            return gradients(net, loss, inputs, targets)[0]

    with pytest.raises(ArgumentError, match=r"rule: gradients of Silent must return the loss and its weight, .*ensor"):
        trained(Silent())
    with pytest.raises(NotImplementedError, match="Rule: gradients must be overridden"):
        trained(Rule())


def test_a_rule_is_prepared_before_anything_changes():
    class Picky(Rule):
        def prepare(self, net, loss):
            raise ArgumentError("Picky: the net must be another, got this one")

    net = network()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(ArgumentError, match="Picky"):
        trained(Picky(), net=net)
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)


def test_a_rule_by_itself_keeps_and_tells_nothing():
    plain = Rule()
    assert plain.prepare(network(), SquaredError()) is None
    assert (plain.names(network()), plain.results(), plain.state_dict()) == ([], {}, {})
    plain.load_state_dict({})
    assert (plain.transposes, plain.local, plain.forward_only) == (False, False, False)


def test_norms_of_gradients_are_those_of_the_rule_and_leave_its_state():
    net, rule = network(), Blurred()
    setup = Setup(net, SquaredError(), SGD(net.param()), Batches(table(), 8, shuffle=False), step=RuleStep(rule))
    norms = gradient_norms(setup)
    assert torch.equal(rule.generator.get_state(), torch.Generator().manual_seed(0).get_state())
    assert rule.steps == 0
    assert not rule.drift["0.weight"].any()
    rule.gradients(net, SquaredError(), *table()[:8])
    assert norms == pytest.approx({name: float(held.grad.norm()) for name, held in net.named_param()})


def test_explaining_a_step_leaves_the_state_of_its_rule():
    net, rule = network(), Blurred()
    setup = Setup(net, SquaredError(), SGD(net.param()), Batches(table(), 8), step=RuleStep(rule))
    explained = explain_setup(setup)
    assert rule.steps == 0
    assert not rule.drift["0.weight"].any()
    assert explained.title == "One training step of Chain by the rule Blurred, batch 1 of 5"


def test_a_rule_that_has_gone_on_to_another_net_is_refused_before_anything_changes():
    rule, nets = FeedbackAlignment(), [network(), network()]
    optimizers = [SGD(net.param(), lr=0.05) for net in nets]
    first, _ = (trained(rule, net=net, optimizer=each) for net, each in zip(nets, optimizers, strict=True))
    before = {name: value.clone() for name, value in nets[0].state_dict().items()}
    with pytest.raises(
        ArgumentError, match="rule: must be one for each optimizer, got a FeedbackAlignment with which"
    ):
        trained(rule, net=nets[0], optimizer=optimizers[0])
    torch.testing.assert_close(nets[0].state_dict(), before, rtol=0, atol=0)
    trained(rule, net=nets[1], optimizer=optimizers[1])
    assert trained(FeedbackAlignment(), net=nets[0], optimizer=optimizers[0]).epoch == first.epoch + 3
