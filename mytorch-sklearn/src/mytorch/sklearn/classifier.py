"""A classifier with scikit-learn's interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from mytorch.core import ArgumentError, Loss, Module, Optimizer, Schedule, ShapeError
from mytorch.optim import Adam
from mytorch.plugins import shown
from mytorch.sklearn._classes import Array, OneOf, OneOfEach, balanced, encoding_of
from mytorch.sklearn._estimator import MytorchEstimator


class MytorchClassifier(ClassifierMixin, MytorchEstimator):
    """A classifier with the interface of scikit-learn whose network mytorch trains.

    Names and defaults are those of sklearn.neural_network.MLPClassifier where the meaning is the same.

    module: the network. None makes linear layers of `hidden_layer_sizes` with an `activation` between them. A function
        or class is called with (n_features, n_outputs), two whole numbers, by each `fit` that begins anew. A Module
        is copied, and its weights are where the training begins. It gives n_outputs numbers a row: a score for each
        class or label.
    hidden_layer_sizes, activation: for module=None alone. activation is "relu", "tanh", "logistic", "identity", or the
        class of a layer, such as mytorch.nn.GELU.
    loss: a Loss whose outputs are "softmax" or "log-softmax", or "sigmoid" for two classes, with one score a row, and
        for labels. None is CrossEntropyLoss(), and BCEWithLogitsLoss() for labels.
    class_weight: a dict with the weight of each class, a list of them for several targets, or "balanced": as many
        rows of each class would have. It is multiplied by `sample_weight`.
    optimizer: a class or function that is called with (parameters, lr=learning_rate_init), such as
        functools.partial(mytorch.optim.SGD, momentum=0.9).
    learning_rate_init: the learning rate at the start.
    schedule: a function of the optimizer that makes a Schedule; None leaves the learning rate as it is.
    max_iter: the most epochs of a call of `fit`.
    batch_size: rows a step; "auto" is 200, or all if there are fewer.
    tol, n_iter_no_change: the training ends after n_iter_no_change epochs in a row in which the training loss, or with
        `early_stopping` the validation loss, was not better than its best by more than tol. tol=None trains for
        max_iter epochs, and does not warn that the loss was still getting better.
    early_stopping, validation_fraction: whether so large a share of the rows, stratified by class, is left out of the
        training to measure the validation loss; the weights of its best epoch are kept.
    warm_start: whether `fit` goes on with the weights of the last one, with a new optimizer.
    random_state: decides the weights, the order of the rows, the rows of the validation and what layers draw. The
        generators of torch, NumPy and Python are as before afterwards; None draws one number from NumPy's.
    device: "cpu", "cuda", "cuda:1", "mps", or "auto" for the accelerator, if there is one; None leaves the network
        where it is made.
    verbose: whether progress is shown, True or False, or a number of which 0 is False.
    fit_options: further arguments of mytorch.train.fit, such as {"engine": "compiled", "clip_grad_norm": 1.0}:
        accumulate, callbacks, clip_grad_norm, clip_grad_value, drop_last, engine, evaluate_every,
        memory, optimizer_in_backward, precision, saved, shuffle, step, weights.

    After a training there are:

    classes_: the classes, in the order of the columns of `predict_proba`; a list of them for several targets; the
        numbers of the columns for labels.
    module_, optimizer_: the trained network and its optimizer.
    n_iter_: the epochs trained; loss_curve_: the training loss of each; validation_loss_curve_: the validation loss of
        each, None without `early_stopping`. With `warm_start` and `partial_fit` they go on.
    n_features_in_, feature_names_in_: as everywhere in scikit-learn.

    y is (rows,) for one target of any number of classes; (rows, labels) with 0 and 1 for labels, of which a row has
    any; (rows, targets) with classes for several targets.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from mytorch.sklearn import MytorchClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> model = MytorchClassifier(learning_rate_init=0.01, tol=None, random_state=0).fit(X, y)
        >>> model.score(X, y) > 0.95
        True
    """

    def __init__(
        self,
        module: Module | Callable[[int, int], Module] | None = None,
        *,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Callable[[], Module] = "relu",
        loss: Loss | None = None,
        class_weight: Any = None,
        optimizer: Callable[..., Optimizer] = Adam,
        learning_rate_init: float = 0.001,
        schedule: Callable[[Optimizer], Schedule] | None = None,
        max_iter: int = 200,
        batch_size: int | str = "auto",
        tol: float | None = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        device: str | None = None,
        verbose: bool | int = False,
        fit_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            module,
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            loss=loss,
            optimizer=optimizer,
            learning_rate_init=learning_rate_init,
            schedule=schedule,
            max_iter=max_iter,
            batch_size=batch_size,
            tol=tol,
            n_iter_no_change=n_iter_no_change,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            warm_start=warm_start,
            random_state=random_state,
            device=device,
            verbose=verbose,
            fit_options=fit_options,
        )
        self.class_weight = class_weight

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Train for one epoch, from where the last training stopped. Returns the estimator.

        classes: all classes that there will be, needed at the first call, where `y` need not have each; for several
            targets a list with those of each.
        The others, and what is raised, are those of `fit`.
        """
        if not hasattr(self, "module_") and classes is None:
            raise ArgumentError(f"{type(self).__name__}: classes must be given to the first call of partial_fit")
        return self._partial_fit(X, y, sample_weight, classes)

    def predict(self, X: Any) -> Array:
        """The class of each row, (rows,); for several labels or targets (rows, columns)."""
        outputs = self._outputs(X)
        found: Array = self._encoding.labels(outputs)
        return found

    def predict_proba(self, X: Any) -> Array | list[Array]:
        """The probability of each class, (rows, classes) in the order of `classes_`.

        For several labels that of each label, (rows, labels); for several targets a list with an array for each.
        """
        outputs = self._outputs(X)
        found: Array | list[Array] = self._encoding.probabilities(outputs)
        return found

    def predict_log_proba(self, X: Any) -> Array | list[Array]:
        """The logarithm of what `predict_proba` gives."""
        found = self.predict_proba(X)
        return [np.log(one) for one in found] if isinstance(found, list) else np.log(found)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of the rows that are predicted right; of several labels or targets, in every column."""
        if not isinstance(getattr(self, "_encoding", None), OneOfEach):
            return float(super().score(X, y, sample_weight))
        found, y = self.predict(X), np.asarray(y)
        if y.shape != found.shape:
            raise ShapeError(
                f"{type(self).__name__}: y must have the shape of the predictions, {found.shape}, got {y.shape}"
            )
        return float(np.average((found == y).all(1), weights=sample_weight))

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Array, Array]:
        X, y = self._valid_X(X, y=y, reset=reset, multi_output=True)
        y = y.toarray() if hasattr(y, "toarray") else y  # labels as a sparse matrix
        check_classification_targets(y)
        return X, column_or_1d(y, warn=True) if y.ndim == 1 or y.shape[1] == 1 else y

    def _new_encoding(self, y: Array, classes: Any) -> Any:
        encoding = encoding_of(type(self).__name__, y, classes, self.loss)
        self.classes_ = encoding.classes_
        return encoding

    def _weights(self, y: Array, weights: Array | None, partial: bool) -> Array | None:
        if self.class_weight is None:
            return weights
        if isinstance(self.class_weight, str) and self.class_weight == "balanced":
            if partial:
                raise ArgumentError(
                    f'{type(self).__name__}: class_weight must not be "balanced" for partial_fit, which does not see '
                    "all rows; give a dict with the weight of each class"
                )
            return balanced(self._encoding.columns_of(y), np.ones(len(y)) if weights is None else weights)
        found: Array = compute_sample_weight(self.class_weight, y)
        if found.min() < 0:
            raise ArgumentError(
                f"{type(self).__name__}: class_weight must be at least 0, got {shown(self.class_weight)}"
            )
        return found if weights is None else found * weights

    def _strata(self, y: Array) -> Array | None:
        return y if isinstance(self._encoding, OneOf) else None

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.target_tags.multi_output = True
        return tags
