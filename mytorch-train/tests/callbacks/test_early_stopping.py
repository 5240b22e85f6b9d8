"""Ending a run that gets no better."""

import math

import pytest
from toy_metrics import Praised, Told
from toy_parts import SGD, Chain, Dense, Line, SquaredError

from mytorch.core import ArgumentError
from mytorch.train import EarlyStopping, fit


def train(callback, *values, metric=Told, epochs=20, **options):
    net = Chain(Dense(1, 1))
    options = {"quiet": True, "metrics": [metric(*values)]} | options
    return fit(
        net, SquaredError(), SGD(net.param()), Line(8), epochs=epochs, batch_size=4, callbacks=[callback], **options
    )


def test_a_run_ends_when_nothing_is_better_for_long_enough():
    training = train(EarlyStopping("train_told", patience=3), 5, 4, 4, 6, 3, 3, 3.5, 7, 0, 0)
    assert len(training.history) == 8
    assert training.hooks.stopped == (
        "stopped by EarlyStopping: train_told was not better than 3, that of epoch 5, in 3 evaluations"
    )


def test_a_metric_says_which_direction_is_good():
    training = train(EarlyStopping("train_praised", patience=2), 1, 2, 3, 4, 4, 4, 5, metric=Praised)
    assert len(training.history) == 6


@pytest.mark.parametrize("said", [{}, {"higher_is_better": None}], ids=["nothing", "None"])
def test_a_metric_that_does_not_say_so_cannot_be_watched(said):
    class Silent:
        reset, update, compute = Told.reset, Told.update, Told.compute

    with pytest.raises(
        ArgumentError,
        match="EarlyStopping: monitor must be a metric that says whether higher is better, got 'train_",
    ):
        train(EarlyStopping("train_silent"), metrics=[type("Silent", (Silent,), said)()])


def test_a_metric_is_watched_under_its_own_name():
    watched, other = Praised(1, 2, 3, 4, 4, 4, 5), Praised(*range(20))
    watched.name = "watched"
    training = train(EarlyStopping("train_watched", patience=2), metrics=[other, watched])
    assert len(training.history) == 6
    assert {"train_watched", "train_praised"} <= training.history[0].keys()


@pytest.mark.parametrize(("monitor", "epochs"), [("validation_told", 6), ("test_told", 4)])
def test_the_part_that_is_named_decides(monitor, epochs):
    told = Told(*(number for epoch in range(9) for number in (0, -min(epoch, 3), -min(epoch, 1))))
    training = train(EarlyStopping(monitor, patience=2), metrics=[told], validation=Line(4), test=Line(4))
    assert len(training.history) == epochs


def test_a_loss_is_good_low():
    training = train(EarlyStopping("train_loss", patience=2), metrics=[], epochs=5)
    assert len(training.history) == 5
    assert training.hooks.stopped is None


def test_too_small_a_gain_does_not_count():
    training = train(EarlyStopping("train_told", patience=2, min_delta=0.5), 4, 3.75, 3.5, 3.4, 2, 1.9, 1.8, 0, 0)
    assert len(training.history) == 3  # 3.5 is better by 0.5 and not by more
    training = train(EarlyStopping("train_told", patience=3, min_delta=0.5), 4, 3.75, 3.6, 3.4, 3.4, 3.4, 3.4, 0)
    assert len(training.history) == 7  # small gains add up


def test_what_is_not_finite_is_never_better():
    training = train(EarlyStopping("train_told", patience=2), -math.inf, math.nan, 3)
    assert len(training.history) == 2
    assert training.hooks.stopped == "stopped by EarlyStopping: train_told was not finite in 2 evaluations"


def test_epochs_between_evaluations_do_not_count():
    training = train(EarlyStopping("train_told", patience=2), 3, 4, 5, 0, 0, evaluate_every=3)
    assert len(training.history) == 9


def test_it_begins_anew_with_each_run():
    callback = EarlyStopping("train_told", patience=2)
    for _ in range(2):
        assert len(train(callback, 1, 2, 3, 4).history) == 3


def test_a_number_that_the_run_does_not_measure_ends_it_before_the_first_step():
    with pytest.raises(
        ArgumentError,
        match=r"EarlyStopping: monitor must be one of train_loss, train_told, got 'validation_loss'; "
        r"give the run a validation part, validation=\.\.\. of fit or data\.split\.validation of an experiment$",
    ):
        train(EarlyStopping())
    with pytest.raises(
        ArgumentError, match=r'a validation part, validation=\.\.\. of fit .*, or say monitor="test_loss"$'
    ):
        train(EarlyStopping(), test=Line(4))
    with pytest.raises(ArgumentError, match=r"got 'test_told'; give the run a test part, test=\.\.\. of fit or"):
        train(EarlyStopping("test_told"))
    with pytest.raises(ArgumentError, match=r"one of train_loss, train_told, test_loss, test_told, got 'told'$"):
        train(EarlyStopping("told"), test=Line(4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"monitor": 3}, r'EarlyStopping: monitor must be a name such as "validation_loss", got 3'),
        ({"patience": 0}, r"EarlyStopping: patience must be a whole number of at least 1, got 0"),
        ({"patience": 2.0}, r"EarlyStopping: patience must be a whole number of at least 1, got 2.0"),
        ({"min_delta": -0.1}, r"EarlyStopping: min_delta must be a number of at least 0, got -0.1"),
        ({"min_delta": math.nan}, r"EarlyStopping: min_delta must be a number of at least 0, got nan"),
        ({"min_delta": True}, r"EarlyStopping: min_delta must be a number of at least 0, got True"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        EarlyStopping(**arguments)
