"""What a regressor learns, for one number and several."""

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.preprocessing import StandardScaler

from mytorch.core import ShapeError
from mytorch.nn import CrossEntropyLoss, HuberLoss
from mytorch.sklearn import MytorchRegressor


def regressor(*args, **options):
    return MytorchRegressor(
        *args, **{"learning_rate_init": 0.03, "random_state": 0, "max_iter": 60, "tol": None} | options
    )


@pytest.fixture(scope="module")
def waves():
    X = np.random.default_rng(0).uniform(-1, 1, (200, 2))
    return X, np.stack((np.sin(3 * X[:, 0]), X[:, 0] * X[:, 1]), 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_number_and_several(waves, dtype):
    X, Y = waves[0].astype(dtype), waves[1]
    one, several = regressor().fit(X, Y[:, 0]), regressor().fit(X, Y)
    assert one.predict(X).shape == (200,)
    assert several.predict(X).shape == (200, 2)
    assert one.predict(X).dtype == several.predict(X).dtype == dtype
    assert one.score(X, Y[:, 0]) > 0.95
    assert several.score(X, Y) > 0.9
    with pytest.raises(ShapeError, match=r"y must have 2 columns, as before, got \(200, 3\)"):
        several.partial_fit(X, Y[:, [0, 1, 1]])


def test_the_loss_is_the_mean_square_by_default_and_another_if_given(waves):
    X, y = waves[0], waves[1][:, 0]
    model = regressor(max_iter=1, learning_rate_init=0.0).fit(X, y)
    assert model.loss_curve_[0] == pytest.approx(np.mean((model.predict(X) - y) ** 2))
    outlying = np.where(np.arange(200) % 10 == 0, y + 50, y)
    assert regressor(loss=HuberLoss(), max_iter=200).fit(X, outlying).score(X, y) > 0.3
    with pytest.raises(ValueError, match=r'loss must be one whose outputs are "numbers" .* CrossEntropyLoss'):
        regressor(loss=CrossEntropyLoss()).fit(X, y)


def test_weights_count_as_rows_that_are_repeated(waves):
    X, y = waves[0], waves[1][:, 0]
    count = np.arange(200) % 4
    weighted = regressor(batch_size=1000, max_iter=10).fit(X, y, sample_weight=count)
    repeated = regressor(batch_size=1000, max_iter=10).fit(np.repeat(X, count, 0), np.repeat(y, count))
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-6)


def test_targets_of_another_size_are_scaled_by_scikit_learn(waves):
    X, y = waves[0], 1e5 + 1e4 * waves[1][:, 0]
    model = TransformedTargetRegressor(regressor(), transformer=StandardScaler()).fit(X, y)
    assert model.score(X, y) > 0.95


@pytest.mark.parametrize(
    ("y", "message"), [(["a", "b"] * 100, "could not convert string"), ([1.0, np.nan] * 100, "Input y contains NaN")]
)
def test_what_is_no_number_is_refused(waves, y, message):
    with pytest.raises(ValueError, match=message):
        regressor().fit(waves[0], y)
