"""What is installed, found by kind and name."""

import re
import sys
from importlib.metadata import PackageNotFoundError
from typing import Any

import pytest

from mytorch.plugins import (
    KINDS,
    Catalogue,
    DuplicateError,
    Part,
    PluginError,
    PluginWarning,
    UnknownNameError,
    catalogue,
    install_command,
    nearest,
)

LAYER = "class Gate:\n    forward = backward = param = None"


def part(name: str, distribution: str = "mytorch-nn", kind: str = "layer", target: str = "a.b:C") -> Part:
    return Part(kind, name, distribution, "1.0", target, None)


def test_lists_what_metadata_says_and_imports_nothing(install: Any) -> None:
    install(
        "Acme_Layers",
        {"mytorch.layers": {"Gate": "acme_listed:Gate"}, "mytorch.hooks": {"log": "acme_listed"}, "other": {"a": "b"}},
        {"acme_listed": "raise RuntimeError('imported')"},
        version="2.1",
        requires=["torch>=2", "mytorch-core<0.2,>=0.1"],
    )
    found = [one for one in catalogue() if one.distribution == "acme-layers"]
    assert [(one.kind, one.name, one.version, one.target) for one in found] == [
        ("hook", "log", "2.1", "acme_listed"),
        ("layer", "Gate", "2.1", "acme_listed:Gate"),
    ]
    assert found[1].reference == "acme-layers:Gate"
    assert found[1].core_requirement == "<0.2,>=0.1"
    assert "acme_listed" not in sys.modules


def test_the_catalogue_is_read_once() -> None:
    assert catalogue() is catalogue()


def test_a_distribution_found_twice_counts_once(install: Any) -> None:
    install("acme-twice", {"mytorch.layers": {"Gate": "one:Gate"}}, version="1.0")
    install("acme-twice", {"mytorch.layers": {"Gate": "two:Gate"}}, version="2.0")
    assert len([one for one in catalogue() if one.distribution == "acme-twice"]) == 1


def test_loads_by_name_and_by_distribution(install: Any) -> None:
    install("acme-load", {"mytorch.layers": {"Gate": "acme_load:Gate"}}, {"acme_load": LAYER})
    gate = catalogue().load("layer", "Gate")
    assert gate.__module__ == "acme_load"
    for distribution in ("acme-load", "Acme_Load", "acme.load"):
        assert catalogue().load("layer", f"{distribution}:Gate") is gate
    assert catalogue().reference_of("layer", gate) == "acme-load:Gate"
    assert catalogue().reference_of("layer", dict) is None


def test_reference_of_imports_nothing_foreign(install: Any) -> None:
    install(
        "acme-bad", {"mytorch.layers": {"Other": "acme_bad:Other", "Gate": "acme_bad:Gate"}}, {"acme_bad": "1 / 0"}
    )

    class Other:
        pass

    assert catalogue().reference_of("layer", type("Third", (), {})) is None
    assert "acme_bad" not in sys.modules
    Other.__qualname__ = "Other"
    assert catalogue().reference_of("layer", Other) is None
    assert "acme_bad" not in sys.modules, "another package's namesake"
    Other.__module__ = "acme_bad.inner"
    assert catalogue().reference_of("layer", Other) is None  # cannot be imported, which harms nobody


def test_an_unknown_name_gets_the_nearest() -> None:
    known = Catalogue([part("Linear"), part("ReLU"), part("Dropout"), part("MSELoss", kind="loss")])
    with pytest.raises(UnknownNameError, match=r"layer: 'Liner' is not installed\. Nearest: Linear\."):
        known.find("layer", "Liner")
    with pytest.raises(UnknownNameError, match=r"layer: 'relu' is not installed\. Nearest: ReLU\."):
        known.find("layer", "relu")
    with pytest.raises(UnknownNameError, match=r"Nearest: mytorch-nn:Linear"):
        known.find("layer", "mytorch-nn:Liner")
    with pytest.raises(UnknownNameError, match=r"plugins: unknown kind 'layers'\. Nearest: layer"):
        known.find("layers", "Linear")


