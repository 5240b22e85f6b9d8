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
from mytorch.plugins.memory import lack_of_memory, memory, require_memory
from mytorch.plugins.requirements import require
from mytorch.plugins.rules import Rule, Rules, read_settings, rules, settings_file
from mytorch.plugins.setting import parse_setting
from mytorch.plugins.shown import counted, cut, listed, one_line, printable, shown
from mytorch.plugins.source import find_source, first_docstring_line
from mytorch.plugins.strict import strict
from mytorch.plugins.toml import parse_toml
from mytorch.plugins.torch_range import COMPILING, is_older, outside_of_range

__all__ = [
    "COMPILING",
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
    "counted",
    "cut",
    "find_source",
    "first_docstring_line",
    "hookimpl",
    "install_command",
    "is_older",
    "lack_of_memory",
    "listed",
    "make_folder",
    "memory",
    "nearest",
    "one_line",
    "outside_of_range",
    "parse_setting",
    "parse_toml",
    "printable",
    "read_settings",
    "refuse_overwrite",
    "require",
    "require_memory",
    "rules",
    "settings_file",
    "shown",
    "strict",
    "ways_out",
    "whole_file",
    "write_file",
]
