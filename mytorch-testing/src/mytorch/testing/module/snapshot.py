"""Whether tensors are as they were."""

from torch import Tensor

from mytorch.testing.compare import same_bits
from mytorch.testing.errors import CheckError


class Snapshot:
    """Tensors by their names, and how they are now."""

    def __init__(self, seen: dict[str, Tensor]) -> None:
        self.tensors = seen
        self.copies = {name: (value.clone(), value._version) for name, value in seen.items()}

    def require_unchanged(self, step: str) -> None:
        """Raise CheckError if the step has written into one of them."""
        for name, value in self.tensors.items():
            copy, version = self.copies[name]
            if value._version == version and same_bits(value, copy):
                continue
            largest = float((value.double() - copy.double()).abs().max()) if value.numel() else 0.0
            raise CheckError(f"{name} must not be written into, but {step} did; largest difference {largest:.3g}")
