"""Images in files."""

from mytorch.data.images.augmented import Augmented
from mytorch.data.images.digits import Digits
from mytorch.data.images.errors import ImageError
from mytorch.data.images.image_folder import ImageFolder

__all__ = ["Augmented", "Digits", "ImageError", "ImageFolder"]
