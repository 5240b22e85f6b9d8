"""What stands around the snippets of a page is true: links, and the tables of keys, groups and hooks."""

import re
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from mytorch.plugins import KINDS, hookspecs
from mytorch.train import Experiment

HOUSE = Path(__file__).parents[1]
FOLDERS = [f for f in HOUSE.iterdir() if f.is_dir() and f.name[0] != "." and not (f / "pyvenv.cfg").exists()]
PAGES = sorted([*HOUSE.glob("*.md"), *(page for folder in FOLDERS for page in folder.rglob("*.md"))])
IMAGE_BYTES = 150_000


def prose(page):
    return re.sub(r"(?ms)^ *```.*?^ *```", "", page.read_text())


def anchors(page):
    headings = re.findall(r"(?m)^#+ (.*)$", prose(page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(HOUSE)))
def test_every_link_leads_somewhere(page):
    for image, link in re.findall(r"(!?)\[[^\]]*\]\(([^)]+)\)", prose(page)):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
        assert not image or target.stat().st_size < IMAGE_BYTES, f"{link} must be small"


def keys(model, prefix=""):
    """Every key of an experiment with its field."""
    for name, field in model.model_fields.items():
        yield prefix + name, field
        options = [field.annotation, *getattr(field.annotation, "__args__", ())]
        for option in options:
            if isinstance(option, type) and issubclass(option, BaseModel) and option.__name__ != "Spec":
                yield from keys(option, f"{prefix}{name}.")


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
    hooks = [name for name, value in vars(hookspecs).items() if hasattr(value, "mytorch_spec")]
    assert len(hooks) >= 5
    assert all(f"`{hook}`" in text for hook in hooks)
