"""One training step as data."""

import json
import math
import time
from dataclasses import asdict

import pytest
import torch
from toy_parts import SGD, Both, Chain, Dense, Noise, Rectify, SquaredError, Table, network

from mytorch.core import ArgumentError, Loss, Module, ShapeError
from mytorch.train import Batches, Setup, explain, explain_setup, gradients, step, step_in_backward
from mytorch.train.choose_step import choose_step
from mytorch.train.explain.explain import explain_batch
from mytorch.train.explain.recorder import Clock


def by_hand():
    """A 2-2-1 net whose second unit is dead, a row and its target."""
    net = Chain(Dense(2, 2), Rectify(), Dense(2, 1))
    for parameter, numbers in zip(net.param(), ([[1, -1], [2, 0.5]], [0, -5], [[2, 3]], [1]), strict=True):
        parameter.value.copy_(torch.tensor(numbers))
    return net, torch.tensor([[2.0, 1.0]]), torch.tensor([[1.0]])


def values(numbers):
    return {tensor.name: tensor.values for tensor in numbers}


def test_forward_loss_and_backward_of_numbers_that_can_be_checked_by_hand():
    net, x, t = by_hand()
    found = explain(net, SquaredError(), x, t)
    order = [(step.phase, step.path, step.layer, step.depth) for step in found.steps]
    assert order == [
        ("forward", "", "Chain", 0),
        ("forward", "0", "Dense", 1),
        ("forward", "1", "Rectify", 1),
        ("forward", "2", "Dense", 1),
        ("loss", "loss", "SquaredError", 0),
        ("backward", "loss", "SquaredError", 0),
        ("backward", "", "Chain", 0),
        ("backward", "2", "Dense", 1),
        ("backward", "1", "Rectify", 1),
        ("backward", "0", "Dense", 1),
    ]
    whole, first, relu, last = found.of("forward")
    assert values(whole.inputs) == values(first.inputs) == {"x": [[2, 1]]}
    assert values(first.parameters) == {"weight": [[1, -1], [2, 0.5]], "bias": [0, -5]}
    assert values(first.outputs) == {"y": [[1, -0.5]]}
    assert values(relu.outputs) == {"y": [[1, 0]]}
    assert values(last.outputs) == values(whole.outputs) == {"y": [[3]]}
    (loss,) = found.of("loss")
    assert values(loss.inputs) == {"prediction": [[3]], "target": [[1]]}
    assert values(loss.outputs) == {"loss": 4}
    assert found.loss == 4
    of_loss, whole, last, relu, first = found.of("backward")
    assert values(of_loss.inputs) == {"d_loss": 1}
    assert values(of_loss.outputs) == {"d_prediction": [[4]]}
    assert values(last.gradients) == {"d_weight": [[4, 0]], "d_bias": [4]}
    assert values(last.outputs) == {"d_x": [[8, 12]]}
    assert values(relu.outputs) == {"d_x": [[8, 0]]}
    assert values(first.gradients) == {"d_weight": [[16, 8], [0, 0]], "d_bias": [8, 0]}
    assert values(first.outputs) == values(whole.outputs) == {"d_x": [[8, -8]]}
    assert (whole.passes_on, first.passes_on) == (True, False)
    assert last.gradients[0].norm == 4
    assert all(step.seconds > 0 for step in found.steps)


def test_what_is_kept_is_counted_once():
    net, x, t = by_hand()
    whole, first, relu, last = explain(net, SquaredError(), x, t).of("forward")
    assert [(kept.name, kept.shape, kept.counted) for kept in first.saved] == [("x", (1, 2), 8)]
    assert [(kept.name, kept.counted) for kept in relu.saved] == [("y", 8)]
    assert [(kept.name, kept.counted) for kept in last.saved] == [("x", 0)]  # the ReLU keeps the same tensor
    assert whole.saved == ()
    assert explain(net, SquaredError(), x, t).saved_bytes == 8 + 8 + 4
    part = torch.randn(100, 2)[:1]  # as a batch may be of a larger tensor
    assert explain(net, SquaredError(), part, t).saved_bytes == 8 + 8 + 4


class Again(Module):
    """Keeps its input, and takes the forward of what it holds once more in the backward pass."""

    def __init__(self, inner):
        self.inner = inner

    def forward(self, x):
        return self.inner(x), x

    def backward(self, d_y, x):
        return self.inner.backward(d_y, self.inner.forward(x)[1])


def test_what_is_let_go_or_taken_within_the_backward_pass_is_not_counted():
    x, t = torch.randn(5, 2), torch.randn(5, 1)
    kept = explain(Chain(Dense(2, 3), Rectify(), Dense(3, 1)), SquaredError(), x, t).saved_bytes
    assert kept == 4 * 5 * (2 + 3 + 1)
    found = explain(Again(Chain(Dense(2, 3), Rectify(), Dense(3, 1))), SquaredError(), x, t)
    assert found.saved_bytes == 4 * 5 * (2 + 1)


