"""A regressor with scikit-learn's interface."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import RegressorMixin
from sklearn.utils.validation import column_or_1d

from mytorch.core import Loss, ShapeError
from mytorch.nn import MSELoss
from mytorch.sklearn._classes import Array, outputs_of
from mytorch.sklearn._estimator import MytorchEstimator


class MytorchRegressor(RegressorMixin, MytorchEstimator):
    """A regressor with the interface of scikit-learn whose network mytorch trains.

    Settings and attributes are those of MytorchClassifier, but for `class_weight` and `classes_`. The module gives
    n_outputs numbers a row, one a target; the loss is one whose outputs are "numbers", MSELoss() if it is None.

    y is (rows,) for one target, (rows, targets) for several. A network learns best from targets of a size near 1:
    sklearn.compose.TransformedTargetRegressor scales them and turns predictions back.

    Example:
        >>> import numpy as np
        >>> from mytorch.sklearn import MytorchRegressor
        >>> X = np.linspace(-1, 1, 100, dtype=np.float32).reshape(-1, 1)
        >>> model = MytorchRegressor(learning_rate_init=0.01, tol=None, random_state=0).fit(X, np.sin(3 * X[:, 0]))
        >>> model.score(X, np.sin(3 * X[:, 0])) > 0.98
        True
    """

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train for one epoch, from where the last training stopped. Returns the estimator.

        The arguments, and what is raised, are those of `fit`.
        """
        return self._partial_fit(X, y, sample_weight)

    def predict(self, X: Any) -> Array:
        """The number of each row, (rows,); for several targets (rows, targets)."""
        outputs = self._outputs(X)
        found: Array = self._encoding.values(outputs)
        return found

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Array, Array]:
        X, y = self._valid_X(X, y=y, reset=reset, multi_output=True, y_numeric=True)
        return X, column_or_1d(y, warn=True) if y.ndim == 1 or y.shape[1] == 1 else y

    def _new_encoding(self, y: Array, classes: Any) -> Any:  # noqa: ARG002
        return Numbers(type(self).__name__, y.shape[1:], self.loss)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class Numbers:
    """Each row has a number, or one for each of several targets."""

    def __init__(self, owner: str, shape: tuple[int, ...], loss: Loss | None) -> None:
        self.owner, self.shape, self.loss = owner, shape, MSELoss() if loss is None else loss
        self.columns = shape[0] if shape else 1
        outputs_of(owner, self.loss, ("numbers",))

    def with_loss(self, loss: Loss | None) -> Numbers:
        """The same for another loss."""
        return Numbers(self.owner, self.shape, loss)

    def encode(self, y: Array) -> Array:
        """(rows, targets)."""
        if y.shape[1:] != self.shape:
            raise ShapeError(f"{self.owner}: y must have {self.columns} columns, as before, got {y.shape}")
        return y.reshape(len(y), self.columns).astype(float, copy=False)

    def criterion(self, loss: Loss) -> Loss:
        """The loss of all columns of the outputs."""
        return loss

    def values(self, outputs: Array) -> Array:
        """(rows,) or (rows, targets), as in y."""
        return outputs.reshape(len(outputs), *self.shape)
