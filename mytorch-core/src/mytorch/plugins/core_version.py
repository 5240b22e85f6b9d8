"""Which versions of mytorch-core a plugin asks for. packaging is imported only where a range is compared."""

import functools
import re
from collections.abc import Iterable
from importlib.metadata import version

_CORE = re.compile(r"mytorch[-_.]+core\s*(?:\[[^]]*\])?\s*\(?([^;)]*)", re.IGNORECASE)


def canonicalize_name(name: str) -> str:
    """The one spelling of a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def core_requirement(requirements: Iterable[str]) -> str | None:
    """The range, such as "<0.2,>=0.1", that a distribution's requirements ask of mytorch-core."""
    for line in requirements:
        if found := _CORE.match(line):
            return found[1].strip()
    return None


@functools.cache
def core_misfit(requirement: str | None) -> str | None:
    """Why the installed mytorch-core is outside of a range; None if it is inside or the range says nothing."""
    if not requirement:
        return None
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    installed = version("mytorch-core")
    try:
        fits = SpecifierSet(requirement).contains(installed, prereleases=True)
    except InvalidSpecifier:  # a path or an address: whoever installed it knows
        return None
    return None if fits else f"needs mytorch-core {requirement}, {installed} is installed"
