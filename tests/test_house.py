"""The rules of the house that no tool checks: files, versions, declared dependencies, arrows of the commands."""

import ast
import re
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import yaml

from mytorch.plugins import KINDS, OWN
from mytorch.plugins.catalogue import NEEDS
from mytorch.plugins.kinds import COME_WITH
from mytorch.plugins.torch_range import NEWEST, OLDEST

HOUSE = Path(__file__).parents[1]
PARTS = ("core", "nn", "optim", "data", "train", "experiments", "sklearn", "playground", "testing", "cli")
DISTRIBUTION_OF = {
    "PIL": "pillow",
    "prometheus_client": "prometheus-client",
    "sklearn": "scikit-learn",
    "tomli_w": "tomli-w",
}
"""Where the name that is imported is not the distribution's."""


def project(part):
    return tomllib.loads((HOUSE / f"mytorch-{part}/pyproject.toml").read_text())["project"]


def sources(part):
    return sorted((HOUSE / f"mytorch-{part}/src").rglob("*.py"))


def imported(tree):
    """The modules that a piece of code imports, with their full names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield node.module


def imported_at_the_top(tree):
    """What importing the module imports; not what functions and type checkers do."""
    return imported(ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], []))


def owner(module):
    """The distribution that an imported module comes from; None for Python's own."""
    first, _, rest = module.partition(".")
    if first in sys.stdlib_module_names:
        return None
    if first == "mytorch":
        part, _, inner = rest.partition(".")
        if part == "commands":
            (part,) = (p for p in PARTS if (HOUSE / f"mytorch-{p}/src/mytorch/commands/{inner}.py").exists())
        return "mytorch-core" if part == "plugins" else f"mytorch-{part}"
    return DISTRIBUTION_OF.get(first, first)


def name_of(requirement):
    return re.match(r"[\w.-]+", requirement)[0]


def test_no_file_lies_in_the_namespace_itself():
    for part in PARTS:
        top = HOUSE / f"mytorch-{part}/src/mytorch"
        files = [f.name for f in top.iterdir() if f.is_file()]
        assert files == (["__main__.py"] if part == "cli" else []), "only `python -m mytorch` lies there"
        assert not (top / "commands/__init__.py").exists()
        assert {f.name for f in (HOUSE / f"mytorch-{part}/src").iterdir()} == {"mytorch"}


@pytest.mark.parametrize("part", PARTS)
def test_each_part_has_its_files(part):
    home = HOUSE / f"mytorch-{part}"
    assert (home / f"src/mytorch/{part}/py.typed").exists()
    assert (home / "src/mytorch/core/py.typed").exists() == (home / "src/mytorch/plugins/py.typed").exists()
    assert (home / "README.md").read_text().startswith(f"# mytorch-{part}\n")
    assert not list((home / "tests").rglob("__init__.py"))


def test_all_versions_are_equal_and_need_the_same_core():
    assert len({project(part)["version"] for part in PARTS}) == 1
    major, minor, _ = map(int, project("core")["version"].split("."))
    assert major == 0, "the range below is for versions before 1.0"
    wanted = f">=0.{minor},<0.{minor + 1}"
    for part in PARTS:
        lists = [project(part)["dependencies"], *project(part).get("optional-dependencies", {}).values()]
        own = [line for lines in lists for line in lines if line.startswith("mytorch-")]
        assert part == "core" or f"mytorch-core{wanted}" in own
        assert all(re.fullmatch(rf"[\w-]+(\[[\w,]+\])?{re.escape(wanted)}", line) for line in own)


@pytest.mark.parametrize("part", PARTS)
def test_every_import_is_declared(part):
    optional = project(part).get("optional-dependencies", {})
    declared = {name_of(line) for lines in (project(part)["dependencies"], *optional.values()) for line in lines}
    for file in sources(part):
        needed = {owner(module) for module in imported(ast.parse(file.read_text()))}
        undeclared = needed - declared - {None, f"mytorch-{part}"}
        assert not undeclared, f"{file.relative_to(HOUSE)} imports {undeclared}"


NOT_IMPORTED = {"data": {"numpy"}, "playground": {"numpy", "websockets"}}
"""Without numpy, importing torch warns; uvicorn speaks to the page through websockets if that is there."""


@pytest.mark.parametrize("part", PARTS)
def test_only_what_is_needed_is_declared(part):
    used = {owner(module) for file in sources(part) for module in imported(ast.parse(file.read_text()))}
    unused = {name_of(line) for line in project(part)["dependencies"]} - used
    assert unused <= NOT_IMPORTED.get(part, {"numpy"})


def test_who_trains_from_python_installs_nothing_for_files_figures_and_commands():
    declared = {name_of(line) for line in project("train")["dependencies"]}
    assert not declared & {"matplotlib", "pillow", "pydantic", "tomli-w", "click"}


@pytest.mark.parametrize("part", [*PARTS, "plugins"])
def test_init_only_reexports(part):
    home = HOUSE / f"mytorch-{'core' if part == 'plugins' else part}/src/mytorch/{part}"
    doc, *body = ast.parse((home / "__init__.py").read_text()).body
    assert isinstance(doc, ast.Expr)
    assert isinstance(doc.value, ast.Constant)
    *imports, last = body
    assert isinstance(last, ast.Assign)
    assert last.targets[0].id == "__all__"
    offered = ast.literal_eval(last.value)
    assert sorted(offered) == sorted(name for names in reexported(imports).values() for name in names)
    assert len(set(offered)) == len(offered)


