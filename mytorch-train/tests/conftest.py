"""What the tests share; mytorch-experiments has the same toys."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "toys"))

from fixtures import compiles, interpreted, no_autograd, packages, parts, seeded

__all__ = ["compiles", "interpreted", "no_autograd", "packages", "parts", "seeded"]