def test_several_inputs_have_a_gradient_each():
    net = Both(Dense(2, 3), Dense(1, 3, bias=False))
    found = explain(net, SquaredError(), (torch.randn(4, 2), torch.randn(4, 1)), torch.randn(4, 3))
    assert [(tensor.name, tensor.shape) for tensor in found.of("forward")[0].inputs] == [("a", (4, 2)), ("b", (4, 1))]
    backward = next(step for step in found.of("backward") if step.path == "")
    assert [(tensor.name, tensor.shape) for tensor in backward.outputs] == [("d_a", (4, 2)), ("d_b", (4, 1))]
    assert backward.passes_on


def test_a_shared_layer_has_a_line_for_each_use_and_its_own_gradient_there():
    shared, x, t = Dense(3, 3), torch.randn(4, 3), torch.randn(4, 3)
    net = Chain(shared, Rectify(), Chain(shared, Dense(3, 3)), shared)
    found = explain(net, SquaredError(), x, t)
    uses = [(step.path, step.use, step.uses) for step in found.of("forward") if step.layer == "Dense"]
    assert uses == [("0", 1, 3), ("2.0", 2, 3), ("2.1", 1, 1), ("3", 3, 3)]
    back = {step.path: step for step in found.of("backward") if step.uses == 3}
    assert list(back) == ["3", "2.0", "0"]
    gradients(net, SquaredError(), x, t)
    means = [gradient.mean for step in back.values() for gradient in step.gradients if gradient.name == "d_bias"]
    assert sum(means) == pytest.approx(shared.bias.grad.mean().item(), rel=1e-5)
    assert len({round(mean, 6) for mean in means}) == 3


def test_large_and_odd_tensors_are_told_by_range_mean_and_norm():
    x = torch.tensor([[3.0, -4.0] + [0.0] * 11])
    large = explain(Dense(13, 2), SquaredError(), x, torch.zeros(1, 2)).of("forward")[0].inputs[0]
    assert (large.values, large.low, large.high, large.norm) == (None, -4, 3, 5)
    assert large.mean == pytest.approx(-1 / 13)
    small = explain(Dense(12, 2), SquaredError(), torch.full((1, 12), math.inf), torch.zeros(1, 2))
    assert small.of("forward")[0].inputs[0].values == [[math.inf] * 12]
    assert not math.isfinite(small.loss)
    empty = explain(Rectify(), SquaredError("sum"), torch.zeros(0, 2), torch.zeros(0, 2)).of("forward")[0].inputs[0]
    assert (empty.shape, empty.values, empty.norm) == ((0, 2), [], 0)
    assert math.isnan(empty.mean)


def test_it_is_the_step_that_training_takes():
    shared = Dense(3, 3)
    net, loss = Chain(Dense(2, 3), Noise(), shared, Rectify(), shared, Dense(3, 1)), SquaredError()
    optimizer, x, t = SGD(net.param(), 0.1, momentum=0.9), torch.randn(4, 2), torch.randn(4, 1)
    step(net, loss, optimizer, x, t)  # so that there is a velocity
    found = explain(net.eval(), loss, x, t, optimizer)
    net.train()
    with torch.inference_mode():
        assert step(net, loss, optimizer, x, t)[0].item() == found.loss
    (update,) = found.of("update")
    assert values(update.outputs) == {name: parameter.value.tolist() for name, parameter in net.named_param()}
    assert values(update.inputs) != values(update.outputs)
    assert [tensor.name for tensor in update.gradients] == [
        f"d_{path}.{name}" for path in "025" for name in ("weight", "bias")
    ]
    assert update.summary == "SGD(lr=0.1, momentum=0.9)"


def test_a_step_of_one_s_own_is_explained_with_each_of_its_updates():
    net, x, t = by_hand()
    optimizer = SGD(net.param(), 0.1)

    def twice(net, loss, optimizer, inputs, targets):
        for _ in range(2):
            value, _ = gradients(net, loss, inputs, targets)
            optimizer.step()
            optimizer.zero_grad()
        return value

    before = {name: value.clone() for name, value in net.state_dict().items()}
    found = explain(net, SquaredError(), x, t, optimizer, step=twice)
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    assert "step" not in vars(optimizer)
    phases = [step.phase for step in found.steps]
    assert phases == 2 * (["forward"] * 4 + ["loss"] + ["backward"] * 5 + ["update"])
    first, second = found.of("update")
    assert first.outputs == second.inputs
    assert found.loss != 4  # of the second forward
    plain = explain(net, SquaredError(), x, t, optimizer)
    (update,) = plain.of("update")
    assert (update.inputs, update.outputs, update.gradients) == (first.inputs, first.outputs, first.gradients)
    assert [step.outputs for step in plain.steps[:-1]] == [step.outputs for step in found.steps[:10]]
    with pytest.raises(ArgumentError, match=r"^explain: optimizer must be given with a step of your own"):
        explain(net, SquaredError(), x, t, step=twice)
    with pytest.raises(ArgumentError, match=r"^explain: step must update after the backward pass, got step_in_back"):
        explain(net, SquaredError(), x, t, optimizer, step=step_in_backward)
    with pytest.raises(ArgumentError, match=r"^clip_grad_norm: must be left out with a step of your own \(twice\)"):
        explain(net, SquaredError(), x, t, optimizer, 1.0, step=twice)


