"""The compiled engine equals the eager one, whatever happens during the run.

Compiling takes many seconds, so only one step is compiled; other tests run the traced graph by torch's interpreter.
"""

import pytest
import torch
from compiled_runs import require_equal, require_equal_state, table, train, warned, was_compiled
from toy_parts import SGD, Both, Dense, Rows, SquaredError, Table

from mytorch.core import Module, Optimizer
from mytorch.plugins import Callback, StopTraining, hookimpl
from mytorch.train import NotFiniteError, evaluate, fit

pytestmark = [
    pytest.mark.usefixtures("compiles"),
    pytest.mark.filterwarnings("error::mytorch.train.compiled.EngineWarning"),
]


def test_a_run_equals_eager_and_the_second_takes_the_step_from_the_cache(compiles):
    eager, run = train("eager"), train("compiled")
    require_equal(run, eager)
    assert was_compiled(run)
    assert [made.steps for made in run.engine.programs.values()] == [4]
    assert run.net.state_dict()["2.seen"] == 20
    assert len(compiles) == 1
    again = train("compiled", lr=0.02)  # another learning rate is the same step
    require_equal(again, train("eager", lr=0.02))
    assert was_compiled(again)
    assert len(compiles) == 1
    torch.add(run.net.param()[0].value, 1)  # outside inference mode


class Watch:
    """Notes the weights after every batch."""

    def __init__(self, stop_at=None):
        self.seen, self.stop_at = [], stop_at

    @hookimpl
    def batch_ended(self, run, epoch, batch, loss):
        self.seen.append((epoch, batch, float(loss), [p.value.clone() for p in run.net.param()]))
        if (epoch, batch) == self.stop_at:
            raise StopTraining


def test_a_hook_on_each_batch_gets_one_step_a_call_and_the_weights_of_that_moment(interpreted):
    mine, other = Watch(stop_at=(3, 2)), Watch(stop_at=(3, 2))
    run, eager = (train(engine, callbacks=[hook]) for engine, hook in (("compiled", mine), ("eager", other)))
    assert [made.steps for made in run.engine.programs.values()] == [1]
    require_equal(run, eager)
    assert len(mine.seen) == len(other.seen) == 12
    for (*where, loss, values), (*place, expected, others) in zip(mine.seen, other.seen, strict=True):
        assert where == place
        assert loss == pytest.approx(expected, abs=1e-10)
        torch.testing.assert_close(values, others, rtol=1e-10, atol=1e-10)


class Freeze:
    """Freezes a weight after the second epoch and changes the momentum, which no schedule does, after the fourth."""

    @hookimpl
    def epoch_ended(self, run, epoch):
        if epoch == 2:
            run.net.layers[0].weight.trainable = False
        if epoch == 4:
            run.optimizer.param_groups[0]["momentum"] = 0.5


def test_a_model_that_becomes_another_during_the_run_is_compiled_anew(interpreted):
    run, eager = (train(engine, callbacks=[Freeze()], epochs=7, scheduled=False) for engine in ("compiled", "eager"))
    require_equal(run, eager)
    assert was_compiled(run)
    assert len(interpreted) == 3


class FreezeWithin(Callback):
    """Freezes a weight within the second epoch."""

    may_lag = True

    def batch_ended(self, run, epoch, batch):
        if (epoch, batch) == (2, 20):
            run.net.layers[0].weight.trainable = False


@pytest.mark.numbers
def test_a_step_for_another_shape_does_not_hide_that_the_model_has_become_another(interpreted):
    """The other shape comes after the change, and is compiled before the next epoch begins."""

    class Sizes:
        epoch = 0

        def __iter__(self):
            self.epoch += 1
            later = 7 if self.epoch == 2 else 10
            return iter([list(range(at, at + (10 if at < 20 else later))) for at in range(30)])

        def __len__(self):
            return 30

    def run(engine):
        loader = torch.utils.data.DataLoader(Rows(table()), batch_sampler=Sizes())
        return train(engine, data=loader, batch_size=None, scheduled=False, lr=0.002, callbacks=[FreezeWithin()])

    compiled, eager = run("compiled"), run("eager")
    require_equal(compiled, eager)
    assert was_compiled(compiled)


class Scaled(Module):
    """y = x times a number for each column, which are a plain list."""

    def __init__(self):
        self.factors = [1.0, 2.0, 0.5, 1.5]

    def forward(self, x):
        return x * x.new_tensor(self.factors), list(self.factors)

    def backward(self, d_y, factors):
        return d_y * d_y.new_tensor(factors)


class Betas(SGD):
    """Momentum and a factor of each step, in one setting."""

    def __init__(self, params, lr, momentum):
        Optimizer.__init__(self, params, {"lr": lr, "betas": (momentum, 1.0)})

    def update(self, values, grads, states, group):
        momentum, factor = group["betas"]
        super().update(values, grads, states, {"lr": group["lr"] * factor, "momentum": momentum})


class Shift(Callback):
    """Changes a number in a list of a layer after the second epoch, in a tuple of settings after the fourth."""

    def epoch_ended(self, run, epoch):
        if epoch == 2:
            run.net.layers[2].factors[1] = 3.0
        if epoch == 4:
            run.optimizer.param_groups[0]["betas"] = (0.9, 0.5)


