import importlib.util
import sys
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("playing", Path(__file__).with_name("playing.py"))
playing = importlib.util.module_from_spec(_SPEC)
sys.modules.setdefault("playing", playing)
_SPEC.loader.exec_module(playing)


@pytest.fixture
def page():
    """A session without an experiment."""
    steered = playing.Page()
    yield steered
    steered.close()
