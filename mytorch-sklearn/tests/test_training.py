"""How estimators train: networks, random numbers, the end of a training, and going on."""

import copy
import functools
import pickle
import random
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from mytorch.core import ArgumentError, ShapeError
from mytorch.nn import (
    GELU,
    BatchNorm1d,
    Conv2d,
    Dropout,
    Flatten,
    LazyLinear,
    Linear,
    ReLU,
    Sequential,
    Tanh,
)
from mytorch.optim import SGD, AdamW, StepLR
from mytorch.plugins import Callback, StopTraining
from mytorch.sklearn import MytorchClassifier, MytorchRegressor
from mytorch.train import NotFiniteError


def classifier(*args, **options):
    return MytorchClassifier(
        *args, **{"learning_rate_init": 0.03, "random_state": 0, "max_iter": 10, "tol": None} | options
    )


def same(first, second, X):
    return np.array_equal(first.predict_proba(X), second.predict_proba(X))


# The network


def test_the_network_is_made_of_sizes_or_by_a_function(iris):
    X, y = iris
    net = classifier(hidden_layer_sizes=(5, np.int64(7)), activation="tanh").fit(X, y).module_
    assert [type(layer).__name__ for layer in net] == ["Linear", "Tanh", "Linear", "Tanh", "Linear"]
    assert [layer.out_features for layer in net[::2]] == [5, 7, 3]
    assert type(classifier(activation=GELU, hidden_layer_sizes=4).fit(X, y).module_[1]) is GELU
    assert len(classifier(hidden_layer_sizes=()).fit(X, y).module_) == 1
    assert classifier(lambda features, outputs: Linear(features, outputs)).fit(X, y).module_.in_features == 4


def test_a_module_is_copied_and_its_weights_are_the_start(iris):
    X, y = iris
    net = Sequential(Linear(4, 3))
    before = net[0].weight.value.clone()
    model = classifier(net, max_iter=1, learning_rate_init=0.0).fit(X, y)
    assert torch.equal(net[0].weight.value, before)
    assert torch.equal(model.module_[0].weight.value, before)
    classifier(net).fit(X, y)
    assert torch.equal(net[0].weight.value, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_that_of_the_rows(iris, dtype):
    X, y = iris[0].astype(dtype), iris[1]
    model = classifier(Sequential(LazyLinear(8), BatchNorm1d(8), Tanh(), LazyLinear(3))).fit(X, y)
    assert {str(held.value.dtype) for held in model.module_.param()} == {f"torch.{dtype.__name__}"}
    assert model.predict_proba(X.astype(np.float16)).dtype == dtype
    assert classifier().fit((X * 10).astype(int), y).module_[0].weight.value.dtype is torch.float64


def test_rows_may_be_images():
    X = np.random.default_rng(0).normal(size=(40, 1, 6, 6)).astype(np.float32)
    y = (X.mean((1, 2, 3)) > 0).astype(int)

    def network(channels, classes):
        return Sequential(Conv2d(channels, 4, 3), ReLU(), Flatten(), LazyLinear(classes))

    assert classifier(network, max_iter=50).fit(X, y).score(X, y) > 0.9
    with pytest.raises(ValueError, match="Found array with dim 4"):
        classifier().fit(X, y)


def test_arrays_that_torch_cannot_use_are_copied(iris):
    X, y = iris
    frozen = X.copy()
    frozen.setflags(write=False)
    model = classifier().fit(frozen, y)
    backwards = np.ascontiguousarray(X[::-1])[::-1]
    assert same(model, classifier().fit(backwards, y), X)
    assert same(model, classifier().fit(np.asfortranarray(X), y), X)


WRONG_NETWORKS = [
    (Linear(4, 2), ShapeError, r"module must give 3 numbers a row, got a tensor of \(2, 2\) for 2 rows"),
    (Linear(5, 3), ShapeError, r"Linear: last axis of x must be 5, got 4"),
    (torch.nn.Linear(4, 3), ArgumentError, r"module must be a Module of mytorch, got torch\.nn"),
    (torch.nn.Linear, ArgumentError, r"what module makes must be a Module of mytorch, got torch\.nn"),
    ("Linear", ArgumentError, r"module must be a Module of mytorch, got builtins\.str"),
    (lambda features: Linear(features, 3), ArgumentError, r"makes one of \(n_features, n_outputs\), got .*too many"),
    (lambda features, outputs: None, ArgumentError, r"what module makes must be a Module of mytorch, got None"),
]


@pytest.mark.parametrize(("module", "error", "message"), WRONG_NETWORKS, ids=range(len(WRONG_NETWORKS)))
def test_what_is_no_network_for_the_rows_is_refused(iris, module, error, message):
    model = classifier(module)
    with pytest.raises(error, match=message):
        model.fit(*iris)
    with pytest.raises(NotFittedError):
        model.predict(iris[0])


# Random numbers


def test_the_callers_random_numbers_are_not_moved(iris):
    X, y = iris
    noisy = Sequential(Linear(4, 8), Dropout(0.5), Linear(8, 3))
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    first, second = (classifier(noisy, early_stopping=True, batch_size=20).fit(X, y) for _ in range(2))
    first.predict_proba(X)
    assert same(first, second, X)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])
    assert random.getstate() == states[2]
    assert not same(first, classifier(noisy, random_state=1, early_stopping=True, batch_size=20).fit(X, y), X)


