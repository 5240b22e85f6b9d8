"""Each family of layers in an experiment, beside PyTorch: equal losses in every epoch, and equal single steps.

The networks of docs/networks.md, and for each family one network or more with all of its layers. What takes several
inputs, such as a distance, cannot stand in an experiment; its own tests compare it.
"""

import re
import tomllib
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mytorch.core import Module, require_input
from mytorch.experiments import load_experiment
from mytorch.experiments.parity import compare

HOUSE = Path(__file__).parents[1]
BASE = {
    "name": "family",
    "threads": 1,
    "epochs": 2,
    "batch_size": 16,
    "data": {"train": {"type": "Disk", "samples": 48}, "targets": "one-hot"},
    "loss": {"type": "MSELoss"},
    "optimizer": {"type": "SGD", "lr": 0.01},
}


class Indices(Module):
    """Whole numbers from 0 to count - 1, one for each number from 0 to 1, whose gradient is 0."""

    def __init__(self, count: int = 5) -> None:
        self.count = count

    def forward(self, x: Tensor) -> tuple[Tensor, torch.Size]:
        require_input(self, x)
        return (x * self.count).long().clamp(0, self.count - 1), x.shape

    def backward(self, d_y: Tensor, shape: torch.Size) -> None:
        assert d_y is None

    def torch_twin(self):
        module = torch.nn.Module()
        module.forward = lambda x: (x * self.count).long().clamp(0, self.count - 1)
        return module


def layer(kind, **arguments):
    return {"type": kind, **arguments}


def linear(n_in, n_out):
    return layer("Linear", in_features=n_in, out_features=n_out)


def each(*kinds, **arguments):
    return [layer(kind, **arguments) for kind in kinds]


def chain(*layers):
    """The layers, each of which may be a list of several."""
    flat = []
    for one in layers:
        flat += one if isinstance(one, list) else [one]
    return layer("Sequential", layers=flat)


def of_numbers(*layers, size=8, out=8):
    """A network whose layers take rows of numbers."""
    return chain(linear(2, size), *layers, linear(out, 2))


def of_images(shape, *layers):
    """A network whose layers take images, or lines or volumes, of channels and sizes."""
    return chain(
        linear(2, torch.Size(shape).numel()),
        layer("Unflatten", dim=1, unflattened_size=list(shape)),
        *layers,
        layer("Flatten"),
        layer("LazyLinear", out_features=2),
    )


def dimensions(kind, **arguments):
    """The layer of this name in 1, 2 and 3 dimensions, each as a network."""
    return {
        f"{kind}{count}d": of_images((4, *(6, 5, 4)[:count]), layer(f"{kind}{count}d", **arguments))
        for count in (1, 2, 3)
    }


