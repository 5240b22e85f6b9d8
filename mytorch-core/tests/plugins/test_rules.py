"""What the user's settings do to parts."""

import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from mytorch.plugins import (
    Catalogue,
    DuplicateError,
    DuplicateWarning,
    Hooks,
    Part,
    PluginError,
    SettingsError,
    catalogue,
    rules,
    settings_file,
)

LAYER = "class Gate:\n    forward = backward = param = None"


def part(name: str, distribution: str, kind: str = "layer") -> Part:
    return Part(kind, name, distribution, "1.0", f"{distribution.replace('-', '_')}:{name}", None)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's file, which is not there yet."""
    path = tmp_path / "plugins.toml"
    monkeypatch.setenv("MYTORCH_CONFIG", str(path))
    return path


def test_without_a_setting_the_file_is_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MYTORCH_CONFIG", raising=False)
    assert settings_file().parts[-2:] == ("mytorch", "plugins.toml")


@pytest.mark.parametrize(
    ("entry", "names"),
    [("acme-a", {"Gate", "Other"}), ("Acme_A", {"Gate", "Other"}), ("acme-a:Gate", {"Gate"}), ("Gate", set())],
)
def test_a_block_means_a_distribution_or_a_part(
    settings: Path, monkeypatch: pytest.MonkeyPatch, entry: str, names: set[str]
) -> None:
    monkeypatch.setenv("MYTORCH_BLOCK_PLUGINS", f" {entry} , unknown")
    parts = [part("Gate", "acme-a"), part("Other", "acme-a"), part("Gate", "acme-b")]
    assert {one.name for one in parts if one.blocked()} == names
    for one in parts:
        assert one.blocked() in (None, f"blocked by {entry!r} in MYTORCH_BLOCK_PLUGINS")


