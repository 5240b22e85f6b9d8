"""Images that are changed at random whenever they are trained on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, DataSet, ShapeError, Wrapped, require_flag, require_whole


class Augmented(Wrapped):
    """The images of a data set, flipped and shifted at random whenever they are read, for the training.

    flip:         whether an image is mirrored from left to right with probability 1/2
    random_crop:  shift an image by up to so many pixels, each way as likely. The pixels at its edge are repeated
                  beyond it: as if it were padded and cut at a random place
    Shapes:       inputs: (rows, channels, height, width). Targets of the same height and width, as for segmentation,
                  (rows, height, width) or (rows, channels, height, width), are changed like their image
    Raises:       ArgumentError if nothing is asked for; ShapeError for inputs that are no images

    Random numbers come from torch's generator of the CPU, so a resumed run draws the same. `plain` are the images as
    they are, by which models are judged.

    Example:
        >>> import torch
        >>> from mytorch.data import Augmented, Shapes
        >>> data = Augmented(Shapes(10, size=12), flip=True, random_crop=2)
        >>> torch.equal(data[:][0], data[:][0]), torch.equal(data.plain[:][0], data.plain[:][0])
        (False, True)
    """

    def __init__(self, data: DataSet, flip: bool = False, random_crop: int = 0) -> None:
        super().__init__(data)
        require_flag(self, "flip", flip)
        require_whole(self, "random_crop", random_crop)
        if not flip and not random_crop:
            raise ArgumentError("Augmented: flip or random_crop must be given, got neither; leave augment out")
        self.flip, self.random_crop, self.targets = flip, random_crop, data.targets

    @property
    def plain(self) -> DataSet:
        return self.data.plain

    def batch_at(self, indices: Tensor) -> tuple[Tensor, Any]:
        inputs, targets = self.data.batch_at(indices)
        if not isinstance(inputs, Tensor) or inputs.dim() != 4:
            got = tuple(inputs.shape) if isinstance(inputs, Tensor) else type(inputs).__name__
            raise ShapeError(f"Augmented: inputs must be images, (rows, channels, height, width), got {got}")
        rows, columns = self._places(len(inputs), *inputs.shape[-2:])
        image_like = isinstance(targets, Tensor) and targets.dim() > 2 and targets.shape[-2:] == inputs.shape[-2:]
        return _taken(inputs, rows, columns), _taken(targets, rows, columns) if image_like else targets

    def _places(self, count: int, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Which row, and which column, of an image stands at each place: (count, height) and (count, width)."""
        shift = torch.randint(-self.random_crop, self.random_crop + 1, (2, count, 1))
        rows, columns = (shift[0] + torch.arange(height)), (shift[1] + torch.arange(width))
        rows, columns = rows.clamp_(0, height - 1), columns.clamp_(0, width - 1)
        if self.flip:
            columns = torch.where(torch.rand(count, 1) < 0.5, columns.flip(1), columns)
        return rows, columns


def _taken(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The pixels of images, (count, ..., height, width), at rows and columns."""
    number = torch.arange(len(images)).reshape(-1, 1, 1)
    chosen = images.movedim(0, -3)[..., number, rows.unsqueeze(2), columns.unsqueeze(1)]
    return chosen.movedim(-3, 0).contiguous()
