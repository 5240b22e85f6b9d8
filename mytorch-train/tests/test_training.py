"""The training loop: fit, its history and its callbacks."""

import math

import pytest
import torch
from torch.utils.data import DataLoader
from toy_parts import (
    SGD,
    Both,
    Chain,
    Dense,
    Line,
    Noise,
    Points,
    Ramp,
    Rows,
    SquaredError,
    StepLR,
    Table,
    encoded,
    network,
)

from mytorch.core import ArgumentError, DataSet, RecursiveSchedule, ShapeError
from mytorch.plugins import Callback, PluginError, PluginWarning, StopTraining, hookimpl
from mytorch.train import Accuracy, ErrorRate, KeepBest, MeanAbsoluteError, evaluate, fit, step


def points(rows=100, seed=0):
    return encoded(Points(rows, seed))


def train(net=None, data=None, *, optimizer=None, lr=0.1, **options):
    net = net or network()
    options = {"epochs": 2, "batch_size": 32, "quiet": True} | options
    return fit(net, SquaredError(), optimizer or SGD(net.param(), lr), points() if data is None else data, **options)


def test_all_parts_of_the_data_are_judged_within_one_walk_through_the_net():
    class Counted(Chain):
        walks = 0

        def modules(self):
            self.walks += 1
            return super().modules()

    def walks(epochs):
        net = Counted(Dense(2, 3), Dense(3, 2))
        run = train(net, epochs=epochs, validation=points(50, 1), metrics=[ErrorRate(), MeanAbsoluteError()])
        judged = {"train_error_rate", "train_mean_absolute_error", "validation_loss", "validation_error_rate"}
        assert all(judged <= record.keys() for record in run.history)
        assert all(module.training for module in net.modules())
        return net.walks

    assert walks(9) - walks(2) == 7


class Spy:
    """Writes down what it is told, and may raise at one moment."""

    def __init__(self, error=None, at=None):
        self.calls, self.error, self.at = [], error, at

    def told(self, *what):
        self.calls.append(what)
        if what == self.at:
            raise self.error

    @hookimpl
    def training_started(self, run):
        self.run = run
        self.told("started", run.epoch)

    @hookimpl
    def batch_ended(self, run, epoch, batch, loss):
        assert run is self.run
        assert loss.dim() == 0
        self.told("batch", epoch, batch)

    @hookimpl
    def epoch_ended(self, run, epoch, record):
        assert run.history[-1] is record
        self.told("epoch", epoch)

    @hookimpl
    def training_ended(self, run):
        self.told("ended")

    @hookimpl
    def training_failed(self, run, error):
        self.told("failed", type(error))


def test_training_learns_without_autograd(no_autograd):
    training = train(epochs=20, metrics=[ErrorRate()], test=points(50, 1), lr=0.3)
    assert training.history[-1]["train_loss"] < 0.5 * training.history[0]["train_loss"]
    assert training.test_results["error_rate"] < 0.1


def test_the_result_is_that_of_steps_by_hand():
    torch.manual_seed(5)
    net, data = network(), points(96)
    by_hand, optimizer = network(), None
    by_hand.load_state_dict(net.state_dict())
    optimizer = SGD(by_hand.param(), 0.1, momentum=0.9)
    training = train(net, data, optimizer=SGD(net.param(), 0.1, momentum=0.9), seed=3)
    generator = torch.Generator().manual_seed(3)
    losses = []
    for _ in range(2):
        order = torch.randperm(96, generator=generator).split(32)
        losses.append(
            sum(float(step(by_hand, SquaredError(), optimizer, *data.batch_at(rows))[0]) for rows in order) / 3
        )
    torch.testing.assert_close(net.state_dict(), by_hand.state_dict(), rtol=0, atol=0)
    assert [record["train_loss"] for record in training.history] == pytest.approx(losses, rel=1e-12)


def test_one_seed_one_result():
    def result(seed):
        torch.manual_seed(1)
        return train(Chain(network(), Noise()), seed=seed).history[-1]["train_loss"]

    assert result(1) == result(1)
    assert result(1) != result(2)


def test_the_history_has_its_columns():
    training = train(metrics=[ErrorRate(), MeanAbsoluteError()], validation=points(50, 1))
    judged = ["error_rate", "mean_absolute_error"]
    columns = ["epoch", "lr", "train_loss", "seconds", *(f"train_{name}" for name in judged), "validation_loss"]
    columns += [f"validation_{name}" for name in judged]
    for epoch, record in enumerate(training.history, 1):
        assert list(record) == columns
        assert record["epoch"] == epoch
        assert record["lr"] == 0.1
        assert record["seconds"] > 0


