"""What is in the wheels: nothing outside of mytorch/, no mytorch/__init__.py, everything that entry points name."""

import shutil
import sys
import zipfile
from collections import Counter
from configparser import ConfigParser
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1]
PARTS = ("core", "nn", "optim", "data", "train", "experiments", "sklearn", "playground", "testing", "cli")


@pytest.fixture(scope="module")
def wheels(project_wheels):
    """The content of each part's wheel: path in the wheel -> bytes."""
    return {part: read(project_wheels, part) for part in PARTS}


def read(wheels, part):
    (wheel,) = [wheel for wheel in wheels if wheel.name.startswith(f"mytorch_{part}-")]
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as content:
        return {name: content.read(name) for name in content.namelist()}


@pytest.mark.parametrize("part", PARTS)
def test_only_the_part_and_its_commands_are_inside(wheels, part):
    allowed = {part, "commands"} | ({"plugins"} if part == "core" else set())
    for name in wheels[part]:
        top, inner, *rest = name.split("/")
        assert top == "mytorch" or top.endswith(".dist-info"), name
        if top == "mytorch":
            assert rest or (part, inner) == ("cli", "__main__.py"), f"{name} lies in the namespace itself"
            assert not rest or inner in allowed, name
    assert "mytorch/__init__.py" not in wheels[part]
    assert "mytorch/commands/__init__.py" not in wheels[part]


@pytest.mark.parametrize("part", PARTS)
def test_everything_of_the_source_is_inside(wheels, part):
    source = HOUSE / f"mytorch-{part}/src"
    files = {str(f.relative_to(source)) for f in source.rglob("*") if f.is_file() and "__pycache__" not in f.parts}
    assert files == {name for name in wheels[part] if name.startswith("mytorch/")}
    assert f"mytorch/{part}/py.typed" in files


@pytest.mark.parametrize("part", PARTS)
def test_entry_points_lead_to_files_that_are_inside(wheels, part):
    entries = [text for name, text in wheels[part].items() if name.endswith("entry_points.txt")]
    parser = ConfigParser()
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    for text in entries:
        parser.read_string(text.decode())
    for group in parser.sections():
        for name, target in parser.items(group):
            module = target.partition(":")[0].replace(".", "/")
            found = {f"{module}.py", f"{module}/__init__.py"} & wheels[part].keys()
            assert found, f"{group}: {name} = {target} is not in the wheel"


def test_no_two_wheels_share_a_file(wheels):
    count = Counter(name for content in wheels.values() for name in content)
    assert not [name for name, times in count.items() if times > 1]


def test_metadata_has_licence_and_readme(wheels):
    for part, content in wheels.items():
        (metadata,) = (text.decode() for name, text in content.items() if name.endswith("/METADATA"))
        assert "License-Expression: MIT" in metadata
        assert f"# mytorch-{part}" in metadata
        (licence,) = (text for name, text in content.items() if name.endswith(".dist-info/licenses/LICENSE"))
        assert licence == (HOUSE / "LICENSE").read_bytes()


@pytest.fixture(scope="module")
def sdists(run_command, tmp_path_factory):
    """The archives of all distributions, built from the checkout."""
    folder = tmp_path_factory.mktemp("sdists")
    for part in PARTS:
        build = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder]
        run_command(*build, folder=HOUSE / f"mytorch-{part}")
    return folder


@pytest.mark.parametrize("part", PARTS)
def test_an_sdist_builds_the_same_wheel(part, sdists, project_wheels, run_command, tmp_path):
    (archive,) = sdists.glob(f"mytorch_{part}-*.tar.gz")
    shutil.unpack_archive(archive, tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    run_command(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, folder=source)
    (wheel,) = tmp_path.glob("*.whl")
    (expected,) = (each for each in project_wheels if each.name == wheel.name)
    assert wheel.read_bytes() == expected.read_bytes()
    assert list((source / "tests").rglob("test_*.py"))


def test_the_index_takes_what_is_built(sdists, project_wheels, run_command):
    pytest.importorskip("twine")
    archives = sorted(sdists.glob("*.tar.gz"))
    assert len(archives) == len(PARTS)
    said, _ = run_command(sys.executable, "-m", "twine", "check", "--strict", *project_wheels, *archives)
    assert said.count("PASSED") == 2 * len(PARTS)
