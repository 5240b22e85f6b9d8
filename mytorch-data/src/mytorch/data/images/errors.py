"""What can go wrong with images."""

from mytorch.core import MytorchError


class ImageError(MytorchError, ValueError):
    """An image, or a folder of images, does not hold what it must; the text names the file and the way out."""