def test_each_part_has_its_columns_and_is_judged_in_evaluation_mode():
    training = train(
        Chain(network(), Noise()),
        metrics=[ErrorRate()],
        validation=points(60, 2),
        test=points(50, 1),
        evaluate_every=2,
    )
    names = ["loss", "error_rate"]
    expected = ["train_error_rate", *(f"validation_{name}" for name in names)]
    assert list(training.history[1])[4:] == expected
    assert training.columns == ["train_loss", *expected]
    assert training.measured == ["train_loss", *expected, *(f"test_{name}" for name in names)]
    assert list(training.history[0]) == ["epoch", "lr", "train_loss", "seconds"]
    judged = {
        part: evaluate(training.net, SquaredError(), points(60 - 10 * (part == "test"), seed), [ErrorRate()])
        for part, seed in (("validation", 2), ("test", 1))
    }
    assert {name: training.history[1][f"validation_{name}"] for name in names} == judged["validation"]
    assert training.test_results == judged["test"]


class Counted(DataSet):
    """Counts how often its rows are asked for."""

    def __init__(self, data):
        self.data, self.times = data, 0

    def __len__(self):
        return len(self.data)

    def batch_at(self, indices):
        self.times += 1
        return self.data.batch_at(indices)


def test_the_test_part_is_judged_once_with_the_weights_that_are_kept():
    test, keep = Counted(points(50, 1)), KeepBest("train_loss")
    asked = []

    class Look(Callback):
        def epoch_ended(self):
            asked.append(test.times)

    training = train(epochs=4, test=test, callbacks=[keep, Look()], metrics=[ErrorRate()])
    assert asked == [0] * 4
    assert training.test_results == evaluate(training.net, SquaredError(), points(50, 1), [ErrorRate()])


def test_the_test_part_is_judged_every_epoch_for_who_watches_it_by_name():
    training = train(epochs=3, test=points(50, 1), callbacks=[KeepBest("test_loss")])
    losses = [record["test_loss"] for record in training.history]
    assert training.test_results["loss"] == pytest.approx(min(losses))


def test_without_test_and_metrics_there_is_the_training_loss_alone():
    assert [list(record) for record in train().history] == [["epoch", "lr", "train_loss", "seconds"]] * 2


def test_the_training_loss_is_the_mean_a_row_with_an_uneven_last_batch():
    losses = {}
    for size in (4, 10):
        net = Chain(Dense(1, 1))
        net.load_state_dict({"0.weight": torch.zeros(1, 1), "0.bias": torch.zeros(1)})
        history = train(net, Line(10), batch_size=size, lr=0.0, epochs=1).history
        losses[size] = history[0]["train_loss"]
    assert losses[4] == pytest.approx(losses[10], rel=1e-6)


def test_evaluate_every_and_always_after_the_last_epoch():
    history = train(epochs=5, evaluate_every=2, validation=points(50, 1)).history
    assert [record["epoch"] for record in history if "validation_loss" in record] == [2, 4, 5]


class Exchange(Callback):
    """Gives the run other data and metrics after the first epoch."""

    def epoch_ended(self, run, epoch):
        if epoch == 1:
            run.validation, run.batches.data, run.metrics = points(40, 3), points(90, 4), [MeanAbsoluteError()]


@pytest.mark.numbers
def test_data_and_metrics_that_a_callback_has_replaced_are_judged_by():
    training = train(metrics=[ErrorRate()], validation=points(50, 1), callbacks=[Exchange()])
    for part, data in (("validation", points(40, 3)), ("train", points(90, 4))):
        judged = evaluate(training.net, SquaredError(), data, [MeanAbsoluteError()])
        assert training.history[1][f"{part}_mean_absolute_error"] == judged["mean_absolute_error"]
    judged = evaluate(training.net, SquaredError(), points(40, 3))
    assert training.history[1]["validation_loss"] == judged["loss"]


def test_hooks_are_told_in_order():
    spy = Spy()
    training = train(callbacks=[spy], data=points(70), batch_size=32)
    batches = [("batch", epoch, batch) for epoch in (1, 2) for batch in (1, 2, 3)]
    assert spy.calls == [("started", 0), *batches[:3], ("epoch", 1), *batches[3:], ("epoch", 2), ("ended",)]
    assert spy.run is training