def test_numbers_in_tuples_and_lists_that_change_are_compiled_anew(interpreted):
    options = {"callbacks": [Shift()], "optimizer": Betas, "epochs": 7, "scheduled": False}
    run, eager = (train(engine, middle=Scaled(), **options) for engine in ("compiled", "eager"))
    require_equal(run, eager)
    assert was_compiled(run)
    assert len(interpreted) == 3


class Crossed(Module):
    """The squared error of two inputs' sum against two targets' difference."""

    def forward(self, prediction, targets):
        difference = prediction - (targets[0] - targets[1])
        return difference.square().mean(), difference

    def backward(self, d_loss, difference):
        return 2 * d_loss * difference / difference.numel()


def test_several_inputs_and_targets(interpreted):
    generator = torch.Generator().manual_seed(1)
    a, b, c = (torch.randn(24, 3, generator=generator) for _ in range(3))
    rows = [((a[row], b[row]), (a[row, :2], c[row, :2])) for row in range(24)]
    runs = []
    for engine in ("compiled", "eager"):
        torch.manual_seed(5)
        net = Both(Dense(3, 2), Dense(3, 2))
        optimizer = SGD(net.param(), lr=0.1)
        runs.append(fit(net, Crossed(), optimizer, rows, epochs=4, batch_size=6, engine=engine, quiet=True))
    run, eager = runs
    assert was_compiled(run)
    for name, value in run.net.state_dict().items():
        torch.testing.assert_close(value, eager.net.state_dict()[name], rtol=1e-5, atol=1e-6)


class Restless:
    """Changes a setting that is compiled in after every batch."""

    @hookimpl
    def batch_ended(self, run, epoch, batch):
        run.optimizer.param_groups[0]["momentum"] = 0.9 - 0.01 * (5 * epoch + batch)


def test_a_step_that_changes_all_the_time_is_not_compiled_for_ever(interpreted):
    warned("what is compiled in has changed 8 times", callbacks=[Restless()], epochs=6, scheduled=False)
    assert len(interpreted) == 8


class Breaks(Table):
    """Rows of which the last are not finite from the third epoch on, or stop the run."""

    def __init__(self, how):
        super().__init__(table().inputs, table().targets)
        self.how, self.calls = how, 0

    def batch_at(self, indices):
        self.calls += 1
        inputs, targets = super().batch_at(indices)
        if self.calls > 6:
            if self.how is KeyboardInterrupt:
                raise KeyboardInterrupt
            inputs = torch.where(indices[:, None] == 7, torch.inf, inputs)
        return inputs, targets


@pytest.mark.parametrize("how", [KeyboardInterrupt, NotFiniteError])
def test_what_was_trained_is_kept_when_a_run_breaks_off(how, interpreted):
    ends = []
    for engine in ("compiled", "eager"):
        kept = []

        class Last:
            @hookimpl
            def training_failed(self, run, kept=kept):
                kept.append(run)

        with pytest.raises(how) as error:
            train(engine, data=Breaks(how), callbacks=[Last()], epochs=6)
        ends.append((kept[0], str(error.value)))
    (run, said), (eager, expected) = ends
    require_equal_state(run, eager)
    assert said == expected
    assert was_compiled(run)


def test_batches_of_changing_shape(interpreted):
    class Sizes:
        """Batches of 10, for a while of 7, and of two sizes in turn."""

        def __iter__(self):
            sizes = [10] * 20 + [7] * 20 + [3, 4] * 4
            return iter([list(range(at % 20, at % 20 + size)) for at, size in enumerate(sizes)])

        def __len__(self):
            return 48

    def loader():
        return torch.utils.data.DataLoader(Rows(table()), batch_sampler=Sizes())

    run, eager = (train(e, data=loader(), batch_size=None, scheduled=False, lr=0.002) for e in ("compiled", "eager"))
    require_equal(run, eager)
    assert [made.checked for made in run.engine.programs.values()] == [True, True]


class Masked(SquaredError):
    """The mean over the rows whose first target is positive: its weight depends on the numbers."""

    def forward(self, prediction, target):
        kept = (target[:, :1] > 0).to(prediction.dtype)
        count = kept.sum()
        difference = (prediction - target) * kept
        return difference.square().sum() / count.clamp(min=1), (difference, count)

    def backward(self, d_loss, saved):
        difference, count = saved
        return 2 * d_loss * difference / count.clamp(min=1)

    def weight_of(self, prediction, target):
        return (target[:, 0] > 0).sum()


def test_weights_that_depend_on_the_targets_are_those_of_eager_steps(interpreted):
    data = table(46)
    data.targets[10:20] = -1.0  # a batch of weight 0
    runs = []
    for engine in ("eager", "compiled"):
        torch.manual_seed(2)
        net = Dense(3, 2).to(torch.float64)
        given = net, Masked(), SGD(net.param(), 0.05, momentum=0.9), data
        runs.append(
            fit(*given, epochs=3, batch_size=10, shuffle=False, engine=engine, quiet=True, validation=table(20))
        )
    assert was_compiled(runs[1])
    require_equal(*runs)
    alone = evaluate(runs[0].net, Masked(), data, batch_size=7)["loss"]
    assert alone == pytest.approx(evaluate(runs[0].net, Masked(), data)["loss"], rel=1e-12)
