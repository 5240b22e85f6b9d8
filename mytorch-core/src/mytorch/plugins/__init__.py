"""Finding the installed parts and telling plugins what happens. Never imports torch."""

from mytorch.plugins.catalogue import KINDS, OWN, Catalogue, Part, catalogue, install_command
from mytorch.plugins.errors import (
    DuplicateError,
    MissingRequirementError,
    MytorchError,
    PluginError,
    UnknownNameError,
    nearest,
)
from mytorch.plugins.hooks import Hooks, PluginWarning, StopTraining
from mytorch.plugins.hookspecs import hookimpl
from mytorch.plugins.requirements import require
from mytorch.plugins.source import find_source, first_docstring_line
from mytorch.plugins.strict import strict

__all__ = [
    "KINDS",
    "OWN",
    "Catalogue",
    "DuplicateError",
    "Hooks",
    "MissingRequirementError",
    "MytorchError",
    "Part",
    "PluginError",
    "PluginWarning",
    "StopTraining",
    "UnknownNameError",
    "catalogue",
    "find_source",
    "first_docstring_line",
    "hookimpl",
    "install_command",
    "nearest",
    "require",
    "strict",
]
