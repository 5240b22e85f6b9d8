"""Tests of the documentation site import the scripts that write it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "website"))
