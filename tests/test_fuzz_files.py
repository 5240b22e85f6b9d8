"""Experiments, run folders and plugin settings of all sorts: each is taken, or refused by a line with its file."""

import copy
import json
import random
import re
import shutil
import time
import tomllib
import warnings
from contextlib import redirect_stderr, redirect_stdout
from importlib.resources import files
from io import StringIO

import pytest
import tomli_w
from PIL import Image

from mytorch.cli.entry import run
from mytorch.experiments import train_experiment

pytest.importorskip("rich")
LONGEST = 4000
SECONDS = 20
UNFORESEEN = re.compile(r"unexpected \w*(Error|Exception|Warning|Exit)\b")
SHIPPED = {
    name: tomllib.loads((files("mytorch.experiments") / f"shipped/{name}.toml").read_text())
    for name in (
        "adding-lstm",
        "autoencoder",
        "digits-cnn",
        "disk",
        "disk-tuned",
        "resnet",
        "shapes-unet",
        "sine-forecast",
        "text-gpt",
        "text-lstm",
        "vae",
    )
}
STRANGE = [
    *(None, True, 0, -1, 1, 3, 10**9, 10**18, 10**30, 0.5, -1e300, 1e-300, float("nan"), float("inf")),
    *("", "x", "Linear", "mean", "a" * 50_000, "\x1b[31m", "\x07", "a\nb", "\u202e", "../../etc", "/dev/null", "~"),
    *("%s%n", "{0}", "e\u0301", "💥", "1", "true", "nan", "cuda", "float16", "mytorch-nn:Linear", "os:system", ":"),
    *([], [1], ["x"], [[]], [[[[1]]]], [0] * 1000),
    *({}, {"type": "Linear"}, {"type": 3}, {"type": "x" * 5000}, {"a": {"b": {}}}),
]
"""Values that nobody expects at a place."""


def places(value, path=()):
    """Every place in nested tables and lists."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in inside:
        yield (*path, key)
        yield from places(entry, (*path, key))


def holder(content, path):
    for key in path[:-1]:
        content = content[key]
    return content


def changed(content, draw):
    """A copy in which one to three places hold something else, are gone, come twice, or are called otherwise."""
    content = copy.deepcopy(content)
    for _ in range(draw.choice((1, 1, 2, 3))):
        path = draw.choice([*places(content), ("new",)])
        if path == ("new",):
            content["new"] = 1
        held, key = holder(content, path), path[-1]
        match draw.randrange(6):
            case 0 | 1:
                held[key] = copy.deepcopy(draw.choice(STRANGE))
            case 2:
                held.pop(key, None) if isinstance(held, dict) else held.pop(key)
            case 3 if isinstance(held, dict):
                held[draw.choice(["x", "tpye", "", "a.b", "\x1b[1m", "é", key + "s", "k" * 3000])] = held.get(key)
            case 4:
                value = held.get(key) if isinstance(held, dict) else held[key]
                held[key] = [value] * draw.choice((1, 3, 40)) if draw.random() < 0.5 else {"type": value}
            case _:
                other = draw.choice(list(places(content)) or [path])
                held[key] = copy.deepcopy(holder(content, other)[other[-1]])
    return content


def damaged(data, draw):
    """Bytes of which some are changed, cut off, left out or doubled."""
    at, length = draw.randrange(len(data) + 1), draw.choice((1, 1, 4, 64, len(data)))
    match draw.randrange(5):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + data[at + length :]
        case 2:
            return data[:at] + bytes(draw.randrange(256) for _ in range(min(length, 64))) + data[at + length :]
        case 3:
            return data[:at] + data[at : at + length] * 2 + data[at + length :]
        case _:
            return data[:at] + draw.choice([b"\0", b"\xff", b'"', b"[" * 3000, b"{" * 3000, b"9" * 5000]) + data[at:]


def as_toml(content):
    """As TOML writes it; what it cannot hold is left out."""
    if isinstance(content, dict):
        return {key: as_toml(value) for key, value in content.items() if value is not None}
    return [as_toml(value) for value in content if value is not None] if isinstance(content, list) else content


def tell(number, arguments, *named):
    """Run a command in this process. What it says must be fit for a user, and name one of the files if it refuses."""
    said, began = StringIO(), time.monotonic()
    with warnings.catch_warnings(), redirect_stdout(said), redirect_stderr(said):
        warnings.simplefilter("ignore")
        try:
            status = run(list(map(str, arguments)), debug=False)
        except SystemExit as ended:
            status = ended.code
    text, about = said.getvalue(), f"input {number}: {arguments}\n{said.getvalue()[:3000]}"
    assert time.monotonic() - began < SECONDS, f"too long: {about}"
    assert "Traceback" not in text, about
    assert not UNFORESEEN.search(text), about
    assert not status or len(text) <= LONGEST, f"{len(text)} characters: {about}"
    assert not any(character in text for character in "\x1b\x07\u202e"), f"control characters: {about!r}"
    if status:
        assert any(str(name) in text for name in named), f"no file is named: {about}"
    return status


def require_both(statuses):
    refused = sum(map(bool, statuses)) / len(statuses)
    assert 0.1 < refused < 1, f"both what is taken and what is refused must be tried, got {refused} refused"


def small(name, folder):
    """An installed experiment on few rows; one that reads a user's data has some in a folder."""
    content = copy.deepcopy({**SHIPPED[name], "epochs": 1})
    train = content["data"]["train"]
    match train["type"]:
        case "TextFile":
            train["path"] = str(folder / "text.txt")
            (folder / "text.txt").write_text("she sells sea shells by the sea shore\n" * 60)
        case "ImageFolder":
            train["path"] = str(folder / "images")
            for number in range(20):
                image = folder / "images" / "ab"[number % 2] / f"{number}.png"
                image.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 8), (number, 9, 0)).save(image)
        case "Digits":
            content["batch_size"] = 20
        case _:
            for part in ("train", "validation", "test"):
                if part in content["data"]:
                    content["data"][part]["samples"] = 30
    return content


