"""The versions of the distributions whose code a training runs."""

import platform
import sys
from importlib.metadata import version
from types import ModuleType

import pytest
import torch
from toy_parts import SGD, Dense, Points, SquaredError

from mytorch.core import View
from mytorch.plugins import Part
from mytorch.train import MeanAbsoluteError, versions
from mytorch.train.versions import versions_of

OFFERED = [
    Part("layer", "Given", "acme-layers", "1.2", "acme.parts:Given", None),
    Part("layer", "More", "acme-more", "3.4", "acme.more:More", None),
    Part("layer", "Other", "other-layers", "5.6", "other_parts:Other", None),
    Part("layer", "Beside", "mytorch-beside", "7.8", "mytorch.beside:Beside", None),
]


@pytest.fixture(autouse=True)
def offered(monkeypatch):
    monkeypatch.setattr(versions, "catalogue", lambda: OFFERED)


def of(module, kind=object):
    """A class that comes from a module of this name."""
    return type("Given", (kind,), {"__module__": module})


def found(*parts):
    """The versions of other people's distributions."""
    return {name: text for name, text in versions_of(parts).items() if name in {p.distribution for p in OFFERED}}


def test_python_without_its_last_number_and_torch(monkeypatch):
    monkeypatch.setattr(platform, "python_version", lambda: "3.12.7")
    assert versions_of([])["python"] == "3.12"
    assert versions_of([])["torch"] == torch.__version__


def test_distributions_of_mytorch_that_are_imported(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("mytorch.sklearn")]:
        monkeypatch.delitem(sys.modules, name)
    own = {name: text for name, text in versions_of([]).items() if name.startswith("mytorch-")}
    assert own.items() >= {name: version(name) for name in ("mytorch-core", "mytorch-train")}.items()
    assert "mytorch-sklearn" not in own
    monkeypatch.setitem(sys.modules, "mytorch.sklearn", ModuleType("mytorch.sklearn"))
    monkeypatch.setattr(versions, "version", lambda name: f"that of {name}")
    assert versions_of([])["mytorch-sklearn"] == "that of mytorch-sklearn"


@pytest.mark.parametrize(
    "part",
    [
        of("acme.parts", Dense)(2, 2),
        type("Mine", (of("acme.parts", Dense),), {})(2, 2),
        of("acme.deep.inside", SquaredError)(),
        of("acme.parts", MeanAbsoluteError)(),
        of("acme.parts", SGD)(Dense(2, 2).param(), lr=0.1),
        View(of("acme.parts", Points)(5), [1, 2]),
        View(View(of("acme.parts", Points)(5), [1, 2]), [0]),
        of("acme.parts")(),
    ],
    ids=lambda part: type(part).__mro__[1].__name__,
)
def test_distributions_whose_package_has_the_class_of_a_part(part):
    assert found(Dense(2, 2), part) == {"acme-layers": "1.2", "acme-more": "3.4"}


def test_a_distribution_of_which_no_part_is_used_is_left_out():
    assert found(Dense(2, 2), None, Points(3)) == {}
    assert found(of("other_parts")()) == {"other-layers": "5.6"}
    assert found(of("mytorch.beside.inside")()) == {"mytorch-beside": "7.8"}
