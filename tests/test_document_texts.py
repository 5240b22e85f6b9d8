"""What stands around the snippets of a page is true: links, and the tables of keys, groups and hooks."""

import inspect
import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from mytorch.experiments import Experiment
from mytorch.experiments.file.experiment import Spec
from mytorch.plugins import HOOKS, KINDS, Callback
from mytorch.testing import (
    CALLBACK_CHECKS,
    DATASET_CHECKS,
    LAYER_CHECKS,
    LOSS_CHECKS,
    OPTIMIZER_CHECKS,
    RULE_CHECKS,
    SCHEDULE_CHECKS,
)

HOUSE = Path(__file__).parents[1]
FOLDERS = [f for f in HOUSE.iterdir() if f.is_dir() and f.name[0] != "." and not (f / "pyvenv.cfg").exists()]
PAGES = sorted([*HOUSE.glob("*.md"), *(page for folder in FOLDERS for page in folder.rglob("*.md"))])
IMAGE_BYTES = 150_000
PROJECT = tomllib.loads((HOUSE / "mytorch-core/pyproject.toml").read_text())["project"]
ONLINE = f"{PROJECT['urls']['Repository']}/blob/main/"
"""What stands before a path in pages that are read elsewhere, too."""


def prose(page):
    """A page without its code, in which a call such as layer[i](x) looks like a link."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"(?ms)^ *```.*?^ *```", "", page.read_text()))


def anchors(page):
    headings = re.findall(r"(?m)^#+ (.*)$", prose(page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(HOUSE)))
def test_every_link_leads_somewhere(page):
    for image, link in re.findall(r"(!?)\[[^\]]*\]\(([^)]+)\)", prose(page)):
        if link.startswith("https://") and not link.startswith(ONLINE):
            continue
        path, _, anchor = link.removeprefix(ONLINE).partition("#")
        target = (HOUSE if link.startswith(ONLINE) else page.parent) / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
        assert not image or target.stat().st_size < IMAGE_BYTES, f"{link} must be small"


def test_every_test_that_a_promise_is_tested_by_is_there():
    text = (HOUSE / "docs/architecture.md").read_text()
    named = re.findall(r"\[(test_\w+)\]\(\.\./([\w/-]+\.py)\)", text)
    assert len(named) > 30
    for test, path in named:
        assert f"def {test}(" in (HOUSE / path).read_text(), f"{path} has no {test}"


def keys(model, prefix=""):
    """Every key of an experiment with its field; of a part, what is not said of parts as such."""
    for name, field in model.model_fields.items():
        if name in Spec.model_fields and issubclass(model, Spec):
            continue
        name = field.alias or name  # `from` is no name in Python
        yield prefix + name, field
        for inner in models_in(field.annotation):
            yield from keys(inner, f"{prefix}{name}.")


def models_in(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)


def test_every_key_of_an_experiment_is_explained_with_its_default():
    text = (HOUSE / "docs/experiments.md").read_text()
    rows = dict(re.findall(r"(?m)^\| `([\w.]+)` \| [^|]+ \| ([^|]+) \| [^|]+ \|$", text))
    expected = dict(keys(Experiment))
    assert set(rows) == set(expected)
    for key, field in expected.items():
        shown = rows[key]
        if key == "name":  # load_experiment fills it in
            assert shown == "the file's name"
        elif field.is_required():
            assert shown == "must be given", key
        elif field.default is not None:
            assert tomllib.loads(f"value = {shown.strip('`')}")["value"] == field.default, key
        else:
            assert not shown.startswith(("`", "must")), key


def test_every_group_and_hook_is_named_in_the_architecture():
    text = (HOUSE / "docs/architecture.md").read_text()
    assert all(f"| {kind} | `{group}` |" in text for kind, group in KINDS.items())
    assert len(HOOKS) >= 5
    assert all(f"`{hook}`" in text for hook in HOOKS)


def test_every_hook_has_a_section_with_its_arguments_and_an_example():
    text = (HOUSE / "docs/hooks.md").read_text()
    sections = {part.partition("\n")[0]: part for part in text.split("\n## ")[1:]}
    assert list(sections) == list(HOOKS)
    for name in HOOKS:
        assert f"def {name}(" in sections[name]
        _, *arguments = inspect.signature(getattr(Callback, name)).parameters
        assert all(f"`{argument}`" in sections[name] for argument in arguments)


def expected_checks():
    """A row for each check: its name, the kinds of part it is for, the first line of its docstring."""
    kinds = {
        "layer": LAYER_CHECKS,
        "loss": LOSS_CHECKS,
        "optimizer": OPTIMIZER_CHECKS,
        "schedule": SCHEDULE_CHECKS,
        "dataset": DATASET_CHECKS,
        "callback": CALLBACK_CHECKS,
        "rule": RULE_CHECKS,
    }
    for check in dict.fromkeys(check for checks in kinds.values() for check in checks):
        of = ", ".join(kind for kind, checks in kinds.items() if check in checks)
        yield check.__name__, of, check.__doc__.partition("\n")[0]


def test_every_check_is_explained_by_its_docstring():
    rows = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \| (.+) \|$", (HOUSE / "docs/checks.md").read_text(), re.MULTILINE)
    assert rows == list(expected_checks())


def test_the_pages_on_backpropagation_name_every_exercise_of_the_playground():
    pages = [HOUSE / "docs/backpropagation.md", *(HOUSE / "docs/backpropagation").glob("*.md")]
    text = " ".join(word for page in pages for word in page.read_text().split())
    files = HOUSE.glob("mytorch-playground/src/mytorch/playground/exercises/files/*.toml")
    titles = [tomllib.loads(file.read_text())["title"] for file in files]
    assert len(titles) > 12
    assert not [title for title in titles if f"*{title}*" not in text]
