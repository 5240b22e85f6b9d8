"""What each layer and loss of the catalogue is built with and fed, small, middle and large, for layers.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

SIZES = ("small", "middle", "large")
Fed = tuple[dict[str, Any], tuple[Any, ...]]
"""The arguments of the constructor, and the inputs of forward."""

ROWS = ((32, 64), (128, 256), (1024, 512))
IMAGES = {
    1: ((8, 16, 32), (16, 32, 128), (32, 64, 512)),
    2: ((8, 16, 8, 8), (16, 32, 16, 16), (16, 64, 32, 32)),
    3: ((4, 8, 4, 4, 4), (4, 16, 8, 8, 8), (4, 32, 16, 16, 16)),
}
SEQUENCES = ((16, 8, 32), (32, 16, 64), (64, 32, 128))
"""Steps, rows, features."""

NOT_MEASURED = {
    "ModuleDict": "it computes nothing",
    "ModuleList": "it computes nothing",
    "Sequential": "it is its layers",
    "SyncBatchNorm": "it needs several processes",
    "TransformerDecoder": "it is its layers",
    "TransformerEncoder": "it is its layers",
}
"""Parts of torch.nn without figures of their own, with the reason; lazy layers are those that they become."""

NOT_COMPARED = {
    *("AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout", "RReLU"),
    *("FractionalMaxPool2d", "FractionalMaxPool3d", "CrossMapLRN2d"),
}
"""Layers that draw, so that two of them differ; and one whose docstring says how torch's differs from its formula."""


def _fixed(shapes: tuple[tuple[int, ...], ...], **arguments: Any) -> Callable[[int], Fed]:
    """The same arguments at each size, and one random input."""
    return lambda size: (arguments, (torch.randn(shapes[size]),))


def _of_channels(shapes: tuple[tuple[int, ...], ...], *names: str, **arguments: Any) -> Callable[[int], Fed]:
    """Arguments that are the number of channels, the second axis, beside others."""
    return lambda size: (arguments | dict.fromkeys(names, shapes[size][1]), (torch.randn(shapes[size]),))


def _compared(target: Callable[[Tensor], Tensor], **arguments: Any) -> Callable[[int], Fed]:
    """A prediction in rows, and a target made for it."""

    def fed(size: int) -> Fed:
        prediction = torch.randn(ROWS[size])
        return arguments, (prediction, target(prediction))

    return fed


def _probabilities(size: int) -> Fed:
    return {}, (torch.rand(ROWS[size]) * 0.98 + 0.01, torch.rand(ROWS[size]))


def _pairs(size: int) -> Fed:
    rows, _ = ROWS[size]
    return {}, (torch.randn(ROWS[size]), torch.randn(ROWS[size]), _signs(torch.empty(rows)))


def _ranked(size: int) -> Fed:
    first, second = torch.randn(ROWS[size]), torch.randn(ROWS[size])
    return {}, (first, second, _signs(first))


def _triplets(size: int) -> Fed:
    return {}, tuple(torch.randn(ROWS[size]) for _ in range(3))


def _gaussian(size: int) -> Fed:
    return {}, (torch.randn(ROWS[size]), torch.rand(ROWS[size]) + 0.1, torch.randn(ROWS[size]))


def _alignments(size: int) -> Fed:
    steps, rows, classes = SEQUENCES[size]
    wanted = steps // 4
    targets = torch.randint(1, classes, (rows, wanted))
    return {}, (torch.randn(steps, rows, classes).log_softmax(-1), targets, (steps,) * rows, (wanted,) * rows)


def _linear_cross_entropy(size: int) -> Fed:
    rows, features = ROWS[size]
    classes = 4 * features
    arguments = {"in_features": features, "num_classes": classes}
    return arguments, (torch.randn(rows, features), torch.randint(classes, (rows,)))


def _adaptive(size: int) -> Fed:
    rows, features = ROWS[size]
    classes = 8 * features
    arguments = {"in_features": features, "n_classes": classes, "cutoffs": [features, 4 * features]}
    return arguments, (torch.randn(rows, features), torch.randint(classes, (rows,)))


def _linear(size: int) -> Fed:
    rows, features = ROWS[size]
    return {"in_features": features, "out_features": features}, (torch.randn(rows, features),)