def test_a_schedule_moves_by_epoch():
    net = network()
    optimizer = SGD(net.param(), 0.4)
    history = train(net, optimizer=optimizer, schedule=StepLR(optimizer, 2), epochs=5).history
    assert [record["lr"] for record in history] == [0.4, 0.4, 0.2, 0.2, 0.1]


def test_a_schedule_moves_by_batch():
    class Rates:
        seen = ()

        @hookimpl
        def batch_ended(self, run):
            self.seen += (run.optimizer.param_groups[0]["lr"],)

    net, rates = network(), Rates()
    optimizer = SGD(net.param(), 0.5)
    train(net, points(64), optimizer=optimizer, schedule=Ramp(optimizer, 4), callbacks=[rates])
    assert rates.seen == pytest.approx((0.4, 0.3, 0.2, 0.1))


class Follows(RecursiveSchedule):
    """The learning rate is a tenth of a number of the history."""

    def __init__(self, optimizer, monitor="validation_loss", interval="epoch"):
        self.monitor, self.interval, self.given = monitor, interval, []
        super().__init__(optimizer)

    def begin(self, chained=False):
        self.last_epoch = 0

    def advance(self, metric, chained):
        self.given.append(metric)
        for group in self.optimizer.param_groups:
            group["lr"] = 0.1 * metric


@pytest.mark.parametrize("monitor", ["validation_loss", "train_loss"])
def test_a_schedule_that_follows_a_number_is_given_it_after_each_evaluation(monitor):
    net = network()
    optimizer = SGD(net.param(), 0.1)
    schedule = Follows(optimizer, monitor)
    history = train(
        net, optimizer=optimizer, schedule=schedule, epochs=5, evaluate_every=2, validation=points(50, 1)
    ).history
    followed = [record[monitor] for record in history if monitor in record]
    assert schedule.given == followed
    assert history[2]["lr"] == 0.1 * history[1][monitor]


def test_a_schedule_that_follows_a_number_that_is_not_measured_is_refused_before_the_first_step():
    net = network()
    optimizer = SGD(net.param(), 0.1)
    text = (
        "^Follows: monitor must be one of train_loss, test_loss, got 'validation_loss'; give the run a validation "
        r'part, validation=\.\.\. of fit or data\.split\.validation of an experiment, or say monitor="test_loss"$'
    )
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(ArgumentError, match=text):
        train(net, optimizer=optimizer, schedule=Follows(optimizer), test=points(50, 1))
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    with pytest.raises(
        ArgumentError, match=r"^Setup: schedule must count epochs if it depends on a number of the history"
    ):
        train(net, optimizer=optimizer, schedule=Follows(optimizer, interval="batch"), validation=points(50, 1))


@pytest.mark.parametrize(("options", "sizes"), [({}, [4, 4, 2]), ({"drop_last": True}, [4, 4])])
def test_a_smaller_last_batch_may_be_left_out(options, sizes):
    taken = []

    def own(net, loss, optimizer, inputs, targets):
        taken.append(len(targets))
        return step(net, loss, optimizer, inputs, targets)

    train(data=points(10), batch_size=4, epochs=1, step=own, **options)
    assert taken == sizes


def test_the_order_of_the_rows_may_be_kept():
    taken = []

    def own(net, loss, optimizer, inputs, targets):
        taken.append(inputs)
        return step(net, loss, optimizer, inputs, targets)

    train(data=points(10), batch_size=4, epochs=2, step=own, shuffle=False)
    torch.testing.assert_close(torch.cat(taken), points(10).inputs.repeat(2, 1), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("at", "epochs", "last"),
    [
        (("started", 0), 0, [("started", 0)]),
        (("batch", 1, 2), 1, [("batch", 1, 2), ("epoch", 1)]),
        (("epoch", 2), 2, [("batch", 2, 4), ("epoch", 2)]),
    ],
)
def test_a_hook_can_stop_the_training(at, epochs, last):
    spy = Spy(StopTraining(), at)
    training = train(callbacks=[spy], epochs=9, validation=points(50, 1), evaluate_every=5)
    assert len(training.history) == epochs
    assert spy.calls[-len(last) - 1 :] == [*last, ("ended",)]
    if epochs:
        assert math.isfinite(training.history[-1]["train_loss"])
    if at[0] == "batch":
        assert "validation_loss" in training.history[-1]


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt(), SystemExit(3)])
def test_an_error_is_told_and_raised_again(error):
    class Breaking(Dense):
        def backward(self, d_y, saved):
            super().backward(d_y, saved)
            if self.weight.value.flatten()[0] != self.first:
                raise error

    net = Chain(Breaking(2, 2))
    net.layers[0].first = net.layers[0].weight.value.flatten()[0].clone()
    spy = Spy()
    with pytest.raises(type(error)):
        train(net, callbacks=[spy])
    assert spy.calls == [("started", 0), ("batch", 1, 1), ("failed", type(error))]
    assert net.input_grad
    assert all(parameter.grad is None for parameter in net.param())


