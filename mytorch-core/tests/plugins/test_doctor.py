"""Verdicts on parts whose import is already known."""

import re
from collections.abc import Iterator

import pytest

from mytorch.plugins import Catalogue, Part
from mytorch.plugins.doctor import SEVERITY, Diagnosis, diagnose
from mytorch.plugins.probe import Finding
from mytorch.plugins.torch_state import torch_changes


def part(name: str, distribution: str, core: str | None = ">=0.1,<0.2") -> Part:
    return Part("layer", name, distribution, "1.0", f"{distribution}:{name}", core)


def verdicts(*parts: Part, finding: Finding | None = None) -> dict[str, Diagnosis]:
    def probing(probed: list[Part]) -> Iterator[Finding]:
        return iter([finding or Finding()] * len(probed))

    return {one.part.reference: one for one in diagnose(Catalogue(list(parts)), probing)}


@pytest.mark.parametrize(
    ("finding", "verdict"),
    [
        (Finding(), "ok"),
        (Finding(seconds=0.51), "slow"),
        (Finding(seconds=0.51, torch=1.2), "slow"),
        (Finding(seconds=0.51, torch=3.0), "ok"),
        (Finding(seconds=1.1, torch=3.0), "slow"),
        (Finding(output="hello"), "meddling"),
        (Finding(changed=("torch.relu",), seconds=9.0), "meddling"),
        (Finding(error="no", changed=("torch.relu",)), "broken"),
    ],
)
def test_the_worst_counts(finding: Finding, verdict: str) -> None:
    (diagnosis,) = verdicts(part("Gate", "acme"), finding=finding).values()
    assert diagnosis.verdict == verdict
    assert verdict in SEVERITY
    assert bool(diagnosis.reason) == bool(diagnosis.remedy) == (verdict != "ok")


def test_the_projects_own_part_keeps_its_name() -> None:
    found = verdicts(part("Linear", "acme"), part("Linear", "mytorch-nn"))
    assert found["mytorch-nn:Linear"].verdict == "ok"
    assert found["acme:Linear"].reason == "the name 'Linear' means mytorch-nn:Linear; this one is 'acme:Linear'"
    assert found["acme:Linear"].remedy == "mytorch plugins block acme:Linear"  # a preference would change nothing


def test_a_preference_settles_who_has_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = part("Gate", "acme-a"), part("Gate", "acme-b")
    assert {one.verdict for one in verdicts(*parts).values()} == {"duplicate"}
    monkeypatch.setenv("MYTORCH_PREFER_PLUGINS", "acme-b")
    found = verdicts(*parts)
    assert found["acme-b:Gate"].verdict == "ok"
    assert found["acme-a:Gate"].verdict == "duplicate"


def test_the_version_that_is_asked_for_and_the_one_that_is_there_are_told() -> None:
    (diagnosis,) = verdicts(part("Gate", "acme", ">=9")).values()
    assert diagnosis.verdict == "incompatible"
    assert re.fullmatch(r"needs mytorch-core >=9, \d\S* is installed", diagnosis.reason)


@pytest.mark.parametrize(
    ("core", "advice"),
    [(None, "no version"), ("", "of any version"), (">=0.1", "upper bound"), ("~=0.1", ""), ("==0.1.*", "")],
)
def test_advice_about_the_requirement(core: str | None, advice: str) -> None:
    (diagnosis,) = verdicts(part("Gate", "acme", core)).values()
    assert diagnosis.verdict == "ok"
    assert advice in diagnosis.advice
    assert bool(diagnosis.advice) == bool(advice)


def test_changes_are_named_but_not_new_submodules() -> None:
    before = {"torch.relu": len, "torch.get_num_threads()": 2, "torch.gone": 1}
    after = {"torch.relu": print, "torch.get_num_threads()": 2, "torch.new": 1, "torch.sub": pytest}
    assert torch_changes(before, after) == ["torch.gone", "torch.new", "torch.relu"]


def test_hooks_of_one_name_are_no_duplicates() -> None:
    found = verdicts(*(Part("hook", "log", name, "1.0", f"{name}:log", ">=0.1,<0.2") for name in ("a", "b")))
    assert {one.verdict for one in found.values()} == {"ok"}