@pytest.mark.parametrize("name", SHIPPED)
def test_experiments(name, tmp_path):
    """Fewer inputs go to those that read files, which takes longer."""
    content = small(name, tmp_path)
    statuses = []
    for number in range(150 if "samples" in content["data"]["train"] else 120):
        draw, path = random.Random(number), tmp_path / f"{number}.toml"
        text = tomli_w.dumps(as_toml(changed(content, draw) if number % 3 else content)).encode("utf-8", "replace")
        path.write_bytes(text if number % 3 else damaged(text, draw))
        statuses.append(tell(number, ["experiment", "check", path], path))
    require_both(statuses)


@pytest.fixture
def blank_figures():
    """Figures are drawn, of whatever a damaged run holds."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run, and rows that it can predict."""
    content = copy.deepcopy(SHIPPED["disk"])
    content |= {"name": "disk", "epochs": 2}
    content["data"]["train"]["samples"] = content["data"]["test"]["samples"] = 40
    folder = tmp_path_factory.mktemp("runs")
    path = train_experiment(content, output=folder, quiet=True).path
    (folder / "rows.csv").write_text("x,y,class\n0.1,0.2,inside\n0.5,0.5,outside\n")
    return path


COMMANDS = (
    ["evaluate", "{run}", "--json"],
    ["evaluate", "{run}", "--data", "{rows}", "--figures", "{out}/figures"],
    ["predict", "{run}", "{rows}", "--output", "{out}/predictions.csv"],
    ["runs", "list", "{parent}"],
    ["runs", "compare", "{run}", "{good}", "--output", "{out}/compare.png"],
    ["explain", "{run}"],
)


def spoil(run, draw):
    """Damage one of a run's files, or several."""
    held = sorted(path for path in run.iterdir() if path.is_file())
    path, other = draw.choice(held), draw.choice(held)
    match draw.randrange(8):
        case 0:
            path.unlink()
        case 1:
            path.unlink()
            path.mkdir()
        case 2:
            shutil.copy(other, path) if other != path else path.write_bytes(b"")
        case 3 | 4 if path.suffix in (".json", ".toml"):
            is_json, text = path.suffix == ".json", path.read_text()
            content = changed(json.loads(text) if is_json else tomllib.loads(text), draw)
            text = json.dumps(content) if is_json else tomli_w.dumps(as_toml(content))
            path.write_text(text, encoding="utf-8", errors="replace")
        case 5:
            for one in (path, other):
                one.write_bytes(damaged(one.read_bytes(), draw))
        case _:
            path.write_bytes(damaged(path.read_bytes(), draw))


def test_run_folders(trained, tmp_path):
    statuses = []
    for number in range(150):
        draw, parent = random.Random(number), tmp_path / str(number)
        shutil.copytree(trained, run := parent / trained.name)
        spoil(run, draw)
        if not any(run.iterdir()):
            continue
        where = {"run": run, "parent": parent, "good": trained, "rows": trained.parent / "rows.csv", "out": parent}
        arguments = [word.format(**where) for word in COMMANDS[number % len(COMMANDS)]]
        statuses.append(tell(number, arguments, run, parent, where["rows"]))
        shutil.rmtree(parent)
    assert 0.1 < sum(map(bool, statuses)) / len(statuses) < 0.98, (
        "both what is taken and what is refused must be tried"
    )


SETTINGS = {"block": ["acme", "acme:Gate"], "only": [], "prefer": ["acme:Gate", "other"]}
ASKED = (
    ["plugins", "list", "schedule"],
    ["plugins", "block", "acme-{number}"],
    ["plugins", "unblock", "acme"],
    ["plugins", "prefer", "acme:Gate"],
    ["plugins", "show", "Linear"],
    ["--help"],
)


def test_plugin_settings(tmp_path, monkeypatch):
    for number in range(150):
        draw, path = random.Random(number), tmp_path / f"{number}" / "plugins.toml"
        path.parent.mkdir()
        text = tomli_w.dumps(as_toml(changed(SETTINGS, draw))).encode("utf-8", "replace")
        path.write_bytes(text if number % 2 else damaged(text, draw))
        monkeypatch.setenv("MYTORCH_CONFIG", str(path))
        tell(number, [word.format(number=number) for word in ASKED[number % len(ASKED)]], path)