def test_what_an_absent_distribution_of_the_project_offers_is_told_with_its_installation() -> None:
    known = Catalogue([part("Gate", "acme"), part("SGD", "mytorch-optim", kind="optimizer")])
    for name in ("Linear", "mytorch-nn:Linear"):
        message = (
            rf"layer: '{name}' is not installed\. Known: (acme:)?Gate\. Layers of this project come with mytorch-nn: "
            r"python -m pip install \./mytorch-nn$"
        )
        with pytest.raises(UnknownNameError, match=message):
            known.find("layer", name)
    with pytest.raises(UnknownNameError, match=r"layer: 'Gata' is not installed\. Nearest: Gate\. Layers of this"):
        known.find("layer", "Gata")
    with pytest.raises(UnknownNameError, match=r"layer: 'acme:Gata' is not installed\. Nearest: acme:Gate\.$"):
        known.find("layer", "acme:Gata")
    with pytest.raises(
        UnknownNameError, match=r"loss: 'MSE' is not installed\. Losses of this project come with mytorch-nn: .*nn$"
    ):
        known.find("loss", "MSE")
    several = "mytorch-experiments, mytorch-data, mytorch-testing, mytorch-playground"
    with pytest.raises(UnknownNameError, match=f"Commands of this project come with {several}: .*-playground$"):
        known.find("command", "train")
    with pytest.raises(UnknownNameError, match=r"hook: 'log' is not installed\. There are none\.$"):
        known.find("hook", "log")
    with pytest.raises(UnknownNameError, match=r"optimizer: 'SDG' is not installed\. Nearest: SGD\.$"):
        known.find("optimizer", "SDG")


def test_a_bare_name_is_the_projects_own_first() -> None:
    known = Catalogue([part("Linear"), part("Linear", "acme"), part("Linear", "zeta")])
    assert known.find("layer", "Linear").distribution == "mytorch-nn"
    assert known.find("layer", "acme:Linear").distribution == "acme"


def test_a_name_offered_by_several_strangers_needs_its_distribution() -> None:
    known = Catalogue([part("Gate", "acme"), part("Gate", "zeta")])
    with pytest.raises(DuplicateError, match="'Gate' is offered by several distributions; write 'acme:Gate' or 'zeta"):
        known.find("layer", "Gate")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise ValueError('no')", "ValueError: no"),
        (r"raise ValueError('no\nluck')", "ValueError: no luck"),
        ("class Mute(Exception):\n    __str__ = None\nraise Mute", "Mute: Mute"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("class Odd(BaseException): ...\nraise Odd('thing')", "Odd: thing"),
        ("", "AttributeError"),
    ],
    ids=["error", "lines", "mute", "exit", "odd", "absent"],
)
def test_a_part_that_cannot_be_imported_names_itself_and_the_remedy(install: Any, source: str, reason: str) -> None:
    module = f"acme_broken_{len(source)}"
    install("acme-broken", {"mytorch.layers": {"Gate": f"{module}:Gate"}}, {module: source}, version="3.2")
    message = (
        rf"layer 'Gate' of acme-broken 3\.2 cannot be imported from {module}:Gate \({reason}.*"
        r"Fix or remove it: python -m pip uninstall acme-broken"
    )
    with pytest.raises(PluginError, match=message):
        catalogue().load("layer", "Gate")


def test_a_part_made_for_another_core_is_refused_before_import(install: Any) -> None:
    install(
        "acme-new", {"mytorch.layers": {"Gate": "acme_new:Gate"}}, {"acme_new": "1 / 0"}, requires=["mytorch-core>=9"]
    )
    with pytest.raises(PluginError, match=r"layer 'Gate' of acme-new 1\.0 needs mytorch-core >=9, .* is installed\."):
        catalogue().load("layer", "Gate")
    assert "acme_new" not in sys.modules