SMOOTH = each(*("CELU", "ELU", "GELU", "Hardswish", "Mish", "SELU", "SiLU", "Softplus", "Tanh", "Sigmoid"))
SMOOTH += each("Softsign", "Tanhshrink")
PIECEWISE = each(
    *[
        "Hardsigmoid",
        "Hardtanh",
        "LeakyReLU",
        "LogSigmoid",
        "PReLU",
        "ReLU",
        "ReLU6",
        "RReLU",
        "Softsign",
        "Tanhshrink",
    ]
)
NETWORKS = {
    "activation, smooth": of_numbers(*(chain(one, linear(8, 8)) for one in SMOOTH)),
    "activation, piecewise": of_numbers(*(chain(one, linear(8, 8)) for one in PIECEWISE)),
    "activation, of thresholds": of_numbers(
        layer("Hardshrink", lambd=0.1),
        linear(8, 8),
        layer("Softshrink", lambd=0.1),
        linear(8, 8),
        layer("Threshold", threshold=0.1, value=0.3),
    ),
    "activation, along an axis": of_numbers(
        layer("Softmax", dim=1), linear(8, 8), layer("LogSoftmax", dim=1), layer("Softmin", dim=1), layer("GLU"), out=4
    ),
    "activation, of channels": of_images((3, 4, 4), layer("Softmax2d")),
    **dimensions("Conv", in_channels=4, out_channels=6, kernel_size=3, padding=1, stride=2, groups=2),
    **dimensions("ConvTranspose", in_channels=4, out_channels=6, kernel_size=3, padding=1, stride=2, groups=2),
    **dimensions("LazyConv", out_channels=3, kernel_size=2, padding="same", padding_mode="reflect"),
    **dimensions("MaxPool", kernel_size=2, ceil_mode=True),
    **dimensions("AvgPool", kernel_size=3, stride=2, padding=1),
    **dimensions("AdaptiveAvgPool", output_size=3),
    **dimensions("AdaptiveMaxPool", output_size=3),
    **dimensions("LPPool", norm_type=2.0, kernel_size=2),
    "FractionalMaxPool2d": of_images((2, 6, 6), layer("FractionalMaxPool2d", kernel_size=2, output_size=3)),
    "FractionalMaxPool3d": of_images((2, 4, 4, 4), layer("FractionalMaxPool3d", kernel_size=2, output_ratio=0.6)),
    **dimensions("BatchNorm", num_features=4),
    **dimensions("LazyBatchNorm", momentum=0.3),
    **dimensions("InstanceNorm", num_features=4, affine=True, track_running_stats=True),
    **dimensions("Dropout", p=0.3),
    **dimensions("ZeroPad", padding=1),
    **dimensions("ConstantPad", padding=1, value=0.5),
    **dimensions("ReflectionPad", padding=1),
    **dimensions("ReplicationPad", padding=1),
    **dimensions("CircularPad", padding=1),
    "normalization of rows": of_numbers(
        layer("LayerNorm", normalized_shape=8),
        layer("RMSNorm", normalized_shape=8),
        layer("BatchNorm1d", num_features=8),
    ),
    "normalization of channels": of_images(
        (4, 5, 5),
        layer("GroupNorm", num_groups=2, num_channels=4),
        layer("LocalResponseNorm", size=3),
        layer("CrossMapLRN2d", size=4, alpha=0.5),
    ),
    "dropout": of_numbers(*each("Dropout", "AlphaDropout", "FeatureAlphaDropout", p=0.2)),
    "rearrangement": of_images(
        (4, 4, 4),
        layer("PixelShuffle", upscale_factor=2),
        layer("PixelUnshuffle", downscale_factor=2),
        layer("ChannelShuffle", groups=2),
        layer("Unfold", kernel_size=2, stride=2),
        layer("Fold", output_size=4, kernel_size=2, stride=2),
        layer("Permute", dims=[0, 2, 3, 1]),
        layer("Reshape", shape=[8, 8]),
    ),
    "resampling": of_images(
        (2, 3, 3),
        layer("Upsample", scale_factor=2.0, mode="bicubic"),
        layer("UpsamplingNearest2d", scale_factor=2),
        layer("UpsamplingBilinear2d", size=5),
    ),
    "embedding": chain(
        layer(f"{__name__}:Indices"),
        layer("Embedding", num_embeddings=5, embedding_dim=3, padding_idx=0),
        layer("Flatten"),
        linear(6, 2),
    ),
    "embedding of bags": chain(
        layer(f"{__name__}:Indices"),
        layer("EmbeddingBag", num_embeddings=5, embedding_dim=3, mode="mean"),
        linear(3, 2),
    ),
    "recurrent": of_images(
        (3, 4),
        layer("RNN", input_size=4, hidden_size=5, batch_first=True),
        layer("Take", index=0),
        layer("GRU", input_size=5, hidden_size=4, num_layers=2, batch_first=True, bidirectional=True),
        layer("Take", index=0),
        layer("LSTM", input_size=8, hidden_size=5, proj_size=3, batch_first=True),
        layer("Take", index=0),
    ),
    "recurrent, the last state": of_images(
        (3, 4),
        layer("LSTM", input_size=4, hidden_size=5, batch_first=True),
        layer("Take", index=1),
        layer("Take", index=0),
        layer("Permute", dims=[1, 0, 2]),
    ),
    "recurrent cells": of_numbers(
        layer("RNNCell", input_size=8, hidden_size=6),
        layer("GRUCell", input_size=6, hidden_size=8),
        layer("LSTMCell", input_size=8, hidden_size=8),
        layer("Take", index=0),
    ),
    "attention": of_images(
        (3, 4), layer("MultiheadAttention", embed_dim=4, num_heads=2, batch_first=True), layer("Take", index=0)
    ),
    "transformer": of_images(
        (3, 4),
        layer("SinusoidalPositionalEncoding", d_model=4, batch_first=True),
        layer("RotaryPositionalEncoding", dim=4),
        layer(
            "TransformerEncoder",
            encoder_layer=layer(
                "TransformerEncoderLayer", d_model=4, nhead=2, dim_feedforward=8, dropout=0.1, batch_first=True
            ),
            num_layers=2,
        ),
    ),
    "transformer, causal": of_images(
        (3, 4),
        layer("TransformerEncoderLayer", d_model=4, nhead=2, dim_feedforward=8, batch_first=True, is_causal=True),
    ),
    "containers": of_numbers(
        layer("Parallel", branches=[linear(8, 4), chain(linear(8, 3), layer("Tanh"))]),
        layer("Take", index=-1),
        layer("Add", branches=[linear(3, 4), chain(linear(3, 4), layer("Dropout"))]),
        layer("Concatenate", branches=[layer("Identity"), layer("Residual", inner=linear(4, 4))]),
        layer("Checkpoint", inner=chain(layer("BatchNorm1d", num_features=8), layer("Dropout"), linear(8, 8))),
        layer("ReversibleSequence", blocks=[layer("Reversible", f=linear(4, 4), g=layer("Tanh"))]),
    ),
}