def _embedding(size: int) -> Fed:
    rows, features = ROWS[size]
    return {"num_embeddings": 1000, "embedding_dim": features}, (torch.randint(1000, (rows, 8)),)


def _attention(size: int) -> Fed:
    steps, rows, features = SEQUENCES[size]
    arguments = {"embed_dim": features, "num_heads": 4}
    return arguments, tuple(torch.randn(steps, rows, features) for _ in range(3))


def _recurrent(size: int) -> Fed:
    features = SEQUENCES[size][2]
    return {"input_size": features, "hidden_size": features}, (torch.randn(SEQUENCES[size]),)


def _cell(size: int) -> Fed:
    features = ROWS[size][1]
    return {"input_size": features, "hidden_size": features}, (torch.randn(ROWS[size]),)


def _transformer(inputs: int, **more: Any) -> Callable[[int], Fed]:
    """Without dropout, so that both compute the same."""

    def fed(size: int) -> Fed:
        features = SEQUENCES[size][2]
        arguments = {"d_model": features, "nhead": 4, "dim_feedforward": 4 * features, "dropout": 0.0}
        arguments |= {"batch_first": True} | more
        return arguments, tuple(torch.randn(SEQUENCES[size]).transpose(0, 1).contiguous() for _ in range(inputs))

    return fed


def _two(size: int) -> Fed:
    return {}, (torch.randn(ROWS[size]), torch.randn(ROWS[size]))


def _bilinear(size: int) -> Fed:
    features = (8, 32, 64)[size]
    inputs = tuple(torch.randn(ROWS[size][0], features) / features for _ in range(2))
    return {"in1_features": features, "in2_features": features, "out_features": features}, inputs


def _unpooled(dimensions: int) -> Callable[[int], Fed]:
    """What a maximum pooling returns, its indices included."""

    def fed(size: int) -> Fed:
        pool = getattr(torch.nn.functional, f"max_pool{dimensions}d")
        return {"kernel_size": 2}, pool(torch.randn(IMAGES[dimensions][size]), 2, return_indices=True)

    return fed


