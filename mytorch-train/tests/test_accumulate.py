"""Several batches make one step, which is that of one large batch, whatever their sizes and weights."""

import copy

import pytest
import torch
from compiled_runs import require_equal, table, was_compiled
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_parts import SGD, Chain, Dense, Line, Noise, Ramp, Rectify, Rows, SquaredError, Table

from mytorch.core import ArgumentError
from mytorch.plugins import hookimpl
from mytorch.train import Batches, NotFiniteError, Setup, fit, step, step_accumulated
from mytorch.train.choose_step import choose_step


class Masked(SquaredError):
    """The mean over the rows whose first target is positive; NaN, with gradients of 0, where there is none."""

    def forward(self, prediction, target):
        kept = (target[:, :1] > 0).to(prediction.dtype)
        difference = (prediction - target) * kept
        value = difference.square().sum()
        return value / kept.sum() if self.reduction == "mean" else value, (difference, kept.sum())

    def backward(self, d_loss, saved):
        difference, count = saved
        return 2 * d_loss * difference / (count.clamp(min=1) if self.reduction == "mean" else 1)

    def weight_of(self, prediction, target):
        return (target[:, 0] > 0).sum()


def net_of(dtype=torch.float64):
    torch.manual_seed(3)
    return Chain(Dense(3, 4), Rectify(), Dense(4, 2)).to(dtype)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.sampled_from([SquaredError, Masked]),
    st.sampled_from(["mean", "sum"]),
    st.sampled_from([{}, {"clip_grad_norm": 0.1}, {"clip_grad_value": 0.01}]),
    st.integers(0, 2**20),
)
def test_a_step_is_that_of_all_rows_at_once(sizes, kind, reduction, clipping, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(sum(sizes), 3, generator=generator, dtype=torch.float64)
    t = torch.randn(sum(sizes), 2, generator=generator, dtype=torch.float64)
    t[: sizes[0]] = -1.0  # of weight 0 for Masked
    nets, loss = [net_of(), net_of()], kind(reduction)
    optimizers = [SGD(net.param(), 0.1, momentum=0.9) for net in nets]
    whole = step(nets[0], loss, optimizers[0], x, t, **clipping)
    parts = step_accumulated(nets[1], loss, optimizers[1], x.split(sizes), t.split(sizes), **clipping)
    torch.testing.assert_close(parts[0], whole[0], rtol=1e-12, atol=1e-12, equal_nan=True)
    assert parts[1] == whole[1]
    for mine, other in zip(nets[1].param(), nets[0].param(), strict=True):
        torch.testing.assert_close(mine.value, other.value, rtol=1e-12, atol=1e-13)
        assert mine.grad is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_and_gradients_keep_their_dtype(dtype):
    net, x, t = net_of(dtype), torch.randn(6, 3, dtype=dtype), torch.randn(6, 2, dtype=dtype)
    before = copy.deepcopy(net.state_dict())
    for kind in (SquaredError(), Masked()):
        value, _ = step_accumulated(net, kind, SGD(net.param(), 0.1), x.split(4), t.split(4))
        assert value.dtype is dtype
    assert all(value.dtype is dtype for value in net.state_dict().values())
    assert not torch.equal(net.state_dict()["0.weight"], before["0.weight"])


def train(engine="eager", *, batch_size=5, accumulate=4, loss=None, data=None, epochs=3, **options):
    net = net_of()
    optimizer = SGD(net.param(), 0.05, momentum=0.9)
    options = {"schedule": Ramp(optimizer, 3 * epochs), "validation": table(20), "quiet": True} | options
    return fit(
        net,
        loss or SquaredError(),
        optimizer,
        data or table(46),
        epochs=epochs,
        batch_size=batch_size,
        accumulate=accumulate,
        engine=engine,
        **options,
    )


@pytest.mark.parametrize("loss", [SquaredError(), SquaredError("sum")], ids=["mean", "sum"])
def test_a_run_equals_the_one_with_large_batches(loss):
    options = {"loss": loss, "clip_grad_norm": 1.0}
    small, large = train(**options), train(batch_size=20, accumulate=1, **options)
    require_equal(small, large)
    assert len(small.batches) == len(large.batches) == 3
    assert [record["lr"] for record in small.history] == [record["lr"] for record in large.history]


def test_the_compiled_engine_equals_the_eager_one(interpreted):
    for loss in (SquaredError(), Masked()):
        compiled, eager = train("compiled", loss=loss, epochs=6), train(loss=loss, epochs=6)
        assert was_compiled(compiled)
        require_equal(compiled, eager)


class Counts:
    def __init__(self):
        self.batches = []

    @hookimpl
    def batch_ended(self, batch):
        self.batches.append(batch)


def test_a_loader_s_batches_are_taken_together():
    counts = Counts()
    loader = torch.utils.data.DataLoader(Rows(table(46)), batch_size=5)
    run = train(data=loader, batch_size=None, callbacks=[counts], schedule=None, epochs=1)
    require_equal(run, train(data=table(46), batch_size=20, accumulate=1, shuffle=False, schedule=None, epochs=1))
    assert counts.batches == [1, 2, 3]


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [[2, 2], [2, 2], [1]]), (True, [[2, 2], [2, 2]])])
def test_drop_last_leaves_out_a_smaller_batch_and_no_others(drop_last, sizes):
    batches = Batches(Line(9), 2, drop_last=drop_last, accumulate=2)
    assert [[len(one) for one in inputs] for inputs, _ in batches] == sizes
    assert (len(batches), batches.whole) == (len(sizes), 2)
    longer = Batches(Line(7), 2, drop_last=True, accumulate=2)
    assert [[len(one) for one in inputs] for inputs, _ in longer] == [[2, 2], [2]]