def passes(content):
    comparison = compare(load_experiment(content))
    (result,) = comparison.seeds
    assert comparison.passed, (result.epoch_gap, result.steps.gap)
    return result


@pytest.mark.filterwarnings("ignore:LSTM with projections")
@pytest.mark.parametrize("name", NETWORKS)
def test_a_family(name):
    result = passes({**BASE, "model": NETWORKS[name]})
    assert len({record["train_loss"] for record in result.ours}) > 1, "it learns"


LOSSES = {
    "one-hot": [
        *("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "CrossEntropyLoss", "BCEWithLogitsLoss", "PoissonNLLLoss"),
        "MultiLabelSoftMarginLoss",
    ],
    "as-is": ["CrossEntropyLoss", "MultiMarginLoss"],
}


@pytest.mark.parametrize(("targets", "loss"), [(targets, loss) for targets in LOSSES for loss in LOSSES[targets]])
def test_a_loss(targets, loss):
    passes(
        {
            **BASE,
            "model": of_numbers(layer("Tanh")),
            "loss": {"type": loss},
            "data": {**BASE["data"], "targets": targets},
        }
    )


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")
@pytest.mark.parametrize(
    ("targets", "loss", "last"),
    [("as-is", "NLLLoss", "LogSoftmax"), ("one-hot", "KLDivLoss", "LogSoftmax"), ("one-hot", "BCELoss", "Softmax")],
)
def test_a_loss_of_probabilities(targets, loss, last):
    model = chain(linear(2, 8), layer("Tanh"), linear(8, 2), layer(last, dim=1))
    passes({**BASE, "model": model, "loss": {"type": loss}, "data": {**BASE["data"], "targets": targets}})


def blocks(language):
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```", (HOUSE / "docs/networks.md").read_text())


@pytest.mark.parametrize("text", blocks("toml"), ids=lambda text: text.partition("\n")[0])
def test_a_network_of_the_page(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(blocks("python")[0].replace("300", "48"), {})
    passes({**BASE, **tomllib.loads(text), "epochs": 2, "batch_size": 16})
