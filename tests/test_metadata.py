"""What is said of the distributions outside of them, for PyPI, conda, GitHub and citations, is the same everywhere."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

HOUSE = Path(__file__).parents[1]
PARTS = ("core", "nn", "optim", "data", "train", "experiments", "sklearn", "playground", "testing", "cli")
OF_CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base"}
"""Names of packages that conda-forge has under another one."""
each = pytest.mark.parametrize("part", PARTS)


def project(part):
    return tomllib.loads((HOUSE / f"mytorch-{part}/pyproject.toml").read_text())["project"]


def read_yaml(path):
    return yaml.safe_load((HOUSE / path).read_text())


REPOSITORY = project("core")["urls"]["Repository"]
"""Where the project lies: the one place that decides it."""


@each
def test_the_metadata_is_complete(part):
    said = project(part)
    assert said["urls"] == {
        "Homepage": REPOSITORY,
        "Documentation": f"{REPOSITORY}/tree/main/docs",
        "Repository": REPOSITORY,
        "Issues": f"{REPOSITORY}/issues",
        "Changelog": f"{REPOSITORY}/blob/main/CHANGELOG.md",
    }
    assert 40 < len(said["description"]) < 150
    assert len(said["keywords"]) >= 4
    assert {"Typing :: Typed", "Operating System :: OS Independent"} <= {*said["classifiers"]}
    assert said["license"] == "MIT"
    assert (HOUSE / f"mytorch-{part}/LICENSE").read_bytes() == (HOUSE / "LICENSE").read_bytes()


def texts():
    """Every text of the repository that may name its address."""
    kinds = ("*.md", "*.toml", "*.yml", "*.yaml", "*.cff", "*.ini", "*.py")
    top = [file for kind in kinds for file in HOUSE.glob(kind)]
    folders = [HOUSE / name for name in (".github", "docs", "conda", *(f"mytorch-{part}" for part in PARTS))]
    return [*top, *(file for folder in folders for kind in kinds for file in folder.rglob(kind))]


def test_the_address_of_the_repository_is_the_same_in_every_text():
    found = {
        (str(file.relative_to(HOUSE)), address)
        for file in texts()
        for address in re.findall(r"https://github\.com/[\w.-]+/mytorch\b", file.read_text(encoding="utf-8"))
    }
    assert len(found) > len(PARTS)
    assert {address for _, address in found} == {REPOSITORY}, sorted(found)


@each
def test_links_of_a_readme_lead_somewhere_on_the_page_of_the_index_too(part):
    """There, a path has no folder to begin in; whether the file is there, tests/test_document_texts.py looks."""
    page = (HOUSE / f"mytorch-{part}/README.md").read_text()
    assert [link for link in re.findall(r"\]\(([^)\s]+)\)", page) if not link.startswith("https://")] == []


LEFT_OUT = {"mlflow", "privacy", "ray", "wandb"}
"""What holds back the versions of many other packages, and what starts processes on clusters."""


def test_the_extra_all_brings_every_distribution_with_all_that_it_can_use():
    extras = project("cli")["optional-dependencies"]
    own = {f"mytorch-{part}": {*project(part).get("optional-dependencies", {})} - LEFT_OUT for part in PARTS}
    brought = {}
    for line in extras["all"]:
        name, _, names = re.match(r"([\w-]+)(\[([\w,]+)\])?", line).groups()
        brought[name] = {*names.split(",")} if names else set()
    assert brought == own | {"mytorch-cli": own["mytorch-cli"] - {"all"}} | {"mytorch-core": set()}


def test_the_citation_has_the_version_and_the_address():
    said = read_yaml("CITATION.cff")
    assert said["version"] == project("core")["version"]
    assert (said["repository-code"], said["license"]) == (REPOSITORY, "MIT")


def test_a_release_publishes_every_distribution_after_those_that_it_needs():
    jobs = read_yaml(".github/workflows/publish.yml")["jobs"]
    (first,) = (step["with"]["packages-dir"] for step in jobs["core"]["steps"] if "packages-dir" in step["with"])
    rounds = [[first.removeprefix("dist/")]]
    rounds += [jobs[job]["strategy"]["matrix"]["distribution"] for job in ("parts", "rest")]
    assert [jobs[job]["needs"] for job in ("core", "parts", "rest")] == ["build", "core", "parts"]
    assert sorted(name for names in rounds for name in names) == sorted(f"mytorch-{part}" for part in PARTS)
    assert jobs["rest"]["strategy"]["max-parallel"] == 1
    published = {*rounds[0]}
    for names in ([*rounds[1]], *([name] for name in rounds[2])):
        for name in names:
            said = project(name.removeprefix("mytorch-"))
            lists = [said["dependencies"], *said.get("optional-dependencies", {}).values()]
            needed = {line for lines in lists for line in re.findall(r"^mytorch-\w+", "\n".join(lines), re.MULTILINE)}
            assert needed <= published | {name}, f"{name} needs {needed - published}"
        published |= {*names}
    for job in ("core", "parts", "rest"):
        assert jobs[job]["environment"]["name"].startswith("pypi-")
        assert jobs[job]["permissions"] == {"id-token": "write"}


@pytest.mark.skipif(sys.platform == "win32", reason="the release is built on Linux, by bash")
def test_nothing_is_released_without_the_address_of_the_repository_or_by_another_tag(tmp_path):
    steps = read_yaml(".github/workflows/publish.yml")["jobs"]["build"]["steps"]
    (script,) = (step["run"] for step in steps if "TAG" in step.get("env", {}))
    (tmp_path / "python").symlink_to(sys.executable)
    for part in PARTS:
        (tmp_path / f"mytorch-{part}").mkdir()

    def status(address, tag):
        for part in PARTS:
            told = (HOUSE / f"mytorch-{part}/pyproject.toml").read_text().replace(REPOSITORY, address)
            (tmp_path / f"mytorch-{part}/pyproject.toml").write_text(told)
        variables = {**os.environ, "TAG": tag, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
        return subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, check=False).returncode

    tag = f"v{project('core')['version']}"
    assert status("https://github.com/OWNER/mytorch", tag) == 1
    assert status("https://github.com/somebody/mytorch", tag) == 0
    assert status("https://github.com/somebody/mytorch", f"{tag}rc1") == 1


def requirements_of_conda(part):
    """What a distribution needs, in conda's words: an extra is what it adds."""
    for line in project(part)["dependencies"]:
        name, extras, bounds = re.fullmatch(r"([\w-]+)(?:\[([\w,]+)\])?(.*)", line).groups()
        yield f"{OF_CONDA.get(name, name)} {bounds}"
        for extra in extras.split(",") if extras else ():
            added = project(name.removeprefix("mytorch-"))["optional-dependencies"][extra]
            yield from (re.sub(r"(?=[<>=])", " ", line, count=1) for line in added)


def test_the_recipe_for_conda_has_the_same_packages_and_requirements():
    recipe = read_yaml("conda/recipe.yaml")
    context = recipe["context"]
    assert context["version"] == project("core")["version"]
    own = f">={'.'.join(context['version'].split('.')[:2])},<{context['next']}"
    assert recipe["about"]["homepage"] == REPOSITORY
    assert [output["package"]["name"] for output in recipe["outputs"]] == [f"mytorch-{part}" for part in PARTS]
    for part, output in zip(PARTS, recipe["outputs"], strict=True):
        python, *needed = output["requirements"]["run"]
        assert python == f"python {project(part)['requires-python']}"
        needed = [line.replace(">=${{ version }},<${{ next }}", own) for line in needed]
        assert sorted(needed) == sorted({*requirements_of_conda(part)})
        assert output["about"]["summary"] == project(part)["description"]
        scripts = [f"{name} = {target}" for name, target in project(part).get("scripts", {}).items()]
        assert output["build"].get("python", {}).get("entry_points", []) == scripts