def test_where_a_value_stops_being_finite_is_found():
    data = table(46)
    data.inputs[33] = torch.inf
    with pytest.raises(NotFiniteError, match=r"epoch 1, batch \d: the first value .* is the inputs of the batch"):
        train(data=data)


def test_layers_that_draw_are_repeated_with_each_batch():
    net = Chain(Dense(3, 2), Noise()).to(torch.float64)
    fit(net, SquaredError(), SGD(net.param()), table(46), epochs=1, batch_size=5, accumulate=4, quiet=True)
    assert int(net.layers[1].seen.value) == 10


def own(net, loss, optimizer, inputs, targets):
    raise AssertionError


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"accumulate": 0}, "Batches: accumulate must be a whole number of at least 1, got 0"),
        ({"accumulate": 2.0}, "Batches: accumulate must be a whole number of at least 1, got 2.0"),
        (
            {"step": own},
            r"accumulate: must be left out with a step of your own \(own\), which has to do this itself, got 2",
        ),
        (
            {"optimizer_in_backward": True},
            "optimizer_in_backward: must be left out with accumulate = 2, since a gradient is",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(options, text):
    net = Chain(Dense(1, 1))
    arguments = {"epochs": 1, "batch_size": 2, "quiet": True, "accumulate": 2} | options
    with pytest.raises(ArgumentError, match=f"^{text}"):
        fit(net, SquaredError(), SGD(net.param()), Line(4), **arguments)


def test_a_step_of_lists_and_batches_of_lists_go_together():
    net = Chain(Dense(1, 1))
    optimizer = SGD(net.param())
    for accumulate, take in ((2, step), (1, choose_step(optimizer, accumulate=2))):
        batches = Batches(Line(4), 2, accumulate=accumulate)
        with pytest.raises(ArgumentError, match="Setup: step must be step_accumulated where several batches make one"):
            Setup(net, SquaredError(), optimizer, batches, step=take)
    with pytest.raises(
        ArgumentError, match="step_accumulated: targets must be of as many batches as inputs, 2, got 1"
    ):
        step_accumulated(net, SquaredError(), optimizer, [torch.ones(1, 1)] * 2, [torch.ones(1, 1)])


def test_inputs_of_several_tensors():
    data = Table((torch.randn(9, 3), torch.randn(9, 3)), torch.randn(9, 2))
    (first, *_), (targets, *_) = next(iter(Batches(data, 4, accumulate=2)))
    assert [x.shape for x in first] == [(4, 3), (4, 3)]
    assert targets.shape == (4, 2)
