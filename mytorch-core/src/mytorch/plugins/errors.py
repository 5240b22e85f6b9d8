"""The errors that need no torch; mytorch.core.errors adds those of tensors."""

import difflib
from collections.abc import Iterable

from mytorch.plugins.shown import listed


class MytorchError(Exception):
    """Base of every error that mytorch raises on purpose: its text is meant for the user."""


class ArgumentError(MytorchError, ValueError):
    """An argument of a constructor, a function or a command is outside its range."""


class FileError(MytorchError, OSError):
    """A file cannot be written or read; the text names it, says why and what helps."""


class SettingsError(MytorchError, ValueError):
    """What a user set cannot be read; the text names the file or option and what was expected."""


class PluginError(MytorchError, RuntimeError):
    """A plugin cannot be used; the text names it, its distribution if it has one, and the remedy."""


class DuplicateError(PluginError):
    """Two distributions offer the same name; the text names both and the ways out."""


class MytorchWarning(UserWarning):
    """Base of the warnings that mytorch gives: a line that is meant for the user."""


class PluginWarning(MytorchWarning):
    """A plugin was left out or failed; the text names it, the reason and the remedy."""


class DuplicateWarning(PluginWarning):
    """Several distributions offer a name; the text says which was taken, why, and who else offers it."""


class UnknownNameError(MytorchError, LookupError):
    """Nothing has this name; the text lists the nearest ones."""


class MissingRequirementError(MytorchError, ImportError):
    """A distribution that is needed is absent or too old; the text has the command that installs it."""


def closest(name: str, known: Iterable[str], likeness: float = 0.6) -> list[str]:
    """The known names, three at most, that a mistyped one may mean; likeness: 1 takes the same letters only, 0 all."""
    names = sorted(set(known))
    if close := difflib.get_close_matches(name, names, n=3, cutoff=likeness):
        return close
    lowered = {n.lower(): n for n in names}
    return [lowered[n] for n in difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=likeness)]


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that points from a mistyped name to the known ones: "Nearest: a, b.", or what there is."""
    names = sorted(set(known))
    if close := closest(name, names):
        return f"Nearest: {listed(close)}."
    return f"Known: {listed(names)}." if names else "There are none."
