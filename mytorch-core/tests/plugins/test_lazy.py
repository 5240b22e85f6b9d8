"""Names of a package that are imported when they are first asked for."""

import sys
import types

import pytest

from mytorch.plugins.lazy import lazy


@pytest.fixture
def package(monkeypatch):
    made = types.ModuleType("acme_package")
    monkeypatch.setitem(sys.modules, "acme_package", made)
    made.__getattr__, made.__dir__ = lazy("acme_package", {"colorsys": ("rgb_to_hsv", "ONE_THIRD")})
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    return made


def test_nothing_is_imported_before_a_name_is_asked_for(package):
    assert "rgb_to_hsv" in dir(package)
    assert "colorsys" not in sys.modules
    assert package.rgb_to_hsv is sys.modules["colorsys"].rgb_to_hsv


def test_the_second_time_the_name_is_simply_there(package):
    found = package.ONE_THIRD
    assert vars(package)["ONE_THIRD"] is found


def test_another_name_is_an_error_as_of_any_module(package):
    with pytest.raises(AttributeError, match=r"^module 'acme_package' has no attribute 'rgb'$"):
        _ = package.rgb
