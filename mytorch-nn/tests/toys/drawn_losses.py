"""The losses beside those of classes and logits: the arguments that hypothesis draws, and inputs for each."""

import pytest
import torch
from hypothesis import strategies as st

number, positive = st.floats(-1, 1), st.floats(0.1, 2)
flag = st.booleans()
WEIGHTS = st.sampled_from([None, torch.rand(3)])
ARGUMENTS = {
    "L1Loss": {},
    "SmoothL1Loss": {"beta": st.sampled_from([0, 0.5, 1, 3.0])},
    "HuberLoss": {"delta": positive},
    "KLDivLoss": {"log_target": flag, "reduction": st.sampled_from(["batchmean", "mean", "sum", "none"])},
    "BCELoss": {"weight": WEIGHTS},
    "PoissonNLLLoss": {"log_input": flag, "full": flag, "eps": st.sampled_from([1e-8, 0.1])},
    "SoftMarginLoss": {},
    "HingeEmbeddingLoss": {"margin": number},
    "MultiMarginLoss": {
        "p": st.sampled_from([1, 2]),
        "margin": number,
        "weight": WEIGHTS,
    },
    "MultiLabelMarginLoss": {},
    "MultiLabelSoftMarginLoss": {"weight": WEIGHTS},
    "NLLLoss": {"weight": WEIGHTS, "ignore_index": st.sampled_from([-100, 1])},
    "MarginRankingLoss": {"margin": number},
    "CosineEmbeddingLoss": {"margin": st.floats(-0.5, 0.5)},
    "TripletMarginLoss": {"margin": positive, "p": st.sampled_from([1, 1.5, 2, 3]), "swap": flag},
    "TripletMarginWithDistanceLoss": {"margin": positive, "swap": flag},
    "GaussianNLLLoss": {"full": flag, "eps": st.sampled_from([1e-6, 0.3])},
}
each_loss = pytest.mark.parametrize("name", ARGUMENTS)


def signs(shape):
    return torch.randint(0, 2, shape) * 2.0 - 1


def draw(name, shape):
    """Predictions, as many as the loss has, and targets."""
    if name in ("MarginRankingLoss", "CosineEmbeddingLoss"):
        of_rows = name == "CosineEmbeddingLoss"
        return (torch.randn(shape), torch.randn(shape)), (signs(shape[:-1] if of_rows else shape),)
    if name in ("TripletMarginLoss", "TripletMarginWithDistanceLoss"):
        return tuple(2 * torch.randn(3, *shape)), ()
    if name == "GaussianNLLLoss":
        return (torch.randn(shape), torch.rand(shape)), (torch.randn(shape),)
    if name == "NLLLoss":
        axis = 1 if len(shape) > 1 else 0
        return (torch.randn(shape).log_softmax(axis),), (torch.randint(0, 3, shape[:axis] + shape[axis + 1 :]),)
    if name == "MultiMarginLoss":
        return (torch.randn(shape),), (torch.randint(0, 3, shape[:-1]),)
    if name == "MultiLabelMarginLoss":
        return (torch.randn(shape),), (torch.rand(shape).argsort(-1) - torch.randint(0, 2, shape),)
    target = {
        "SoftMarginLoss": signs,
        "HingeEmbeddingLoss": signs,
        "PoissonNLLLoss": lambda shape: torch.randint(0, 6, shape).float(),
        "KLDivLoss": lambda shape: torch.rand(shape) * (torch.rand(shape) > 0.3),
        "BCELoss": torch.rand,
        "MultiLabelSoftMarginLoss": torch.rand,
    }.get(name, torch.randn)(shape)
    return (torch.rand(shape) if name == "BCELoss" else torch.randn(shape),), (target,)
