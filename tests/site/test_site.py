"""The site that `tox -e docs` has built: every public name is there, and every link leads somewhere."""

import html
import inspect
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest
from public import packages, public_names, vars_of

from mytorch.core import Module

HOUSE = Path(__file__).parents[2]
SITE = HOUSE / ".site/html"

pytest.importorskip("zensical", reason="the site is built and tested by tox -e docs")
yaml = pytest.importorskip("yaml")

NAMES = public_names()


@cache
def page(path):
    return path.read_text(encoding="utf-8")


@cache
def anchors(path):
    return {html.unescape(name) for name in re.findall(r'\sid="?([^"\s>]+)', page(path))}


def pages():
    found = sorted(SITE.rglob("*.html"))
    assert len(found) > len({public.page for public in NAMES}), "build the site first; CONTRIBUTING.md says how"
    return found


def test_every_public_name_has_a_page():
    for public in NAMES:
        file = SITE / public.page / "index.html"
        assert public.identifier in anchors(file), public
        headings = re.findall(r"(?s)<h1[^>]*>(.*?)</h1>", page(file))
        assert public.path in [without_tags(heading).split("¶")[0].split()[0] for heading in headings], public


def without_tags(text):
    return html.unescape(re.sub(r"<[^>]+>", "", text))


def test_every_name_that_a_package_offers_is_one_of_them():
    known = {id(public.value): public for public in NAMES}
    for package in packages():
        offered = {name: known[id(value)] for name, value in vars_of(package).items()}
        index = SITE / f"reference/{package.removeprefix('mytorch.')}/index.html"
        for name, public in offered.items() if index.exists() else ():
            assert f"#{public.identifier}" in page(index), f"{package} does not show {name}"


def test_every_link_and_every_anchor_is_there():
    broken = set()
    for file in pages():
        for link in re.findall(r'\s(?:href|src)="?([^"\s>]+)', page(file)):
            if not re.match(r"[a-z]+:", link) and (fault := fault_of(html.unescape(link), file)):
                broken.add(f"{file.relative_to(SITE)}: {link} {fault}")
    assert not sorted(broken)


def fault_of(link, file):
    """What is wrong with a link of a page; None for one that leads somewhere."""
    path, _, anchor = unquote(link).partition("#")
    base = SITE if path.startswith("/") else file.parent  # 404.html is shown anywhere
    target = (base / path.lstrip("/")).resolve() if path else file
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return "does not exist"
    is_there = not anchor or target.suffix != ".html" or anchor in anchors(target)
    return None if is_there else "has no such anchor"


def test_nothing_is_fetched_from_elsewhere():
    fetched = re.compile(r'<(?:script|img|link|iframe|source)\b[^>]*?(?:src|href)="?(https?:[^"\s>]+)')
    loaded = {(file.name, address) for file in pages() for address in fetched.findall(page(file))}
    for sheet in SITE.rglob("*.css"):
        loaded |= {(sheet.name, address) for address in re.findall(r"url\(['\"]?(https?:[^)]+)", sheet.read_text())}
    assert not {(name, address) for name, address in loaded if 'rel="canonical"' not in address}


def test_the_navigation_leads_to_every_page_but_sources():
    settings = yaml.safe_load((HOUSE / ".site/mkdocs.yml").read_text())
    listed = set(paths_of(settings["nav"]))
    written = {file.relative_to(HOUSE / ".site/pages").as_posix() for file in (HOUSE / ".site/pages").rglob("*.md")}
    written = {path for path in written if not path.startswith("source/")}
    assert listed == written, "a page must be in the navigation once"


def paths_of(nav):
    for entry in nav:
        inner = next(iter(entry.values())) if isinstance(entry, dict) else entry
        if isinstance(inner, str):
            yield inner
        else:
            yield from paths_of(inner)


def test_a_list_is_shown_as_a_list():
    for file in pages():
        prose = re.sub(r"(?s)<pre.*?</pre>", "", page(file))
        assert not re.search(r"(?m)(^|<p>)(- |1\. )", prose), f"{file} shows a list as a paragraph"


