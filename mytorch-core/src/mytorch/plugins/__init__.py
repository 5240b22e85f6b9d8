"""Finding the installed parts and telling plugins what happens. Never imports torch."""

from mytorch.plugins.callback import HOOKS, Callback, hookimpl
from mytorch.plugins.catalogue import OWN, Catalogue, Part, catalogue, install_command, ways_out
from mytorch.plugins.errors import (
    ArgumentError,
    DuplicateError,
    DuplicateWarning,
    FileError,
    MissingRequirementError,
    MytorchError,
    MytorchWarning,
    PluginError,
    PluginWarning,
    SettingsError,
    UnknownNameError,
    nearest,
)
from mytorch.plugins.files import make_folder, refuse_overwrite, whole_file, write_file
from mytorch.plugins.hooks import Hooks, StopTraining
from mytorch.plugins.kinds import KINDS
from mytorch.plugins.requirements import require
from mytorch.plugins.rules import Rule, Rules, read_settings, rules, settings_file
from mytorch.plugins.setting import parse_setting
from mytorch.plugins.source import find_source, first_docstring_line
from mytorch.plugins.strict import strict

__all__ = [
    "HOOKS",
    "KINDS",
    "OWN",
    "ArgumentError",
    "Callback",
    "Catalogue",
    "DuplicateError",
    "DuplicateWarning",
    "FileError",
    "Hooks",
    "MissingRequirementError",
    "MytorchError",
    "MytorchWarning",
    "Part",
    "PluginError",
    "PluginWarning",
    "Rule",
    "Rules",
    "SettingsError",
    "StopTraining",
    "UnknownNameError",
    "catalogue",
    "find_source",
    "first_docstring_line",
    "hookimpl",
    "install_command",
    "make_folder",
    "nearest",
    "parse_setting",
    "read_settings",
    "refuse_overwrite",
    "require",
    "rules",
    "settings_file",
    "strict",
    "ways_out",
    "whole_file",
    "write_file",
]