def test_only_spares_the_projects_own_parts(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.write_text('only = ["acme-b"]')
    monkeypatch.setenv("MYTORCH_ONLY_PLUGINS", "acme-a")
    assert part("Gate", "acme-a").blocked() is None
    assert part("Gate", "acme-b").blocked() == "not among those allowed in MYTORCH_ONLY_PLUGINS"
    assert part("Linear", "mytorch-nn").blocked() is None


def test_blocks_of_file_and_environment_add_up(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.write_text('block = ["acme-a"]  # slow')
    monkeypatch.setenv("MYTORCH_BLOCK_PLUGINS", "mytorch-nn:Linear")
    assert part("Gate", "acme-a").blocked() == f"blocked by 'acme-a' in {settings}"
    assert part("Linear", "mytorch-nn").blocked() is not None
    assert part("ReLU", "mytorch-nn").blocked() is None


def test_a_blocked_part_is_not_imported_and_says_what_to_do(
    settings: Path, monkeypatch: pytest.MonkeyPatch, install: Any
) -> None:
    install("acme-bad", {"mytorch.layers": {"BadGate": "acme_blocked:Gate"}}, {"acme_blocked": "raise SystemError"})
    monkeypatch.setenv("MYTORCH_BLOCK_PLUGINS", "acme-bad")
    with pytest.raises(PluginError, match=r"is blocked by 'acme-bad' in MYTORCH_BLOCK_PLUGINS.*unset MYTORCH_BLOCK"):
        catalogue().load("layer", "BadGate")
    monkeypatch.delenv("MYTORCH_BLOCK_PLUGINS")
    settings.write_text('block = ["acme-bad:BadGate"]')
    with pytest.raises(PluginError, match="mytorch plugins unblock acme-bad:BadGate"):
        catalogue().load("layer", "BadGate")


def test_a_blocked_hook_is_left_out_in_silence(settings: Path, monkeypatch: pytest.MonkeyPatch, install: Any) -> None:
    install("acme-hook", {"mytorch.hooks": {"log": "acme_blocked_hook"}}, {"acme_blocked_hook": "raise SystemError"})
    monkeypatch.setenv("MYTORCH_BLOCK_PLUGINS", "acme-hook")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not Hooks().wants("training_started")


def test_a_name_of_two_strangers_is_an_error_until_one_is_preferred_or_blocked(
    settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offers = Catalogue([part("Gate", "acme-a"), part("Gate", "acme-b")])
    with pytest.raises(DuplicateError, match="write 'acme-a:Gate' or 'acme-b:Gate', or choose one for good"):
        offers.find("layer", "Gate")
    monkeypatch.setenv("MYTORCH_PREFER_PLUGINS", "acme-b:Gate")
    assert offers.find("layer", "Gate").distribution == "acme-b"
    monkeypatch.setenv("MYTORCH_PREFER_PLUGINS", "")
    monkeypatch.setenv("MYTORCH_BLOCK_PLUGINS", "acme-b")
    assert offers.find("layer", "Gate").distribution == "acme-a"


def test_the_projects_own_part_comes_before_a_preference(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYTORCH_PREFER_PLUGINS", "acme-a")
    offers = Catalogue([part("Linear", "acme-a"), part("Linear", "mytorch-nn")])
    assert offers.find("layer", "Linear").distribution == "mytorch-nn"
    assert offers.find("layer", "acme-a:Linear").distribution == "acme-a"


def test_using_a_shared_name_says_once_which_was_taken(settings: Path, install: Any) -> None:
    for name in ("acme-one", "acme-two"):
        module = name.replace("-", "_") + "_taken"
        install(name, {"mytorch.layers": {"Gate": f"{module}:Gate"}}, {module: LAYER})
    settings.write_text('prefer = ["acme-two"]')
    said = f"layer 'Gate' is taken from acme-two: preferred by 'acme-two' in {settings}; it is also acme-one:Gate"
    with pytest.warns(DuplicateWarning, match=re.escape(said)):
        assert catalogue().load("layer", "Gate").__module__ == "acme_two_taken"
    assert catalogue().load("layer", "Gate").__module__ == "acme_two_taken"  # a second warning would be an error
    assert catalogue().load("layer", "acme-one:Gate").__module__ == "acme_one_taken"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("block = [", "must be a TOML file, got Invalid value"),
        ('blocked = ["a"]', "blocked: must be one of block, only, prefer"),
        ('block = "acme"', "block: must be a list of .*, got 'acme'"),
        ("block = [1]", "block: must be a list"),
        ('block = [""]', "block: must be a list"),
    ],
)
def test_a_damaged_file(settings: Path, text: str, message: str) -> None:
    settings.write_text(text)
    with pytest.raises(SettingsError, match=f"{re.escape(str(settings))}: {message}"):
        rules()


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        (
            "layers",
            "def Gate(): pass",
            "must be a class such as a subclass of mytorch.core.Module, got a function",
        ),
        ("layers", "class Gate: forward = None", "got the class Gate without backward, param at"),
        ("losses", "class Gate: forward = backward = param = 1", "subclass of mytorch.core.Loss.*without weight_of"),
        ("optimizers", "class Gate: step = None", "subclass of mytorch.core.Optimizer.*without zero_grad, state_dict"),
        ("metrics", "Gate = 3", "subclass of mytorch.core.Metric, got a int"),
        ("experiments", "Gate = {}", "must be the path of a TOML file, got a dict"),
        ("transforms", "Gate = 1", "must be a function, got a int"),
        (
            "callbacks",
            "class Gate: epoch_ended = print",
            "must be a class with at least one hook, .*got the class Gate",
        ),
        (
            "callbacks",
            "from mytorch.plugins import hookimpl\n@hookimpl\ndef Gate(run): pass",
            "must be a class with at least one hook, such as a subclass of mytorch.plugins.Callback, got a function",
        ),
        ("layers", "", "cannot be imported from .*AttributeError"),
        ("layers", "import sys; sys.exit('bye')", "cannot be imported from .*SystemExit: bye"),
    ],
)
def test_what_is_not_of_its_kind_is_refused_by_name(
    settings: Path, install: Any, kind: str, text: str, message: str
) -> None:
    module = f"acme_shape_{abs(hash((kind, text)))}"
    install("acme-shape", {f"mytorch.{kind}": {"Gate": f"{module}:Gate"}}, {module: text})
    with pytest.raises(PluginError, match=f"'Gate' of acme-shape .*{message}.*Fix or remove it: python -m pip unins"):
        catalogue().load({"losses": "loss"}.get(kind, kind[:-1]), "Gate")


@pytest.mark.parametrize("text", ["block = " + "[" * 3000, "block = " + "9" * 5000, "block = \x00", "[[block]]"])
def test_a_file_that_is_no_toml_is_told_in_a_line(settings: Path, text: str) -> None:
    settings.write_text(text)
    with pytest.raises(SettingsError, match=re.escape(str(settings))) as error:
        rules()
    assert len(str(error.value)) < 700