def test_without_a_seed_two_trainings_differ_and_follow_from_numpys(iris):
    X, y = iris
    state = np.random.get_state()
    first, second = (classifier(random_state=None).fit(X, y) for _ in range(2))
    assert not same(first, second, X)
    np.random.set_state(state)
    assert same(first, classifier(random_state=None).fit(X, y), X)
    shared = np.random.RandomState(0)
    assert not same(classifier(random_state=shared).fit(X, y), classifier(random_state=shared).fit(X, y), X)


# The end of a training


def test_a_training_ends_when_the_loss_gets_no_better(iris):
    X, y = iris
    model = classifier(tol=1e9, n_iter_no_change=3, max_iter=50).fit(X, y)
    assert model.n_iter_ == 4
    assert model.validation_loss_curve_ is None
    with pytest.warns(
        ConvergenceWarning, match=r"still getting better by more than tol=1e-09 after max_iter=5 epochs"
    ):
        classifier(tol=1e-9, max_iter=5).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier(tol=None, max_iter=5).fit(X, y)


def test_early_stopping_keeps_the_weights_of_the_best_epoch(iris):
    X, y = iris
    noisy = np.where(np.arange(150) % 4 == 0, (y + 1) % 3, y)
    options = {"early_stopping": True, "validation_fraction": 0.3, "tol": 0.0, "n_iter_no_change": 5, "batch_size": 10}
    model = classifier(hidden_layer_sizes=(50,), max_iter=200, **options).fit(X, noisy)
    curve = model.validation_loss_curve_
    assert len(curve) == model.n_iter_ < 200
    assert curve.index(min(curve)) == len(curve) - 6
    best = classifier(hidden_layer_sizes=(50,), max_iter=len(curve) - 5, **options | {"tol": None}).fit(X, noisy)
    assert same(model, best, X)


def test_validation_rows_are_stratified_and_not_trained_on(iris):
    X, y = iris
    seen = []

    class Watch(Callback):
        def training_started(self, run):
            seen.append((run.batches.data.inputs, run.validation.inputs, run.validation.wanted))

    options = {"early_stopping": True, "validation_fraction": 0.2, "fit_options": {"callbacks": [Watch()]}}
    classifier(**options).fit(X, y)
    ((training, validation, classes),) = seen
    assert torch.bincount(classes).tolist() == [10, 10, 10]
    together = torch.cat((training, validation)).numpy()
    np.testing.assert_array_equal(np.sort(together, 0), np.sort(X, 0))
    assert len(validation) == 30


def test_a_callback_may_end_the_training_without_a_warning(iris):
    class Enough(Callback):
        def epoch_ended(self, epoch):
            if epoch == 3:
                raise StopTraining

    model = classifier(tol=0.0, max_iter=3, fit_options={"callbacks": [Enough()]}).fit(*iris)
    assert model.n_iter_ == 3


def test_numbers_that_are_not_finite_end_the_training(iris):
    X, y = iris
    model = MytorchRegressor(optimizer=SGD, learning_rate_init=1e30)
    with pytest.raises(NotFiniteError, match="A lower learning rate"):
        model.fit(X, y)
    with pytest.raises(NotFittedError):
        model.predict(X)


# Going on


def test_partial_fit_goes_on_as_fit_would_also_from_a_file(iris):
    X, y = iris
    whole = classifier(batch_size=20, max_iter=4).fit(X, y)
    parts = classifier(batch_size=20)
    for _ in range(4):
        parts = pickle.loads(pickle.dumps(parts.partial_fit(X, y, classes=[0, 1, 2])))
    assert same(whole, parts, X)
    assert whole.loss_curve_ == parts.loss_curve_
    copied = copy.deepcopy(parts)
    assert same(parts.partial_fit(X, y), copied.partial_fit(X, y), X)


def test_a_warm_start_goes_on_with_a_new_optimizer(iris):
    X, y = iris
    model = classifier(warm_start=True, max_iter=3, batch_size=20).fit(X, y)
    first = model.optimizer_
    model.set_params(learning_rate_init=0.01, max_iter=2).fit(X, y)
    assert model.optimizer_ is not first
    assert model.optimizer_.param_groups[0]["lr"] == 0.01
    assert model.n_iter_ == len(model.loss_curve_) == 5
    assert model.loss_curve_[3] < model.loss_curve_[0]
    assert classifier(max_iter=3).fit(X, y).fit(X, y).n_iter_ == 3
    with pytest.raises(ArgumentError, match=r"y must have the classes \[0, 1, 2\]"):
        model.fit(X, y + 1)


