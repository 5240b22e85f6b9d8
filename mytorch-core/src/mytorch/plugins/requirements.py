"""Requirements of an experiment, checked from metadata before anything is imported."""

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from mytorch.plugins.catalogue import install_command
from mytorch.plugins.errors import ArgumentError, MissingRequirementError
from mytorch.plugins.shown import one_line, shown

LONGEST = 200
"""Characters of a requirement."""


def require(requirements: Iterable[str]) -> None:
    """Check that distributions such as "mytorch-nn" or "mytorch-optim>=0.1" are installed.

    Raises MissingRequirementError with all that is missing and the command that installs it; ArgumentError for what is
    no requirement.
    """
    from packaging.requirements import InvalidRequirement, Requirement  # too slow for the start of a command

    missing, reasons = [], []
    for line in requirements:
        if len(line) > LONGEST:
            raise ArgumentError(f"requires: every entry must have at most {LONGEST} characters, got {shown(line)}")
        try:
            requirement = Requirement(line)
        except InvalidRequirement as error:
            raise ArgumentError(
                f"requires: every entry must be a requirement such as 'mytorch-nn>=0.1', got {shown(line)} "
                f"({one_line(error)})"
            ) from None
        if requirement.url:
            raise ArgumentError(
                f"requires: every entry must be a name with versions, got an address in {shown(line)}; "
                f"write {requirement.name!r}, and say elsewhere where it comes from"
            )
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            reasons.append(f"{line} is not installed")
        else:
            if requirement.specifier.contains(installed, prereleases=True):
                continue
            reasons.append(f"{line} is required, {installed} is installed")
        missing.append(requirement.name if requirement.name.startswith("mytorch-") else line)
    if missing:
        raise MissingRequirementError(f"requires: {'; '.join(reasons)}. Install: {install_command(*missing)}")
