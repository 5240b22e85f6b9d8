import pytest


@pytest.fixture
def blank_figures():
    """Figures are drawn: these tests are about them."""