def test_ctrl_c_in_a_hook_ends_the_run():
    spy = Spy(KeyboardInterrupt(), ("batch", 1, 2))
    with pytest.raises(KeyboardInterrupt):
        train(callbacks=[spy])
    assert spy.calls[-1] == ("failed", KeyboardInterrupt)


def test_an_error_names_the_path_to_the_layer():
    with pytest.raises(ShapeError) as info:
        train(Chain(Dense(2, 4), Dense(5, 2)))
    assert "in layer '1' (Dense) of Chain" in info.value.__notes__


def test_a_hook_that_fails_is_reported_once_and_training_goes_on():
    class Bad:
        @hookimpl
        def batch_ended(self):
            raise ZeroDivisionError("oh")

    with pytest.warns(
        PluginWarning, match=r"hook plugin .* failed in batch_ended \(ZeroDivisionError: oh\)"
    ) as record:
        training = train(callbacks=[Bad()])
    assert len(training.history) == 2
    assert len(record) == 1


def test_a_plugin_without_a_hook_is_refused_before_the_first_step():
    with pytest.raises(PluginError, match="must implement at least one hook"):
        train(callbacks=[object()])
    with pytest.raises(ArgumentError, match="batch_size"):
        train(batch_size=0)
    with pytest.raises(ArgumentError, match="epochs"):
        train(epochs=-1)


@pytest.mark.parametrize("wanted", [True, False])
def test_input_grad_is_put_back(wanted):
    class Looking(Dense):
        def backward(self, d_y, saved):
            assert not self.input_grad
            return super().backward(d_y, saved)

    net = Chain(Looking(2, 2))
    net.input_grad = wanted
    train(net)
    assert net.input_grad is wanted
    assert net.layers[0].input_grad is wanted


def test_old_gradients_do_not_take_part():
    data, results = points(), []
    for stale in (False, True):
        torch.manual_seed(2)
        net = network()
        if stale:
            for parameter in net.param():
                parameter.grad = torch.ones_like(parameter.value)
        results.append(train(net, data).history[-1]["train_loss"])
    assert results[0] == results[1]


def test_frozen_parameters_stay():
    net = network()
    for parameter in net.layers[0].param():
        parameter.trainable = False
    before = net.layers[0].weight.value.clone()
    train(net)
    assert torch.equal(net.layers[0].weight.value, before)


def test_an_optimizer_of_a_part_of_the_net():
    net = network()
    train(net, optimizer=SGD(net.layers[2].param()))
    assert all(parameter.grad is None for parameter in net.param())


def test_weights_can_be_trained_on_by_hand_afterwards():
    net = network()
    optimizer = SGD(net.param(), momentum=0.9)
    train(net, optimizer=optimizer)
    step(net, SquaredError(), optimizer, torch.randn(3, 2), torch.randn(3, 2))
    assert not any(parameter.value.is_inference() for parameter in net.param())
    assert not any(value.is_inference() for state in optimizer.state.values() for value in state.values())


@pytest.mark.parametrize(
    ("wrap", "batch_size"),
    [(Rows, 32), (lambda data: DataLoader(Rows(data), batch_size=32, shuffle=True), None)],
)
def test_other_data_sets(wrap, batch_size):
    given = {"batch_size": batch_size, "test": wrap(points(50, 1)), "metrics": [Accuracy()]}
    assert train(data=wrap(points()), **given).test_results["accuracy"] >= 0


def test_several_inputs():
    net = Both(Dense(2, 1), Dense(3, 1))
    history = train(net, Table((torch.randn(9, 2), torch.randn(9, 3)), torch.randn(9, 1)), batch_size=4).history
    assert history[1]["train_loss"] < history[0]["train_loss"]


def test_no_epochs():
    spy = Spy()
    assert train(epochs=0, callbacks=[spy]).history == []
    assert spy.calls == [("started", 0), ("ended",)]
