"""Whether a bad plugin is a report or a failure."""

import os


def strict() -> bool:
    """True if MYTORCH_STRICT_PLUGINS asks for failures instead of reports."""
    return os.environ.get("MYTORCH_STRICT_PLUGINS", "") not in ("", "0")
