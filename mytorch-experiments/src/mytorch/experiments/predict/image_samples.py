"""Some of the images that a model was judged on, with what it took them for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mytorch.core import DataSet, Module, Parameter, fetch
from mytorch.core.tree import walk
from mytorch.data.preparation.moments import INPUTS, Moments
from mytorch.experiments.predict.judgement import Judge

MOST = 16
"""Wrong predictions that are shown at most, and right ones."""


@dataclass(frozen=True)
class ImageSamples:
    """Images of wrong predictions, evenly spaced over all of them, and then of right ones.

    images: (samples, channels, height, width) with 1 or 3 channels, in the units of the data.
    predicted, true: the names of their classes.  shown, rows: how many are wrong and right, here and of all rows.
    """

    images: Tensor
    predicted: tuple[str, ...]
    true: tuple[str, ...]
    shown: tuple[int, int]
    rows: tuple[int, int]


def image_samples(data: DataSet, judge: Judge) -> ImageSamples | None:
    """Those of an evaluation on a data set, whose rows the judge saw; None if its inputs are no images of classes."""
    pairs = judge.pairs
    if pairs is None or len(pairs[0]) != len(data):
        return None
    predicted, true = pairs
    seen = true >= 0
    groups = [(seen & (predicted != true)).nonzero().flatten(), (seen & (predicted == true)).nonzero().flatten()]
    shown = [group[torch.linspace(0, len(group) - 1, min(MOST, len(group))).long()] for group in groups]
    chosen = torch.cat(shown)
    if not len(chosen) or not _is_image(fetch(data, chosen[:1])[0]):
        return None
    images = fetch(data, chosen)[0]
    learned = Moments.of(getattr(data, "preparation", None), INPUTS)
    assert judge.confusion is not None  # which has the pairs
    names = judge.confusion.classes
    return ImageSamples(
        (images if learned is None else learned.in_units(images)).to("cpu", torch.float64),
        tuple(names[index] for index in predicted[chosen].tolist()),
        tuple(names[index] for index in true[chosen].tolist()),
        (len(shown[0]), len(shown[1])),
        (len(groups[0]), len(groups[1])),
    )


def _is_image(inputs: Any) -> bool:
    return isinstance(inputs, Tensor) and inputs.dim() == 4 and inputs.shape[1] in (1, 3)


def first_filters(net: Module) -> Tensor | None:
    """The weights of a model's first layer with weights, (filters, channels, height, width), if they are those of a
    convolution of images with 1 or 3 channels and of more than one pixel; None else.
    """
    for _, module in walk(net):
        weight = getattr(module, "weight", None)
        if isinstance(weight, Parameter):
            value = weight.value
            is_seen = value.dim() == 4 and value.shape[1] in (1, 3) and value.shape[2:].numel() > 1
            return value.detach().to("cpu", torch.float64) if is_seen else None
    return None
