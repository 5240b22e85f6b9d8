"""torch.compile takes forward and backward of every layer and loss as one graph, or there is a reason why not."""

import pytest

from mytorch.plugins import catalogue
from mytorch.testing import CheckError
from mytorch.testing.installed import Told
from mytorch.testing.installed.declarations import declarations

NOT_AS_ONE_GRAPH = {
    "AdaptiveLogSoftmaxWithLoss": "how many rows go to which cluster is data",
    "CTCLoss": "lengths are data, and its kernel wants them as numbers",
}
PARTS = [part for kind in ("layer", "loss") for part in catalogue().of_kind(kind) if part.distribution == "mytorch-nn"]


def tags(part):
    return getattr(part.load(), "conformance", {}).get("tags", ())


def traced(part):
    """Run the check of the kit that traces a step, in training mode, for each way in which the part is fed."""
    for _, declaration in declarations(part, Told()):
        declaration.run("train/traceable")


def test_who_is_left_out():
    assert {part.name for part in PARTS if "not_traceable" in tags(part)} == NOT_AS_ONE_GRAPH.keys()


@pytest.mark.parametrize(
    "part", [part for part in PARTS if part.name not in NOT_AS_ONE_GRAPH], ids=lambda part: part.name
)
def test_every_other_is_traced_where_all_checks_are_run(part):
    """Which test_conformance.py does, for each way in which the part is fed."""
    for _, declaration in declarations(part, Told()):
        assert "train/traceable" in declaration.ids


@pytest.mark.parametrize("part", [part for part in PARTS if part.name in NOT_AS_ONE_GRAPH], ids=lambda part: part.name)
def test_those_left_out_cannot_be_traced(part, monkeypatch):
    cls = part.load()
    others = [tag for tag in tags(part) if tag != "not_traceable"]
    monkeypatch.setattr(cls, "conformance", {**cls.conformance, "tags": others})
    with pytest.raises(CheckError, match="traceable"):
        traced(part)
