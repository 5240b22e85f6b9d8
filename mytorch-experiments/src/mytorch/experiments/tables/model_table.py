"""The model of an experiment on the terminal."""

from __future__ import annotations

import torch
from rich.console import Console

from mytorch.core import fetch, random_state
from mytorch.experiments.tables.terminal import WIDE
from mytorch.train.device import move
from mytorch.train.setup import Setup
from mytorch.train.summary import Summary, summary


def model_of(setup: Setup) -> Summary:
    """The layers of the model that is trained, as a batch of the training data goes through them."""
    data = setup.batches.data
    with random_state():
        inputs, _ = fetch(data, torch.arange(min(setup.batches.batch_size, len(data))))
    return summary(setup.net, move(inputs, setup.device))


def show_model(model: Summary, *, stderr: bool = False) -> None:
    """Print a line a layer."""
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    console.print(model)
