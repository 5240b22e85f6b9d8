"""Losses: the quantity to minimise, each with its own gradient."""

from mytorch.nn.loss.adaptive_log_softmax_with_loss import AdaptiveLogSoftmaxWithLoss
from mytorch.nn.loss.bce_loss import BCELoss
from mytorch.nn.loss.bce_with_logits_loss import BCEWithLogitsLoss
from mytorch.nn.loss.cross_entropy_loss import CrossEntropyLoss
from mytorch.nn.loss.ctc_loss import CTCLoss
from mytorch.nn.loss.distance import HuberLoss, L1Loss, SmoothL1Loss
from mytorch.nn.loss.elbo_loss import ELBOLoss
from mytorch.nn.loss.likelihood import GaussianNLLLoss, KLDivLoss, PoissonNLLLoss
from mytorch.nn.loss.linear_cross_entropy_loss import LinearCrossEntropyLoss
from mytorch.nn.loss.margin import HingeEmbeddingLoss, SoftMarginLoss
from mytorch.nn.loss.mse_loss import MSELoss
from mytorch.nn.loss.multi_label_margin_loss import MultiLabelMarginLoss
from mytorch.nn.loss.multi_label_soft_margin_loss import MultiLabelSoftMarginLoss
from mytorch.nn.loss.multi_margin_loss import MultiMarginLoss
from mytorch.nn.loss.nll_loss import NLLLoss
from mytorch.nn.loss.pairs import (
    CosineEmbeddingLoss,
    MarginRankingLoss,
    TripletMarginLoss,
    TripletMarginWithDistanceLoss,
)

__all__ = [
    "AdaptiveLogSoftmaxWithLoss",
    "BCELoss",
    "BCEWithLogitsLoss",
    "CTCLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "ELBOLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "LinearCrossEntropyLoss",
    "MSELoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]
