"""Requirements checked from metadata."""

from typing import Any

import pytest

from mytorch.plugins import ArgumentError, MissingRequirementError, require


def test_what_is_installed_passes(install: Any) -> None:
    install("acme-here", version="1.5rc1")
    require([])
    require(["mytorch-core", "mytorch-core>=0.1,<0.2", "acme-here>=1.4"])


def test_all_that_is_missing_comes_in_one_error_with_the_command(install: Any) -> None:
    install("acme-old", version="1.0")
    with pytest.raises(MissingRequirementError) as caught:
        require(["mytorch-core", "mytorch-absent>=0.1", "acme-absent>=2", "acme-old>=3"])
    assert str(caught.value) == (
        "requires: mytorch-absent>=0.1 is not installed; acme-absent>=2 is not installed; "
        "acme-old>=3 is required, 1.0 is installed. "
        "Install: python -m pip install mytorch-absent 'acme-absent>=2' 'acme-old>=3'"
    )


def test_the_projects_own_are_installed_by_path() -> None:
    with pytest.raises(MissingRequirementError, match=r"mytorch-core>=99 is required.*pip install \./mytorch-core$"):
        require(["mytorch-core>=99"])


def test_an_entry_must_be_a_requirement() -> None:
    with pytest.raises(ArgumentError, match=r"requires: every entry must be a requirement .*, got 'two words'"):
        require(["two words"])


def test_an_address_is_refused() -> None:
    with pytest.raises(
        ArgumentError, match=r"requires: every entry must be a name with versions, got an address in 'a"
    ):
        require(["acme @ https://example.org/acme-1.0-py3-none-any.whl"])


def test_what_is_meant_for_another_system_is_not_asked_for() -> None:
    require(['acme-absent; python_version < "3"', 'mytorch-core; python_version > "3"'])