@pytest.mark.parametrize("options", [{}, {"clip_grad_value": 0.1}, {"optimizer_in_backward": True}, {"accumulate": 2}])
def test_a_setup_is_explained_as_it_would_go_on(options):
    torch.manual_seed(0)
    net, data = network(), Table(torch.randn(10, 2), torch.randn(10, 2))
    optimizer = SGD(net.param(), 0.1)
    batches = Batches(data, 2, shuffle=True, seed=3, accumulate=options.get("accumulate", 1))
    setup = Setup(net, SquaredError(), optimizer, batches, step=choose_step(optimizer, **options))
    found = explain_setup(setup, batch=2)
    assert found.loss == explain_setup(setup, batch=2).loss
    assert found.title.endswith(f", batch 2 of {len(batches)}")
    assert len(found.of("update")) == 1
    assert len([step for step in found.of("forward") if not step.path]) == options.get("accumulate", 1)
    steps = iter(setup.batches)
    next(steps)
    with torch.inference_mode():
        value, _ = setup.take_step(*next(steps))
    assert found.loss == pytest.approx(value.item())
    with pytest.raises(ArgumentError, match=r"^explain: batch must be between 1 and"):
        explain_setup(setup, batch=0)


def test_the_time_of_writing_down_does_not_count():
    clock = Clock()
    began = clock.now()
    with clock.stopped():
        time.sleep(0.05)
    assert 0 <= clock.now() - began < 0.04


def test_an_error_names_the_layer():
    with pytest.raises(ShapeError, match="last axis of x must be 4, got 3") as info:
        explain(Chain(Dense(2, 3), Chain(Dense(4, 3))), SquaredError(), torch.randn(4, 2), torch.randn(4, 3))
    assert info.value.__notes__ == ["in layer '1.0' (Dense) of Chain"]


def test_a_loss_must_be_one_number():
    with pytest.raises(
        ArgumentError, match=r"SquaredError: the value to train on must be one number, got .* \(3, 2\)"
    ):
        explain(network(), SquaredError("none"), torch.randn(3, 2), torch.randn(3, 2))


def test_it_is_plain_data_and_needs_no_autograd(no_autograd):
    x = torch.randn(3, 2)
    x.requires_grad = True
    found = explain(network(), SquaredError(), x, torch.zeros(3, 2))
    json.dumps(asdict(found), allow_nan=False)


def test_the_input_gradient_that_was_not_wanted_is_not_shown():
    net = network()
    net.input_grad = False
    last = explain(net, SquaredError(), torch.randn(3, 2), torch.randn(3, 2)).of("backward")[-1]
    assert (last.path, last.outputs) == ("0", ())
    assert net.input_grad is False


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"net": torch.nn.Linear(2, 2)}, "net must be a Module of mytorch, got torch.nn.modules.linear.Linear"),
        ({"loss": SquaredError}, r"loss must be a Module of mytorch, got the class SquaredError; write SquaredError"),
        ({"optimizer": torch.ones(2)}, "optimizer must be an Optimizer of mytorch, got torch.Tensor"),
    ],
)
def test_parts_of_another_kind_are_refused(wrong, text):
    parts = {"net": network(), "loss": SquaredError(), "x": torch.ones(3, 2), "t": torch.ones(3, 2)}
    with pytest.raises(ArgumentError, match=f"^explain: {text}"):
        explain(**parts | wrong)


def test_a_loss_of_three_inputs_is_refused():
    class Triplet(Loss):
        def forward(self, anchor, positive, negative):
            raise NotImplementedError

    net = Dense(2, 2)
    with pytest.raises(ArgumentError, match=r"^Triplet: forward must take a prediction and a target"):
        explain(net, Triplet(), torch.ones(3, 2), torch.ones(3, 2))


def test_a_batch_that_is_at_hand_is_explained_as_the_one_that_comes_next():
    net = network()
    rows = [(torch.randn(2), torch.randn(2)) for _ in range(6)]
    setup = Setup(net, SquaredError(), SGD(net.param(), 0.1), Batches(rows, 3))
    inputs, targets = setup.batches.peek(2)
    there, next_one = explain_batch(setup, inputs, targets), explain_setup(setup, 2)
    assert there.loss == next_one.loss
    assert [step.gradients for step in there.of("backward")] == [step.gradients for step in next_one.of("backward")]