def test_formulas_are_typeset_and_remain_in_the_sources():
    shown = page(SITE / "reference/nn/layernorm/index.html")
    assert r'<span class="arithmatex">\(\displaystyle y = \mathrm{weight} \cdot n + \mathrm{bias}\)</span>' in shown
    assert "y = weight * n + bias" in without_tags(shown), "its source is shown, too"
    assert "arithmatex" in page(SITE / "layers/index.html")


def test_the_page_of_a_layer_shows_its_data_sheet_and_the_source_of_its_two_directions():
    layers = [public for public in NAMES if public.package == "mytorch.nn" and inspect.isclass(public.value)]
    assert len(layers) > 160
    for public in layers:
        shown = page(SITE / public.page / "index.html")
        for heading in ("Source",) if public.value.forward is Module.forward else ("Forward", "Backward", "Source"):
            assert f"<dt>{heading}</dt>" in shown, f"{public.name} shows no {heading}"
        for method in ("forward", "backward"):
            if not method_of(public.value, method).startswith("mytorch.core."):
                assert f"def {method}(" in without_tags(shown), f"{public.name} shows no source of its {method}"


def method_of(cls, method):
    """The module in which a class finds a method; lazy layers have theirs from core, which has a page for it."""
    return getattr(cls, method).__module__


def test_each_row_of_the_index_of_layers_has_a_layer_its_file_a_formula_and_its_kernel():
    shown = page(SITE / "layers/index.html")
    rows = [re.findall(r"(?s)<td[^>]*>(.*?)</td>", row) for row in re.findall(r"(?s)<tr>(.*?)</tr>", shown)]
    rows = [row for row in rows if row]
    assert len(rows) > 90
    assert all(len(row) == 4 and row[0] and ".py" in row[1] for row in rows)
    assert r"\|" not in shown
    assert any("aten.log_sigmoid_backward, which takes exp(-|x|)" in html.unescape(row[3]) for row in rows)


def test_search_knows_every_public_name():
    known = (SITE / "search.json").read_text()
    assert not [public.path for public in NAMES if public.path not in known.replace("\\u200b", "")]


def test_material_for_mkdocs_builds_the_same_pages_and_mike_keeps_versions(tmp_path):
    """mike runs mkdocs, strict as the configuration says, and commits what it builds to a branch of its own."""
    (tmp_path / ".site").mkdir()
    for name in [".site/pages", "website", *(home.name for home in HOUSE.glob("mytorch-*"))]:
        (tmp_path / name).symlink_to(HOUSE / name)
    settings = yaml.safe_load((HOUSE / ".site/mkdocs.yml").read_text())
    settings["extra"]["version"] = {"provider": "mike"}  # as stage.py --versions writes it
    (tmp_path / ".site/mkdocs.yml").write_text(yaml.safe_dump(settings))
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", "begin")
    run(tmp_path, Path(sys.executable).with_name("mike"), "deploy", "-F", ".site/mkdocs.yml", "0.1", "latest")
    files = git(tmp_path, "ls-tree", "-r", "--name-only", "gh-pages").splitlines()
    ours = {file.relative_to(SITE).as_posix() for file in pages()}
    assert {f"0.1/{file}" for file in ours} <= {*files}
    assert '"provider": "mike"' in git(tmp_path, "show", "gh-pages:0.1/index.html")
    assert '"version": "0.1"' in git(tmp_path, "show", "gh-pages:versions.json")
    assert 'id="mytorch.nn.LayerNorm"' in git(tmp_path, "show", "gh-pages:0.1/reference/nn/layernorm/index.html")


def git(folder, *arguments):
    if not shutil.which("git"):
        pytest.skip("mike needs git")
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    return run(folder, "git", *identity, *arguments)


def run(folder, *command):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # where mike finds mkdocs
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(command, cwd=folder, env={**os.environ, "PATH": path}, check=False, **pipes)
    assert done.returncode == 0, done.stdout
    return done.stdout
