"""The errors of tensors and modules. Each also derives from the builtin that fits."""

from mytorch.plugins.errors import ArgumentError, MytorchError


class ShapeError(MytorchError, ValueError):
    """A tensor's shape does not fit; the text names the layer, the rule and both sizes."""


class DtypeError(MytorchError, TypeError):
    """A tensor's dtype does not fit."""


class AutogradError(MytorchError, RuntimeError):
    """A tensor that requires grad came in grad mode, or a gradient left the inference mode it was made in."""


class ModuleTreeError(MytorchError, TypeError):
    """A module holds a Module or Parameter where it would not be found."""


class ContractError(MytorchError, TypeError):
    """A module's method returned what the contract does not allow, such as a forward that returns no pair."""


class StateError(MytorchError, ValueError):
    """A state dict does not fit the module or optimizer; the text lists every difference."""


class UninitializedError(MytorchError, AttributeError):
    """A lazy parameter or buffer has no value yet: neither a batch nor a state dict has told its shape."""


class DescriptionError(MytorchError, ValueError):
    """A module cannot be described as JSON or rebuilt from a description."""


class RowIndexError(MytorchError, IndexError):
    """An index into a data set is none, or outside of its rows."""


__all__ = [
    "ArgumentError",
    "AutogradError",
    "ContractError",
    "DescriptionError",
    "DtypeError",
    "ModuleTreeError",
    "MytorchError",
    "RowIndexError",
    "ShapeError",
    "StateError",
    "UninitializedError",
]