def _unflatten(size: int) -> Fed:
    rows, features = ROWS[size]
    return {"dim": 1, "unflattened_size": (8, features // 8)}, (torch.randn(rows, features),)


def _unfolded(size: int) -> Fed:
    rows, channels, height, width = IMAGES[2][size]
    windows = torch.randn(rows, 9 * channels, height * width)
    return {"output_size": (height, width), "kernel_size": 3, "padding": 1}, (windows,)


def _signs(like: Tensor) -> Tensor:
    return torch.randint(0, 2, like.shape) * 2.0 - 1


def _classes(prediction: Tensor) -> Tensor:
    return torch.randint(prediction.shape[1], prediction.shape[:1])


def _labels(prediction: Tensor) -> Tensor:
    """Three labels a row, and no more."""
    labels = torch.rand(prediction.shape).argsort(1)
    labels[:, 3] = -1
    return labels


_ELEMENTWISE = (
    *("CELU", "ELU", "GELU", "GLU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity", "LeakyReLU"),
    *("LogSigmoid", "Mish", "PReLU", "RReLU", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus", "Softshrink"),
    *("Softsign", "Tanh", "Tanhshrink", "Dropout", "AlphaDropout"),
)
_ROWWISE = {name: _fixed(ROWS, dim=-1) for name in ("Softmax", "Softmin", "LogSoftmax")}
_ROWWISE |= {
    "Threshold": _fixed(ROWS, threshold=0.1, value=0.0),
    "LayerNorm": _of_channels(ROWS, "normalized_shape"),
    "RMSNorm": _of_channels(ROWS, "normalized_shape"),
    "Linear": _linear,
    "Embedding": _embedding,
    "EmbeddingBag": _embedding,
    "MultiheadAttention": _attention,
    "Transformer": _transformer(2, num_encoder_layers=1, num_decoder_layers=1),
    "TransformerDecoderLayer": _transformer(2),
    "TransformerEncoderLayer": _transformer(1),
    "Bilinear": _bilinear,
    "CosineSimilarity": _two,
    "PairwiseDistance": _two,
    "Unflatten": _unflatten,
    "AdaptiveLogSoftmaxWithLoss": _adaptive,
}
_ROWWISE |= dict.fromkeys(("RNN", "LSTM", "GRU"), _recurrent) | dict.fromkeys(
    ("RNNCell", "LSTMCell", "GRUCell"), _cell
)
_IMAGEWISE = {
    "CrossMapLRN2d": _fixed(IMAGES[2], size=5),
    "Upsample": _fixed(IMAGES[2], scale_factor=2),
    "UpsamplingBilinear2d": _fixed(IMAGES[2], scale_factor=2),
    "UpsamplingNearest2d": _fixed(IMAGES[2], scale_factor=2),
    "ChannelShuffle": _fixed(IMAGES[2], groups=4),
    "Flatten": _fixed(IMAGES[2]),
    "Fold": _unfolded,
    "FeatureAlphaDropout": _fixed(IMAGES[2]),
    "GroupNorm": _of_channels(IMAGES[2], "num_channels", num_groups=4),
    "LocalResponseNorm": _fixed(IMAGES[2], size=5),
    "PixelShuffle": _fixed(IMAGES[2], upscale_factor=2),
    "PixelUnshuffle": _fixed(IMAGES[2], downscale_factor=2),
    "Softmax2d": _fixed(IMAGES[2]),
    "Unfold": _fixed(IMAGES[2], kernel_size=3, padding=1),
}


def _spatial(dimensions: int) -> dict[str, Callable[[int], Fed]]:
    """The layers that come in one, two and three dimensions, by the name without them."""
    shapes = IMAGES[dimensions]
    cases = {name: _fixed(shapes, padding=1) for name in ("CircularPad", "ReflectionPad", "ReplicationPad", "ZeroPad")}
    cases |= {name: _fixed(shapes, output_size=2) for name in ("AdaptiveAvgPool", "AdaptiveMaxPool")}
    cases |= {name: _fixed(shapes, kernel_size=2) for name in ("AvgPool", "MaxPool")}
    cases |= {name: _of_channels(shapes, "num_features") for name in ("BatchNorm", "InstanceNorm")}
    window = {"kernel_size": 3, "padding": 1}
    cases |= {
        name: _of_channels(shapes, "in_channels", "out_channels", **window) for name in ("Conv", "ConvTranspose")
    }
    if dimensions > 1:
        cases["FractionalMaxPool"] = _fixed(shapes, kernel_size=2, output_ratio=0.6)
    cases |= {"LPPool": _fixed(shapes, norm_type=2, kernel_size=2), "MaxUnpool": _unpooled(dimensions)}
    return cases | {"ConstantPad": _fixed(shapes, padding=1, value=0.5), "Dropout": _fixed(shapes)}


LAYERS = {name: _fixed(ROWS) for name in _ELEMENTWISE} | _ROWWISE | _IMAGEWISE
for _count in IMAGES:
    LAYERS |= {f"{name}{_count}d": fed for name, fed in _spatial(_count).items()}

LOSSES: dict[str, Callable[[int], Fed]] = {
    "BCELoss": _probabilities,
    "BCEWithLogitsLoss": _compared(torch.rand_like),
    "CTCLoss": _alignments,
    "CosineEmbeddingLoss": _pairs,
    "CrossEntropyLoss": _compared(_classes),
    "GaussianNLLLoss": _gaussian,
    "HingeEmbeddingLoss": _compared(_signs),
    "HuberLoss": _compared(torch.randn_like),
    "KLDivLoss": _compared(lambda prediction: torch.rand_like(prediction).softmax(1), reduction="batchmean"),
    "L1Loss": _compared(torch.randn_like),
    "LinearCrossEntropyLoss": _linear_cross_entropy,
    "MSELoss": _compared(torch.randn_like),
    "MarginRankingLoss": _ranked,
    "MultiLabelMarginLoss": _compared(_labels),
    "MultiLabelSoftMarginLoss": _compared(torch.rand_like),
    "MultiMarginLoss": _compared(_classes),
    "NLLLoss": _compared(_classes),
    "PoissonNLLLoss": _compared(torch.rand_like),
    "SmoothL1Loss": _compared(torch.randn_like),
    "SoftMarginLoss": _compared(_signs),
    "TripletMarginLoss": _triplets,
    "TripletMarginWithDistanceLoss": _triplets,
}
CASES = LAYERS | LOSSES


def fed(name: str, size: str) -> Fed:
    """The same at every call."""
    torch.manual_seed(0)
    return CASES[name](SIZES.index(size))
