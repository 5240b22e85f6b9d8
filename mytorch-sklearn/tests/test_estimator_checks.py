"""scikit-learn's own checks of estimators, in float64 and float32, beside those that its own MLP is given."""

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.utils import estimator_checks

from mytorch.sklearn import MytorchClassifier, MytorchRegressor
from mytorch.sklearn import _estimator as implementation

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
PAIRS = {"classifier": (MytorchClassifier, MLPClassifier), "regressor": (MytorchRegressor, MLPRegressor)}
OF_FLOAT64 = {
    "check_sample_weight_equivalence_on_dense_data": "it compares to 1e-7; scikit-learn's MLP fails it in float32 too",
    "check_regressor_multioutput": "it wants predictions in float64",
}
"""Checks that expect the precision of float64."""
OF_SPARSE = {"check_sample_weight_equivalence_on_sparse_data"}
"""Checks that are given to estimators which say that they take sparse matrices."""


def results(estimator):
    return estimator_checks.check_estimator(estimator, on_fail=None, on_skip=None)


def names(found, *status):
    return {one["check_name"] for one in found if one["status"] in status}


@pytest.mark.parametrize("kind", PAIRS)
def test_every_check_passes_and_none_is_skipped_that_the_mlp_runs(kind):
    ours, theirs = (results(cls(max_iter=40, learning_rate_init=0.02)) for cls in PAIRS[kind])
    assert names(ours, "failed", "xfail") == set()
    assert names(theirs, "passed") - names(ours, "passed") <= OF_SPARSE
    assert len(names(ours, "passed")) > 50


@pytest.mark.parametrize("kind", PAIRS)
def test_every_check_passes_in_float32_but_those_of_float64(kind, monkeypatch):
    monkeypatch.setattr(implementation, "validate_data", in_float32(implementation.validate_data))
    found = results(PAIRS[kind][0](max_iter=40, learning_rate_init=0.02))
    failed = {one["check_name"]: one["exception"] for one in found if one["status"] == "failed"}
    assert failed.keys() <= OF_FLOAT64.keys(), failed
    assert len(names(found, "passed")) > 50


def in_float32(validate):
    """The function that checks inputs, with those of float64 made float32 before."""

    def validated(estimator, X, **options):
        wide = isinstance(X, np.ndarray) and X.dtype == np.float64
        return validate(estimator, X.astype(np.float32) if wide else X, **options)

    return validated
