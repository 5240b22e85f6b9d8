"""Dropout layers: random zeros in training mode, against overfitting."""

from mytorch.nn.dropout.alpha_dropout import AlphaDropout, FeatureAlphaDropout
from mytorch.nn.dropout.channel_dropout import Dropout1d, Dropout2d, Dropout3d
from mytorch.nn.dropout.dropout import Dropout

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]
