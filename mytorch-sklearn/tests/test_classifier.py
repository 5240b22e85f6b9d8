"""What a classifier learns, for one target, labels and several targets."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_sample_weight

from mytorch.core import ArgumentError, ShapeError
from mytorch.nn import BCEWithLogitsLoss, CrossEntropyLoss, Linear, LogSoftmax, MultiMarginLoss, NLLLoss, Sequential
from mytorch.sklearn import MytorchClassifier


def classifier(*args, **options):
    return MytorchClassifier(
        *args, **{"learning_rate_init": 0.03, "random_state": 0, "max_iter": 40, "tol": None} | options
    )


@pytest.mark.parametrize("names", [[0, 1, 2], ["x", "y", "z"], [-1.0, 0.0, 7.0]])
def test_classes_of_any_kind(iris, names):
    X, y = iris
    model = classifier().fit(X, np.array(names)[y])
    assert model.score(X, np.array(names)[y]) > 0.95
    assert model.classes_.tolist() == sorted(names)
    assert model.loss_curve_[0] > model.loss_curve_[-1]
    assert model.n_iter_ == len(model.loss_curve_) == 40
    p = model.predict_proba(X)
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.classes_[p.argmax(1)], model.predict(X))
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(p))


def test_the_loss_is_that_of_the_probabilities(iris):
    X, y = iris
    model = classifier(max_iter=1, learning_rate_init=0.0).fit(X, y)
    assert model.loss_curve_[0] == pytest.approx(log_loss(y, model.predict_proba(X)), rel=1e-5)


def test_a_loss_of_logarithms_and_one_of_a_single_column(iris):
    X, y = iris
    logarithms = classifier(
        lambda features, outputs: Sequential(Linear(features, outputs), LogSoftmax(1)), loss=NLLLoss()
    )
    scores = classifier(Linear, loss=CrossEntropyLoss())
    np.testing.assert_allclose(logarithms.fit(X, y).predict_proba(X), scores.fit(X, y).predict_proba(X), rtol=1e-3)
    single = classifier(loss=BCEWithLogitsLoss()).fit(X, np.array(["no", "yes"])[(y > 0).astype(int)])
    assert single.module_[2].out_features == 1
    assert (single.predict(X) == np.where(single.predict_proba(X)[:, 1] > 0.5, "yes", "no")).all()
    assert single.score(X, np.where(y > 0, "yes", "no")) == 1


def test_labels(iris):
    X, y = iris
    labels = np.stack((y == 0, y > 0, X[:, 0] > 0), 1).astype(int)
    model = classifier().fit(X, labels)
    assert model.score(X, labels) > 0.9
    assert model.predict_proba(X).shape == (150, 3)
    np.testing.assert_array_equal(model.predict(X), model.predict_proba(X) > 0.5)
    again = classifier().fit(X, sparse.csr_matrix(labels))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


def test_several_targets(iris):
    X, y = iris
    Y = np.stack((np.array(["a", "b", "c"])[y], np.array(["u", "v"])[(y > 0).astype(int)]), 1)
    model = classifier(class_weight="balanced").fit(X, Y)
    assert [one.tolist() for one in model.classes_] == [["a", "b", "c"], ["u", "v"]]
    assert [one.shape for one in model.predict_proba(X)] == [(150, 3), (150, 2)]
    assert [one.shape for one in model.predict_log_proba(X)] == [(150, 3), (150, 2)]
    assert model.score(X, Y) > 0.95
    right = (model.predict(X) == Y).all(1)
    assert model.score(X, Y, sample_weight=1.0 + y) == pytest.approx(np.average(right, weights=1.0 + y))
    for wrong in (Y[:1], Y[:, 0]):
        with pytest.raises(ShapeError, match=r"y must have the shape of the predictions, \(150, 2\), got"):
            model.score(X, wrong)


def test_rows_that_its_dtype_cannot_hold_are_refused(iris):
    X, y = iris
    model = classifier(max_iter=1, warm_start=True).fit(X.astype("float32"), y)
    X = X.astype("float64")
    X[7, 1] = 1e300
    message = r"X must fit into float32, in which the model was trained, got 1e\+300; scale the features"
    for call in (model.predict, model.predict_proba, lambda rows: model.fit(rows, y)):
        with pytest.raises(ArgumentError, match=message):
            call(X)


def same(first, second, X):
    np.testing.assert_allclose(first.predict_proba(X), second.predict_proba(X), rtol=1e-3, atol=1e-6)


def test_class_weights_are_weights_of_rows(iris):
    X, y = iris[0][20:], iris[1][20:]  # so that one class has fewer rows
    for weight in ({0: 3.0, 1: 1.0, 2: 0.5}, "balanced"):
        weighted = classifier(class_weight=weight).fit(X, y)
        same(weighted, classifier().fit(X, y, sample_weight=compute_sample_weight(weight, y)), X)
    heavy = np.where(y == 0, 2.0, 1.0)
    both = classifier(class_weight={0: 3.0, 1: 1.0, 2: 0.5}).fit(X, y, sample_weight=heavy)
    same(both, classifier(class_weight={0: 6.0, 1: 1.0, 2: 0.5}).fit(X, y), X)


def test_balanced_weights_make_the_share_of_a_class_unimportant(iris):
    X, y = iris
    rows = np.r_[0:150, 0:50, 0:50]  # the first class three times
    options = {"class_weight": "balanced", "batch_size": 1000}
    same(classifier(**options).fit(X[rows], y[rows]), classifier(**options).fit(X, y), X)


def test_rows_of_weight_0_are_left_out(iris):
    X, y = iris
    kept = np.arange(150) % 3 > 0
    wild = np.where(kept[:, None], X, 1000)
    same(classifier().fit(wild, y, sample_weight=kept), classifier().fit(X[kept], y[kept]), X)


def test_a_class_of_weight_0_is_left_out_and_the_size_of_weights_does_not_matter(iris):
    X, y = iris
    model = classifier(class_weight={0: 0.0, 1: 1.0, 2: 1.0}, batch_size=1, max_iter=2).fit(X, y)
    assert set(model.predict(X)) == {1, 2}
    wanted = classifier().fit(X, y, sample_weight=1.0 + y)
    for size in (1e-300, 1e300):
        same(classifier().fit(X, y, sample_weight=size * (1.0 + y)), wanted, X)
    assert classifier(batch_size=1, max_iter=1).fit(X, y, sample_weight=np.where(y == 0, 1e-90, 1)).n_iter_ == 1


def test_partial_fit_needs_not_see_every_class_at_once(iris):
    X, y = iris
    model = classifier(batch_size=10)
    for rows in (slice(0, 50), slice(50, 100), slice(100, 150)) * 15:
        model.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
    assert model.predict_proba(X).shape == (150, 3)
    assert model.n_iter_ == 45
    assert model.score(X, y) > 0.6


def test_partial_fit_of_labels_and_targets(iris):
    X, y = iris
    Y = np.stack((y, y > 0), 1)
    model = classifier().partial_fit(X[:100], Y[:100], classes=[[0, 1, 2], [0, 1]])
    assert [one.shape[1] for one in model.partial_fit(X, Y).predict_proba(X)] == [3, 2]
    assert classifier().partial_fit(X, Y > 0, classes=[0, 1]).partial_fit(X, Y > 0).predict_proba(X).shape == (150, 2)


BAD = [
    ({}, "zeros", r"y must have at least two classes, got one class, 0; rows of weight 0 do not count"),
    ({}, "numbers", r"Unknown label type: continuous"),
    ({}, "none", r"requires y to be passed"),
    ({"loss": MultiMarginLoss()}, "classes", r'loss must be one whose outputs are "softmax" .* MultiMarginLoss'),
    ({"loss": CrossEntropyLoss}, "classes", r"loss must be a Loss of mytorch, got the class CrossEntropyLoss; write"),
    ({"loss": BCEWithLogitsLoss()}, "classes", r"loss must take one column a class for 3 classes, got BCEWithLogitsL"),
    ({"loss": CrossEntropyLoss()}, "labels", r'loss must be one whose outputs are "sigmoid" for these targets'),
    ({"class_weight": "even"}, "classes", r"'class_weight' .* 'even'"),
    ({"class_weight": {0: -1.0, 1: 1.0, 2: 1.0}}, "classes", r"class_weight must be at least 0, got \{0: -1\.0"),
    ({"class_weight": {0: 2.0}, "loss": CrossEntropyLoss(reduction="sum")}, "classes", r'must have reduction "mean"'),
    ({"class_weight": {7: 2.0}}, "classes", r"The classes, \[0, 1, 2\], are not in class_weight"),
]


@pytest.mark.parametrize(
    ("options", "target", "message"), BAD, ids=[f"{target}-{text[:20]}" for _, target, text in BAD]
)
def test_what_is_no_target_for_it_is_refused(iris, options, target, message):
    X, y = iris
    labels = np.stack((y == 0, y > 0), 1).astype(int)
    given = {"zeros": y * 0, "numbers": X[:, 0], "classes": y, "labels": labels, "none": None}[target]
    with pytest.raises(ValueError, match=message):
        classifier(**options).fit(X, given)


def test_what_does_not_fit_the_last_rows_is_refused(iris):
    X, y = iris
    model = classifier().partial_fit(X, y, classes=[0, 1, 2])
    for wrong, message in (
        (y + 5, r"y must have the classes \[0, 1, 2\], got \[5, 6, 7\]"),
        (y.astype(str), r"y must have the classes \[0, 1, 2\], got \['0', '1', '2'\]"),
        (np.stack((y, y), 1), r"y must be one column, as before, got \(150, 2\)"),
    ):
        with pytest.raises(ArgumentError, match=message):
            model.partial_fit(X, wrong)
    with pytest.raises(ValueError, match=r"X has 2 features, but MytorchClassifier is expecting 4"):
        model.partial_fit(X[:, :2], y)
    with pytest.raises(ArgumentError, match=r"classes must be given to the first call of partial_fit"):
        classifier().partial_fit(X, y)
    with pytest.raises(ArgumentError, match=r'class_weight must not be "balanced" for partial_fit'):
        classifier(class_weight="balanced").partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ArgumentError, match=r"classes must be 2 for so many labels, got \[0, 1, 2\]"):
        classifier().partial_fit(X, np.stack((y == 0, y > 0), 1).astype(int), classes=[0, 1, 2])
