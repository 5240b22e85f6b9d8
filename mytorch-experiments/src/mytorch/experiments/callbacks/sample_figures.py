"""The callback that draws what the network of a run makes of some rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.utils.data import DataLoader

from mytorch.core import random_state
from mytorch.experiments.callbacks.boundary_figure import kept_epoch
from mytorch.experiments.figures.attempt import attempt
from mytorch.experiments.figures.attention_figure import draw_attention
from mytorch.experiments.figures.sample_figures import draw_forecasts, draw_reconstructions
from mytorch.experiments.runs.run_folder import RunFolder
from mytorch.plugins import Callback

if TYPE_CHECKING:
    from mytorch.train.training import Training


DRAWN = {"forecasts": draw_forecasts, "reconstructions": draw_reconstructions, "attention": draw_attention}


class SampleFigures(Callback):
    """Draws what suits the data and the network when a run ends: `forecasts.png` of a time series,
    `reconstructions.png` of an autoencoder, and `attention.png` of a network with attention.

    The rows are those of the test part, or else of the validation or the training part.
    """

    first_process_only = True

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def training_ended(self, run: Training) -> None:
        """Draw what suits the data, unless the folder was removed, as what writes the end of the run says."""
        if not self.folder.path.is_dir():
            return
        parts = {"test": run.test, "validation": run.validation, "training": run.batches.data}
        part, data = next((name, data) for name, data in parts.items() if data is not None)
        if not run.history or isinstance(data, DataLoader) or not len(data):
            return
        title = f"{self.folder.path.name}, {part} part, weights of epoch {kept_epoch(run)}"
        for name, draw in DRAWN.items():
            with attempt(f"the figure {name}.png"), random_state():
                draw(run.net, data, self.folder.figures / f"{name}.png", title)

    def training_failed(self, run: Training) -> None:
        """Draw what was trained so far."""
        self.training_ended(run)
