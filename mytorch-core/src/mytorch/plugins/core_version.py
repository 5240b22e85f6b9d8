"""Which versions of mytorch-core a plugin asks for. packaging is imported only where a range is compared."""

import functools
import re
from collections.abc import Iterable
from importlib.metadata import version

from mytorch.plugins.shown import shown

_CORE = re.compile(r"mytorch[-_.]+core(?![-_.\w])\s*(?:\[[^]]*\])?\s*\(?([^;)]*)", re.IGNORECASE)


def canonicalize_name(name: str) -> str:
    """The one spelling of a distribution's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def core_requirement(requirements: Iterable[str]) -> str | None:
    """The range, such as "<0.2,>=0.1", that a distribution asks of mytorch-core here; None if it asks nothing."""
    found = [_CORE.match(line) for line in requirements]
    ranges = [match[1].strip() for match in found if match and _applies(match.string)]
    return ",".join(filter(None, ranges)) if ranges else None


def _applies(requirement: str) -> bool:
    """Whether what stands behind a semicolon, such as python_version < "3.12", is so: no extra was asked for."""
    _, condition, marker = requirement.partition(";")
    if not condition:
        return True
    from packaging.markers import InvalidMarker, Marker

    try:
        return Marker(marker).evaluate({"extra": ""})
    except InvalidMarker:
        return True


@functools.cache
def core_mismatch(requirement: str | None) -> str | None:
    """Why the installed mytorch-core is outside of a range; None if it is inside or the range says nothing."""
    if not requirement:
        return None
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    installed = version("mytorch-core")
    try:
        fits = SpecifierSet(requirement).contains(installed, prereleases=True)
    except InvalidSpecifier:
        if requirement.startswith("@"):  # a path or an address: whoever installed it knows
            return None
        return f"asks for mytorch-core {shown(requirement)}, which is no range of versions; {installed} is installed"
    return None if fits else f"needs mytorch-core {requirement}, {installed} is installed"
