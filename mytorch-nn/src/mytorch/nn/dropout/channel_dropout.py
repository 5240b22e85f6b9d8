"""Random channels set to zero."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from mytorch.core import ShapeError
from mytorch.nn._spatial import Spatial
from mytorch.nn.dropout._noise import Noisy


class _ChannelDropout(Noisy, Spatial):
    """Set whole channels to zero with probability p, in training mode; in evaluation mode do nothing.

    Numbers of one channel are alike, so that one alone that is dropped can be guessed from those around it.

    Forward:   y = noise * x, where noise is 1 / (1 - p) with probability 1 - p, else 0, one for each channel of a row
    Backward:  d_x = noise * d_y
    Shapes:    x, y: (batch, channels, ...) with one, two or three sizes by the class; Dropout1d and Dropout3d also
               without a batch
    Raises:    ShapeError for another shape, or if d_y has not the shape of y;  DtypeError for whole numbers in
               training mode;  ArgumentError if p is not between 0 and 1, or generator is none
    Random:    one draw for each channel of a row, from `generator`, or from torch's: then the zeros are those of
               torch.nn
    Source:    Tompson et al. 2015, "Efficient object localization using convolutional networks"

    Example:
        >>> Dropout1d(0.5).eval()(torch.tensor([[1.0, 2.0]]))
        tensor([[1., 2.]])
    """

    unbatched: ClassVar[bool] = True

    def _require_shape(self, x: Tensor) -> None:
        axes = self.dimensions + 2
        if x.dim() != axes and not (self.unbatched and x.dim() == axes - 1):
            rule = f"{axes - 1} or {axes}" if self.unbatched else str(axes)
            hint = "" if self.unbatched else "; put a batch in front with x.unsqueeze(0), or use Dropout1d"
            raise ShapeError(f"{self._name}: x must have {rule} axes, got {x.dim()} in {tuple(x.shape)}{hint}")

    def _drop(self, x: Tensor) -> tuple[Tensor, Tensor]:
        leading = x.shape[: -self.dimensions]
        noise = self._kept(x.new_empty(*leading, *(1,) * self.dimensions)).div_(1 - self.p)
        return x * noise, noise


class Dropout1d(_ChannelDropout):
    dimensions = 1


class Dropout2d(_ChannelDropout):
    dimensions = 2
    unbatched = False  # torch takes three axes, with a warning, for a batch of Dropout1d


class Dropout3d(_ChannelDropout):
    dimensions = 3