def reexported(body):
    """The names that the body of a package takes from each module, at once or when they are first asked for."""
    if all(isinstance(node, ast.ImportFrom) for node in body):
        return {node.module: [alias.asname or alias.name for alias in node.names] for node in body}
    *imports, shown, functions = body
    assert [node.module for node in imports] == ["typing", "mytorch.plugins.lazy"]
    assert shown.test.id == "TYPE_CHECKING"
    assert [name.id for name in functions.targets[0].elts] == ["__getattr__", "__dir__"]
    lazily = ast.literal_eval(functions.value.args[1])
    assert {module: list(names) for module, names in lazily.items()} == reexported(shown.body)
    return lazily


def test_the_tests_that_not_every_environment_runs_are_there():
    tree = ast.parse((HOUSE / "conftest.py").read_text())
    values = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
    for name in (name for each in ("SLOW", "NUMBERS", "NEWER_TORCH") for name in eval(ast.unparse(values[each]))):
        file, _, test = name.partition("::")
        assert (HOUSE / file).exists(), name
        assert not test or f"def {test.partition('[')[0]}" in (HOUSE / file).read_text(), name


def test_the_lowest_versions_of_the_others_are_tested_with_the_torch_of_development():
    """So that what is computed with torch alone need not be tested with both; another environment is for torch."""
    files = [(HOUSE / name).read_text().splitlines() for name in ("constraints.txt", "constraints-lowest.txt")]
    development, lowest = ([line for line in lines if line.startswith("torch==")] for lines in files)
    assert len(lowest) == 1
    assert development == lowest


def test_no_circle_of_imports_is_in_the_benchmarks():
    """import-linter looks at packages only; these are scripts."""
    scripts = {file.stem: ast.parse(file.read_text()) for file in (HOUSE / "benchmarks").glob("*.py")}
    arrows = {name: {module.partition(".")[0] for module in imported(tree)} for name, tree in scripts.items()}
    order = list(TopologicalSorter(arrows).static_order())  # raises CycleError
    assert order.index("results") < order.index("suite")


COMMANDS = {f: part for part in PARTS for f in sources(part) if f.parent.name == "commands"}


@pytest.mark.parametrize("file", COMMANDS, ids=lambda f: f.stem)
def test_commands_import_little_at_the_top_and_their_own_part_inside(file):
    tree = ast.parse(file.read_text())
    for module in imported_at_the_top(tree):
        quick = owner(module) in (None, "click") or module.startswith(("mytorch.plugins", "mytorch.commands"))
        assert quick, f"{module} must be imported inside of the functions that use it"
    inside = {owner(module) for module in imported(tree) if module.startswith("mytorch")}
    below = {"mytorch-data", "mytorch-train"} if COMMANDS[file] == "experiments" else set()
    assert inside <= {"mytorch-core", f"mytorch-{COMMANDS[file]}"} | below


def test_no_text_installs_the_other_project_of_this_name():
    texts = list(HOUSE.glob("*.md")) + [f for part in PARTS for f in (HOUSE / f"mytorch-{part}").rglob("*.md")]
    for text in [*texts, *(HOUSE / "docs").rglob("*.md")]:
        assert not re.search(r"pip install (-\S+ )*mytorch(?![-\w./])", text.read_text()), text


def test_every_python_of_the_house_is_declared_and_tested():
    """Those of .python-version everywhere; a later one, for which torch has wheels, in the workflow alone."""
    pythons = (HOUSE / ".python-version").read_text().split()
    environments = (HOUSE / "tox.ini").read_text()
    assert [python for python in pythons if f"py{python.replace('.', '')}" not in environments] == []
    systems = yaml.safe_load((HOUSE / ".github/workflows/test.yml").read_text())["jobs"]["systems"]
    tested = sorted({*pythons, *systems["strategy"]["matrix"]["python"]})
    for part in PARTS:
        prefix = "Programming Language :: Python :: 3."
        declared = [line.removeprefix(prefix[:-2]) for line in project(part)["classifiers"] if line.startswith(prefix)]
        assert declared == tested
        assert project(part)["requires-python"] == f">={pythons[0]}"


def test_the_range_of_torch_is_that_of_the_environments():
    said = (HOUSE / "tox.ini").read_text()
    assert f"oldest: python -m pip install --quiet torch=={OLDEST}." in said
    assert f"newest: python -m pip install --quiet torch=={NEWEST}." in said


def test_the_lowest_versions_that_are_tested_are_those_declared():
    lines = (HOUSE / "constraints-lowest.txt").read_text().splitlines()
    lowest = dict(line.split("==") for line in lines if "==" in line) | {"torch": OLDEST}
    lists = [[project(p)["dependencies"], *project(p).get("optional-dependencies", {}).values()] for p in PARTS]
    for line in (line for part in lists for lines in part for line in lines if not line.startswith("mytorch-")):
        name, _, version = re.sub(r"\[\w+\]", "", line).partition(">=")
        assert lowest[name.strip()].startswith(version), f"{line} is declared, {lowest[name]} is tested"


@pytest.mark.parametrize("kind", KINDS)
def test_users_are_told_which_distributions_bring_parts_of_a_kind(kind):
    bring = {f"mytorch-{part}" for part in PARTS if KINDS[kind] in project(part).get("entry-points", {})}
    assert set(COME_WITH.get(kind, ())) == bring - {"mytorch-cli"}  # who asks for a command has it


def test_the_command_that_installs_a_part_names_all_that_it_needs():
    needed = {f"mytorch-{part}": {name_of(line) for line in project(part)["dependencies"]} & OWN for part in PARTS}
    beside_core = {name: others - {"mytorch-core"} for name, others in needed.items() if others > {"mytorch-core"}}
    assert {name: set(others) for name, others in NEEDS.items()} == beside_core