def test_a_warm_start_that_fails_leaves_a_model_that_predicts(iris):
    X, y = iris

    def fails(*_given):
        raise RuntimeError("no step")

    model = classifier(warm_start=True, max_iter=1).fit(X, y)
    with pytest.raises(RuntimeError, match="no step"):
        model.set_params(fit_options={"step": fails}).fit(X, y)
    assert not model.module_.training


def test_each_warm_start_has_an_order_of_its_own(iris):
    X, y = iris
    orders = []

    def note(net, loss, optimizer, inputs, targets):
        orders.append(inputs.clone())
        return loss(net(inputs), targets)

    model = classifier(warm_start=True, max_iter=1, batch_size=20, fit_options={"step": note})
    model.fit(X, y).fit(X, y)
    assert not torch.equal(orders[0], orders[len(orders) // 2])


# Settings


def test_optimizers_schedules_and_options_reach_the_training(iris):
    X, y = iris
    model = classifier(
        optimizer=functools.partial(AdamW, weight_decay=0.5),
        schedule=functools.partial(StepLR, step_size=1, gamma=0.5),
        max_iter=3,
        batch_size=40,
        fit_options={"clip_grad_norm": 1.0, "accumulate": 2, "precision": "bfloat16-mixed"},
    ).fit(X, y, sample_weight=1.0 + y)
    assert type(model.optimizer_) is AdamW
    assert model.optimizer_.param_groups[0]["weight_decay"] == 0.5
    assert model.optimizer_.param_groups[0]["lr"] == pytest.approx(0.03 / 8)


WRONG = [
    ({"max_iter": 0}, "max_iter must be a whole number of at least 1, got 0"),
    ({"batch_size": "all"}, "batch_size must be a whole number of at least 1, got 'all'"),
    ({"tol": -1.0}, r"tol must be at least 0, got -1\.0"),
    ({"n_iter_no_change": 1.5}, r"n_iter_no_change must be a whole number of at least 1, got 1\.5"),
    ({"early_stopping": "no"}, "early_stopping must be True or False, got 'no'"),
    ({"validation_fraction": 1}, "validation_fraction must be a number between 0 and 1, got 1"),
    ({"hidden_layer_sizes": (5, 0)}, r"hidden_layer_sizes must be whole numbers of at least 1, got \(5, 0\)"),
    ({"hidden_layer_sizes": "100"}, "hidden_layer_sizes must be whole numbers of at least 1, got '100'"),
    ({"activation": "gelu"}, "activation must be one of identity, logistic, relu, tanh, or the class of a layer"),
    ({"optimizer": "adam"}, r"optimizer must be a class such as mytorch\.optim\.Adam, .* got 'adam'"),
    ({"optimizer": lambda params, lr: None}, "what optimizer makes must be an Optimizer of mytorch, got None"),
    ({"schedule": 0.1}, r"schedule must be a function of the optimizer, got 0\.1"),
    ({"learning_rate_init": "fast"}, "learning_rate_init must be a number, got 'fast'"),
    ({"device": "abacus"}, "device must be one that torch knows"),
    ({"fit_options": {"epochs": 3}}, "fit_options must be a dict of accumulate, callbacks, .* got 'epochs'"),
    ({"fit_options": ["engine"]}, r"fit_options must be a dict of accumulate, callbacks, .* got \['engine'\]"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=[next(iter(options)) for options, _ in WRONG])
def test_settings_out_of_range_are_refused_when_it_trains(iris, options, message):
    with pytest.raises(ArgumentError, match=f"MytorchClassifier: {message}"):
        clone(classifier(**options)).fit(*iris)


def test_rows_that_are_no_table_of_numbers_are_refused(iris):
    from scipy import sparse

    X, y = iris
    for wrong, error, message in (
        (sparse.csr_matrix(X), TypeError, r"Sparse data was passed for X, .* Use '\.toarray\(\)'"),
        (np.where(X > 2, np.nan, X), ValueError, "Input X contains NaN"),
        (np.where(X > 2, "a", "b"), ValueError, "could not convert string to float"),
        (X[:, 0], ValueError, "Expected 2D array, got 1D array"),
        (X[:9], ValueError, "inconsistent numbers of samples"),
        (X + 1j, ValueError, "Complex data not supported"),
    ):
        with pytest.raises(error, match=message):
            classifier().fit(wrong, y)
    for wrong, message in ((-np.ones(150), "Negative values"), (np.zeros(150), "zero"), (np.ones(9), r"\(9,\)")):
        with pytest.raises(ValueError, match=message):
            classifier().fit(X, y, sample_weight=wrong)
    with pytest.raises(ArgumentError, match="early_stopping must be False for partial_fit"):
        classifier(early_stopping=True).partial_fit(X, y, classes=[0, 1, 2])
