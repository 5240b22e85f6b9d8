"""Small pictures."""

from __future__ import annotations

import torch
from torch import Tensor

from mytorch.core.checks import FLOAT_MAX, require_choice, require_range, require_whole
from mytorch.data.arrays.data_set import KEY as ARRAYS
from mytorch.data.dtype import floating_dtype
from mytorch.data.generated._generated import Generated, normal, shuffled_classes, uniform

BYTES = 40
"""Of memory that a pixel takes while it is drawn."""
KINDS = ("square", "disc", "triangle")


class Shapes(Generated):
    """Grey pictures of one square, disc or triangle each, to be told apart, found pixel by pixel, or reconstructed.

    Pictures: a shape with half width h uniform in [size / 6, size / 3), its centre anywhere where the whole of it is
              in the picture, of brightness uniform in [0.5, 1) on black; noise * e on every pixel, e standard normal
    Pixel:    with (dx, dy) its distance from the centre, to the right and down, it is of the shape where
              max(|dx|, |dy|) <= h (square), dx^2 + dy^2 <= h^2 (disc), |dx| <= (dy + h) / 2 and |dy| <= h (triangle)
    Shapes:   inputs: (samples, 1, size, size) of dtype;
              targets: (samples,), int64, the kind of shape, for task "classification";
              (samples, size, size), int64, the kind of shape of every pixel and 0 for the background, "segmentation";
              the inputs themselves, for autoencoders, "reconstruction"
    Raises:   ArgumentError unless samples is a count, size from 8 to 1024, task one of the three, noise at least 0,
              seed a whole number and dtype floating point

    All tasks have the same pictures for a seed. A run reads others from arrays named inputs and targets, see `Arrays`.

    Example:
        >>> from mytorch.data import Shapes
        >>> data = Shapes(9, size=12, task="segmentation")
        >>> data.inputs.shape, data.targets.shape, data.classes
        (torch.Size([9, 1, 12, 12]), torch.Size([9, 12, 12]), ('background', 'square', 'disc', 'triangle'))
    """

    def __init__(
        self,
        samples: int = 1000,
        size: int = 16,
        task: str = "classification",
        noise: float = 0.1,
        seed: int = 0,
        dtype: torch.dtype | str = "float32",
    ) -> None:
        require_whole(self, "size", size, 8, 1024)
        generator = self._generator(samples, seed, BYTES * size * size)
        require_choice(self, "task", task, ("classification", "segmentation", "reconstruction"))
        require_range(self, "noise", noise, 0.0, FLOAT_MAX)
        kinds = shuffled_classes(samples, len(KINDS), generator)
        h = uniform(size / 6, size / 3, samples, 1, 1, generator=generator)
        centre = h + (size - 1 - 2 * h) * uniform(0, 1, samples, 1, 2, generator=generator)
        inside = _inside(kinds, centre, h, size)
        brightness = uniform(0.5, 1, samples, 1, 1, generator=generator)
        pictures = inside * brightness + normal(noise, samples, size, size, generator=generator)
        self.inputs = pictures.unsqueeze(1).to(floating_dtype("Shapes", dtype))
        kept = {"inputs": "inputs", "targets": "targets", "shape": [1, size, size], "whole": False}
        self.preparation = {ARRAYS: {"dataset": "mytorch-data:Arrays", **kept}}
        if task == "reconstruction":
            self.targets = self.inputs
            return
        by_pixel = task == "segmentation"
        self.classes = ("background", *KINDS) if by_pixel else KINDS
        self.targets = inside * (kinds + 1).reshape(-1, 1, 1) if by_pixel else kinds


def _inside(kinds: Tensor, centre: Tensor, h: Tensor, size: int) -> Tensor:
    """Which pixels are of the shape, (samples, size, size), bool."""
    pixel = torch.arange(size, dtype=torch.float64)
    dx = pixel - centre[..., :1]  # (samples, 1, size)
    dy = (pixel - centre[..., 1:]).transpose(1, 2)  # (samples, size, 1)
    near = (dx.abs() <= h) & (dy.abs() <= h)
    kind = kinds.reshape(-1, 1, 1)
    disc, triangle = dx**2 + dy**2 <= h**2, dx.abs() <= (dy + h) / 2
    return near & ((kind == 0) | ((kind == 1) & disc) | ((kind == 2) & triangle))
