"""Estimators of scikit-learn that train with mytorch."""

from mytorch.sklearn.classifier import MytorchClassifier
from mytorch.sklearn.regressor import MytorchRegressor

__all__ = ["MytorchClassifier", "MytorchRegressor"]
