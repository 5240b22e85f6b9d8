"""Why there is no compiled step, in one line that a user can act on."""

from __future__ import annotations

import os

from mytorch.plugins import MytorchError

NO_COMPILER, BY_VALUES = "InvalidCxxCompiler", ("GuardOnDataDependent", "DataDependentOutput")
"""torch's names of two failures that have a way out."""


def lacks_compiler(error: Exception) -> bool:
    """Whether there is no compiler, so that nothing else can be compiled either."""
    return NO_COMPILER in _said(error) or os.environ.get("CXX") == ""


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def reason_of(error: Exception, what: str = "training step") -> str:
    """What stood in the way of a compiled step, or of something else."""
    said = _said(error)
    if lacks_compiler(error):
        return "a C++ compiler is needed and none was found; install g++ or clang, or name one in CXX"
    place = "".join(f", {note}" for note in getattr(error, "__notes__", ())[:1] if "\n" not in note)
    if said.startswith(BY_VALUES):
        return f"the {what} cannot be traced: Python decides by the value of a tensor{place}"
    return f"the {what} cannot be compiled ({first_line(error)}{place})"


def first_line(error: BaseException) -> str:
    """What an error says, short enough for a line."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    text = first if isinstance(error, MytorchError) else f"{type(error).__name__}: {first}"
    return text if len(text) <= 250 else f"{text[:250]}..."
