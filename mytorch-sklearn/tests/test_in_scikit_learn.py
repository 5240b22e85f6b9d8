"""Estimators among those of scikit-learn: pipelines, searches, calibration, files, threads, and data frames."""

import doctest
import inspect
import re
import threading

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import BaggingRegressor, VotingClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import mytorch.sklearn
from mytorch.nn import Linear, Sequential, Tanh
from mytorch.sklearn import MytorchClassifier, MytorchRegressor


def network(features, classes):
    return Sequential(Linear(features, 6), Tanh(), Linear(6, classes))


def classifier(*args, **options):
    return MytorchClassifier(
        *args, **{"learning_rate_init": 0.03, "random_state": 0, "max_iter": 20, "tol": None} | options
    )


@pytest.mark.slow
def test_a_pipeline_is_searched_in_two_processes(iris):
    X, y = iris
    grid = {
        "mytorchclassifier__module": [None, network],
        "mytorchclassifier__learning_rate_init": np.array([0.003, 0.03]),
        "mytorchclassifier__max_iter": np.array([20]),
    }
    search = GridSearchCV(make_pipeline(StandardScaler(), classifier()), grid, cv=3, n_jobs=2).fit(X, y)
    assert search.best_params_["mytorchclassifier__learning_rate_init"] == 0.03
    assert search.best_score_ > 0.9
    alone = GridSearchCV(make_pipeline(StandardScaler(), classifier()), grid, cv=3).fit(X, y)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"])


def test_cross_validation_calibration_and_ensembles(iris):
    X, y = iris
    found = cross_validate(classifier(), X, y, cv=3, scoring=["accuracy", "neg_log_loss", "roc_auc_ovr"])
    assert found["test_accuracy"].mean() > 0.9
    assert found["test_roc_auc_ovr"].mean() > 0.95
    assert cross_val_predict(classifier(), X, y, cv=3, method="predict_proba").shape == (150, 3)
    assert CalibratedClassifierCV(classifier(), cv=2).fit(X, y).predict_proba(X).shape == (150, 3)
    votes = VotingClassifier([("ours", classifier()), ("theirs", LogisticRegression())], voting="soft")
    assert votes.fit(X, y).score(X, y) > 0.9
    bag = BaggingRegressor(MytorchRegressor(max_iter=5, tol=None), n_estimators=3, random_state=0).fit(X, y)
    assert bag.predict(X).shape == (150,)
    assert permutation_importance(classifier().fit(X, y), X, y, n_repeats=1).importances.shape == (4, 1)


def test_a_fitted_model_is_kept_in_a_file(iris, tmp_path):
    X, y = iris
    model = make_pipeline(StandardScaler(), classifier(network)).fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    again = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    copy = clone(model[-1])
    assert not hasattr(copy, "module_")
    assert copy.get_params() == model[-1].get_params()


def test_threads_train_what_one_trains_alone(iris):
    X, y = iris
    wanted = [classifier(random_state=seed).fit(X, y).predict_proba(X) for seed in range(3)]
    before = np.random.get_state()[1].copy()
    models = [classifier(random_state=seed) for seed in range(3)]
    threads = [threading.Thread(target=model.fit, args=(X, y)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for model, one in zip(models, wanted, strict=True):
        np.testing.assert_array_equal(model.predict_proba(X), one)
    assert np.array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames_come_with_their_names(iris, library):
    frames = pytest.importorskip(library, reason="tox -e sklearn installs it")
    X, y = iris
    names = ["a", "b", "c", "d"]
    frame = frames.DataFrame({name: X[:, column] for column, name in enumerate(names)})
    kinds = frames.Series("kind", np.array(["x", "y", "z"])[y]) if library == "polars" else frames.Series(y).map(str)
    model = classifier().fit(frame, kinds, sample_weight=frames.Series(np.ones(150)))
    assert model.feature_names_in_.tolist() == names
    assert model.module_[0].weight.value.dtype.itemsize == 4
    assert model.score(frame, kinds) > 0.9
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[["b", "a", "c", "d"]])
    labels = frames.DataFrame({"first": (y == 0).astype(int), "second": (y > 0).astype(int)})
    assert classifier().fit(frame, labels).predict(frame).shape == (150, 2)
    assert MytorchRegressor(max_iter=3, tol=None).fit(frame, frame["a"]).predict(frame).shape == (150,)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_pipeline_passes_frames_on(iris, library):
    frames = pytest.importorskip(library, reason="tox -e sklearn installs it")
    X, y = iris
    frame = frames.DataFrame(
        {"length": X[:, 0], "width": X[:, 1], "place": np.array(["in", "out"])[(y > 0).astype(int)]}
    )
    columns = make_column_transformer(
        (StandardScaler(), ["length", "width"]), (OneHotEncoder(sparse_output=False), ["place"])
    )
    model = make_pipeline(columns, classifier()).set_output(transform=library).fit(frame, y)
    assert model[-1].feature_names_in_.tolist()[-1] == "onehotencoder__place_out"
    assert model.score(frame, y) > 0.7


@pytest.mark.parametrize("name", mytorch.sklearn.__all__)
def test_the_examples_hold(name):
    cls = getattr(mytorch.sklearn, name)
    examples = doctest.DocTestParser().get_doctest(inspect.getdoc(cls), {}, name, None, 0)
    assert examples.examples
    assert doctest.DocTestRunner(verbose=False).run(examples).failed == 0


@pytest.mark.parametrize("cls", [MytorchClassifier, MytorchRegressor])
def test_every_setting_is_explained(cls):
    explained = re.findall(r"(?m)^(\w[\w, ]*):", inspect.getdoc(MytorchClassifier))
    assert cls().get_params().keys() <= {name for names in explained for name in names.split(", ")}