@pytest.mark.parametrize(
    ("requires", "fits"),
    [
        ((), True),
        (("torch",), True),
        (("mytorch-core",), True),
        (("mytorch_core >=0.1,<0.2",), True),
        (("mytorch-core[x] (>=0.1) ; python_version > '3'",), True),
        (("mytorch-core @ file:///somewhere",), True),
        (("mytorch-core-extra>=9",), True),
        (("mytorch-core<0.1",), False),
        (("numpy", "MyTorch.Core==0.0.1"), False),
        (("mytorch-core>=0.1", "mytorch-core<0.1"), False),
        (("mytorch-core>=9; python_version < '3'", "mytorch-core>=0.1"), True),
        (("mytorch-core>=0.1", "mytorch-core>=9; extra == 'next'"), True),
        (("mytorch-core>=9; python_version > '3'",), False),
        (("mytorch-core>=banana",), False),
    ],
)
def test_which_requirements_fit(install: Any, requires: tuple[str, ...], fits: bool) -> None:
    install("acme-range", {"mytorch.layers": {"Gate": "acme_range:Gate"}}, requires=requires)
    assert (catalogue().find("layer", "Gate").incompatibility() is None) is fits


def test_groups_are_those_of_the_design() -> None:
    groups = {"layers", "losses", "optimizers", "schedules", "datasets", "metrics", "experiments", "commands", "hooks"}
    assert {f"mytorch.{group}" for group in groups} <= set(KINDS.values())


def test_install_command_uses_paths_for_the_projects_own() -> None:
    assert install_command("mytorch-nn", "acme") == "python -m pip install ./mytorch-nn acme"


@pytest.mark.parametrize(
    ("absent", "names", "where"),
    [
        ({"mytorch-train", "mytorch-data"}, ("mytorch-experiments",), "data train experiments"),
        ({"mytorch-train"}, ("mytorch-train", "mytorch-experiments"), "train experiments"),
        ({"mytorch-nn", "mytorch-train"}, ("mytorch-experiments", "mytorch-nn"), "nn train experiments"),
        (set(), ("mytorch-experiments",), "experiments"),
        ({"mytorch-nn", "mytorch-train"}, ("mytorch-cli",), "cli"),
    ],
)
def test_install_command_names_what_pip_would_not_find(
    monkeypatch: pytest.MonkeyPatch, absent: set[str], names: tuple[str, ...], where: str
) -> None:
    def version(name: str) -> str:
        if name in absent:
            raise PackageNotFoundError(name)
        return "0.1.0"

    monkeypatch.setattr(sys.modules[Catalogue.__module__], "version", version)
    paths = " ".join(f"./mytorch-{part}" for part in where.split())
    assert install_command(*names) == f"python -m pip install {paths}"


def test_nearest() -> None:
    assert nearest("adm", ["Adam", "SGD"]) == "Nearest: Adam."
    assert nearest("zzz", ["b", "a"]) == "Known: a, b."
    assert nearest("zzz", []) == "There are none."
    assert nearest("zzz", [f"n{i}" for i in range(99)]).endswith(", n35 and 69 more.")
    assert not re.search("SGD", nearest("Adam", ["Adam2", "SGD"]))


@pytest.mark.parametrize(
    ("metadata", "entry_points"),
    [
        ("Metadata-Version: 2.1\nVersion: 1.0\n", "[mytorch.layers]\nGate = odd:Gate\n"),
        ("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n", "[mytorch.layers]\nGate\n"),
        (None, "[mytorch.layers]\nGate = odd:Gate\n"),
    ],
    ids=["no name", "no target", "no metadata"],
)
def test_damaged_metadata_hides_its_distribution_only(
    install: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, metadata: str | None, entry_points: str
) -> None:
    install("acme-fine", {"mytorch.layers": {"Fine": "acme_fine:Gate"}})
    info = tmp_path / "odd-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text(entry_points)
    if metadata is not None:
        (info / "METADATA").write_text(metadata)
    catalogue.cache_clear()
    with pytest.warns(PluginWarning, match=r"odd-1\.0\.dist-info is left out: its metadata must have a Name"):
        names = {part.name for part in catalogue().of_kind("layer")}
    assert "Fine" in names
    assert "Gate" not in names
    catalogue.cache_clear()
    monkeypatch.setenv("MYTORCH_STRICT_PLUGINS", "1")
    with pytest.raises(PluginError, match="left out"):
        catalogue()
