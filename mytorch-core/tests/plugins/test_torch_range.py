"""Which torch is one that mytorch is tested with, and who says so."""

import subprocess
import sys

import pytest
import torch

from mytorch.plugins import is_older, outside_of_range
from mytorch.plugins.torch_range import NEWEST, OLDEST, installed_torch


@pytest.mark.parametrize("inside", [OLDEST, f"{OLDEST}.0", "2.9.1", "2.13.0+cpu", NEWEST, f"{NEWEST}.7+cu130"])
def test_inside(inside):
    assert outside_of_range(inside) is None


@pytest.mark.parametrize("outside", ["1.13.1", "2.5.1", "2.15.0", "2.15.0a0+git5f3b", "2.100.0", "3.0"])
def test_outside(outside):
    assert outside_of_range(outside).startswith(
        f"torch: version must be one that mytorch is tested with, {OLDEST} to {NEWEST}, got {outside}; "
    )


def test_a_version_that_is_none_says_nothing():
    assert outside_of_range("unknown") is None
    assert not is_older("unknown", "2.13")


def test_the_order_of_versions_is_that_of_numbers():
    assert is_older("2.6.0", "2.13")
    assert is_older("1.99", "2.13")
    assert not is_older("2.13.0", "2.13")
    assert not is_older("2.100.0+cpu", "2.13")


def test_what_is_installed_is_what_is_imported():
    assert torch.__version__.partition("+")[0] == installed_torch().partition("+")[0]
    assert outside_of_range(torch.__version__) is None


@pytest.mark.parametrize("number", ["2.5.1", "9.0.0+cpu"])
def test_the_first_import_warns_once(number):
    program = f"import torch; torch.__version__ = {number!r}; import mytorch.core; import mytorch.core.torch_version"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.count("TorchVersionWarning: torch: version must be one that mytorch is tested with") == 1
    assert done.stderr.count(f"got {number}; its kernels") == 1
    silent = subprocess.run(
        [sys.executable, "-W", "ignore::UserWarning", "-c", program], capture_output=True, text=True, check=True
    )
    assert not silent.stderr
