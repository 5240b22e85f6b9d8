"""TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mytorch.train.trackers.tracker import Setting, Tracker, library, place

if TYPE_CHECKING:
    from mytorch.train.training import Training


class TensorBoard(Tracker):
    """Write a run as an event file of TensorBoard, which `tensorboard --logdir runs` shows beside all other runs.

    path: the folder for event files; None for `tensorboard` in the folder that a Recorder keeps.
    every: the loss of every so many steps is written as `batch_loss`; None for none.
    gradient_norms: whether the norm of each parameter's gradient is written, measured on one batch an epoch.
    Raises MissingRequirementError without the library; install it with the extra `mytorch-train[tensorboard]`.

    Settings stand as a table under Text and, when the run has ended, beside its last numbers under HParams.

    Example:
        >>> import tempfile
        >>> from mytorch.data import Disk
        >>> from mytorch.nn import CrossEntropyLoss, Linear
        >>> from mytorch.optim import SGD
        >>> from mytorch.train import fit
        >>> from mytorch.train.trackers import TensorBoard
        >>> folder = tempfile.TemporaryDirectory()
        >>> net, tracker = Linear(2, 2), TensorBoard(folder.name)
        >>> options = {"epochs": 2, "batch_size": 20, "quiet": True, "callbacks": [tracker]}
        >>> training = fit(net, CrossEntropyLoss(), SGD(net.param(), lr=0.1), Disk(100), **options)
        >>> folder.cleanup()
    """

    def __init__(self, path: str | None = None, every: int | None = None, gradient_norms: bool = True) -> None:
        super().__init__(every, gradient_norms)
        self.path = path
        self._library = library("TensorBoard", "torch.utils.tensorboard", "tensorboard")
        self._writer: Any = None
        self._settings: dict[str, Setting] = {}
        self._last: dict[str, float] = {}

    def begin(self, run: Training, settings: Mapping[str, Setting]) -> None:
        """Open an event file; what an earlier file says of later epochs is hidden."""
        folder = place("TensorBoard", self.path, run, "tensorboard")
        purge = None if run.resumed is None else run.epoch + 1
        self._writer = self._library.SummaryWriter(str(folder), purge_step=purge)
        self._settings, self._last = dict(settings), {}
        rows = [f"| {key} | {value} |" for key, value in settings.items()]
        self._writer.add_text("settings", "\n".join(["| setting | value |", "|---|---|", *rows]), run.epoch)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write each number under its name."""
        for name, value in values.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, step)
        if "epoch" in values:
            self._last = {name: value for name, value in values.items() if "_" in name and "/" not in name}

    def figures(self, paths: Sequence[Path], step: int) -> None:
        """Write the pictures."""
        from PIL import Image

        for path in paths:
            with Image.open(path) as opened:
                picture = opened.convert("RGB")
            numbers = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
            pixels = numbers.reshape(picture.height, picture.width, 3)
            self._writer.add_image(f"figures/{path.stem}", pixels, step, dataformats="HWC")

    def end(self, status: str) -> None:
        """Write settings beside the last numbers, and close the file."""
        settings = {**self._settings, "status": status}
        self._writer.add_hparams(settings, self._last, run_name=".")
        self._writer.close()
