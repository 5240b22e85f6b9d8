"""A warning at the first import, beside a torch that nothing here was tested with."""

from __future__ import annotations

import warnings

import torch

from mytorch.plugins import MytorchWarning, outside_of_range


class TorchVersionWarning(MytorchWarning):
    """The installed torch is older or newer than those that mytorch is tested with; the text names both."""


if _said := outside_of_range(torch.__version__):
    warnings.warn(_said, TorchVersionWarning, stacklevel=2)
