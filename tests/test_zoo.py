"""Bad plugins of every sort, installed at once beside the project: each is told of, and nobody else is harmed."""

import json
import re
import textwrap
from dataclasses import dataclass

import pytest

GOOD = "mytorch-core>=0.1,<0.2"
SCALE = """
import torch
from mytorch.core import Module, Parameter, require_last_axis

class Scale(Module):
    def __init__(self, size: int) -> None:
        self.size = size
        self.gain = Parameter(torch.ones(size))

    def forward(self, x):
        require_last_axis(self, x, self.size)
        return self.gain.value * x, x

    def backward(self, d_y, x):
        self.gain.accumulate((d_y * x).reshape(-1, self.size).sum(0))
        return self.gain.value * d_y
"""
HOOK = "from mytorch.plugins import hookimpl\n"


@dataclass
class Animal:
    """A distribution of one module: entry points by group, its source, and what it asks of mytorch-core."""

    parts: dict[str, dict[str, str]]
    source: str
    verdict: str = "ok"
    needs: str | None = GOOD
    reason: str = ""


def layer(source, verdict="ok", reason="", attribute="Scale", name=None, **more):
    return Animal({"layers": {name or "{class_name}": attribute}}, source, verdict, reason=reason, **more)


def hook(source, verdict="ok", reason="", **more):
    return Animal({"hooks": {"{name}": ""}}, HOOK + source, verdict, reason=reason, **more)


ZOO = {
    "zoo-good": Animal(
        {"layers": {"ZooGood": "Scale"}, "hooks": {"zoo-good": "Listener"}},
        SCALE + HOOK + "class Listener:\n    @hookimpl\n    def training_ended(self, run):\n"
        "        print('zoo-good heard', len(run.history))\n",
    ),
    "zoo-no-range": layer(SCALE, needs=None),
    "zoo-no-bound": layer(SCALE, needs="mytorch-core>=0.1"),
    "zoo-raises": layer("raise RuntimeError('out of order')", "broken", "RuntimeError: out of order"),
    "zoo-exits": layer("import sys; sys.exit(3)", "broken", "SystemExit: 3"),
    "zoo-dies": layer("import os; os._exit(7)", "broken", "7"),
    "zoo-lacks": layer("import nowhere_to_be_found", "broken", "ModuleNotFoundError: No module named"),
    "zoo-future": layer(SCALE, "incompatible", "needs mytorch-core", needs="mytorch-core>=99,<100"),
    "zoo-twin-a": layer(SCALE, "duplicate", "zoo-twin-b:Twin", name="Twin"),
    "zoo-twin-b": layer(SCALE, "duplicate", "zoo-twin-a:Twin", name="Twin"),
    "zoo-usurper": layer(SCALE, "duplicate", "mytorch-nn", name="Linear"),
    # Longer than a third of the import of torch on a machine that is busy with other tests.
    "zoo-slow": layer("import time; time.sleep(2)\n" + SCALE, "slow", "takes"),
    "zoo-wrong-type": layer("Scale = 42", "broken", "must be a class .* got a int"),
    "zoo-half": layer("class Scale:\n    def forward(self, x): ...", "broken", "without backward, param"),
    "zoo-missing": layer(SCALE, "broken", "AttributeError", attribute="Sclae"),
    "zoo-prints": layer("print('hello')\n" + SCALE, "meddling", "print"),
    "zoo-patches": layer("import torch; torch.relu = abs\n" + SCALE, "meddling", "torch.relu"),
    "zoo-dtype": layer("import torch; torch.set_default_dtype(torch.float64)\n" + SCALE, "meddling", "dtype"),
    "zoo-hook-raises": hook("@hookimpl\ndef epoch_ended(run): raise KeyError('no such thing')\n"),
    "zoo-hook-exits": hook("@hookimpl\ndef batch_ended(run): raise SystemExit(5)\n"),
    "zoo-hook-gone": hook("import nowhere_to_be_found", "broken", "ModuleNotFoundError"),
    "zoo-hook-quits": hook("raise SystemExit(4)", "broken", "SystemExit: 4"),
    "zoo-hook-arguments": hook("@hookimpl\ndef epoch_ended(run, epok): ...\n", "broken", "epok"),
    "zoo-hook-unknown": hook(
        "@hookimpl\ndef training_started(run): print('never')\n@hookimpl\ndef epoch_begun(run): ...\n",
        "broken",
        "epoch_begun",
    ),
    "zoo-hook-none": hook("def training_ended(run): print('never')\n", "broken", "at least one hook"),
    "zoo-command": Animal(
        {"commands": {"zoo-command": "go"}}, "raise ValueError('no')", "broken", reason="ValueError"
    ),
}
LEFT_OUT = ("zoo-hook-gone", "zoo-hook-quits", "zoo-hook-arguments", "zoo-hook-unknown", "zoo-hook-none")
FAILS = {"zoo-hook-raises": "KeyError: 'no such thing'", "zoo-hook-exits": "SystemExit: 5"}


def write(folder, name, animal):
    """The source of a distribution."""
    module = name.replace("-", "_")
    home = folder / name
    (home / "src" / module).mkdir(parents=True)
    (home / "src" / module / "__init__.py").write_text(animal.source)
    needs = [] if animal.needs is None else [animal.needs]
    lines = [
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"',
        f'[project]\nname = "{name}"\nversion = "3.1"\ndependencies = {json.dumps(needs)}',
        f'[tool.hatch.build.targets.wheel]\npackages = ["src/{module}"]',
    ]
    for group, entries in animal.parts.items():
        lines.append(f'[project.entry-points."mytorch.{group}"]')
        for key, attribute in entries.items():
            offered = key.format(name=name, class_name=class_name(name))
            lines.append(f'{offered} = "{module}{":" if attribute else ""}{attribute}"')
    (home / "pyproject.toml").write_text("\n".join(lines) + "\n")
    return home


def class_name(name):
    return "".join(word.capitalize() for word in name.split("-"))


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    return [write(folder, name, animal) for name, animal in ZOO.items()]


@pytest.fixture(scope="module")
def wheels(beside, sources, tmp_path_factory):
    """An environment with the zoo's wheels."""
    environment = beside()
    environment.install_wheels(tmp_path_factory.mktemp("zoo-wheels"), *sources)
    return environment


@pytest.fixture(scope="module")
def editable(beside, sources):
    """An environment with the zoo's sources, linked."""
    environment = beside()
    links = [word for source in sources for word in ("-e", source)]
    environment.install("--no-deps", "--no-build-isolation", *links)
    return environment


@pytest.fixture(scope="module", params=["wheels", "editable"])
def zoo(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def experiment(tmp_path):
    """Writes an experiment with a layer of the zoo in it."""

    def write(layer, size=8):
        path = tmp_path / "zoo.toml"
        path.write_text(
            textwrap.dedent(f"""
            requires = ["mytorch-nn", "mytorch-optim", "mytorch-data"]
            epochs = 2
            batch_size = 50
            [data]
            train = {{ type = "Disk", samples = 200 }}
            [model]
            type = "Sequential"
            layers = [
              {{ type = "Linear", in_features = 2, out_features = {size} }},
              {{ type = "{layer}", size = {size} }},
              {{ type = "Linear", in_features = {size}, out_features = 2 }},
            ]
            [loss]
            type = "CrossEntropyLoss"
            [optimizer]
            type = "SGD"
            lr = 0.1
            """)
        )
        return path

    return write


def test_help_and_list_say_nothing_of_what_they_need_not_import(zoo):
    said, errors = zoo.mytorch("--help")
    assert "zoo-command" in said
    assert not errors
    said, errors = zoo.mytorch("plugins", "list", "--json")
    listed = {part["distribution"] for part in json.loads(said)}
    assert set(ZOO) <= listed
    assert all(line.startswith("Warning: ") for line in errors.splitlines())
    for name, told in (("zoo-future", "needs mytorch-core"), ("zoo-twin-a", "several"), ("zoo-usurper", "Linear")):
        assert any(name in line and told in line for line in errors.splitlines()), errors


def test_the_doctor_blames_each_for_its_own(zoo):
    said, errors = zoo.mytorch("plugins", "doctor", "--json", status=2)
    assert not errors
    diagnoses = [d for d in json.loads(said)["parts"] if d["part"]["distribution"] in ZOO]
    assert len(diagnoses) == sum(len(entries) for animal in ZOO.values() for entries in animal.parts.values())
    assert {d["part"]["version"] for d in diagnoses} == {"3.1"}
    found = {d["part"]["distribution"]: d for d in diagnoses}
    told = {name: diagnosis["verdict"] for name, diagnosis in found.items()}
    assert told == {name: animal.verdict for name, animal in ZOO.items()}
    for name, animal in ZOO.items():
        diagnosis = found[name]
        if animal.verdict != "ok":
            assert name in diagnosis["remedy"]
            assert re.search(animal.reason, diagnosis["reason"]), (name, diagnosis["reason"])
    assert "upper bound" in found["zoo-no-bound"]["advice"]
    assert "mytorch-core" in found["zoo-no-range"]["advice"]


def test_training_goes_on_and_each_bad_hook_is_told_once(zoo, experiment, tmp_path):
    said, errors = zoo.mytorch("train", experiment("ZooGood"), "--quiet", folder=tmp_path)
    assert "zoo-good heard 2" in said
    assert "never" not in said
    assert "Traceback" not in said + errors
    for name in LEFT_OUT:
        (line,) = [line for line in errors.splitlines() if name in line]
        assert line.startswith("Warning: ")
        assert "3.1" in line, line
        assert f"pip uninstall {name}" in line, line
    for name, reason in FAILS.items():
        (line,) = [line for line in errors.splitlines() if name in line]
        assert reason in line
    assert len(errors.splitlines()) == len(LEFT_OUT) + len(FAILS) + 1, errors  # and one for the name Linear
    assert "'Linear' is taken from mytorch-nn" in errors


def test_the_result_is_what_it_is_without_them(wheels, experiment, tmp_path):
    file = experiment("ZooGood")
    histories = []
    for turn, only in enumerate(("", "zoo-good")):
        wheels.mytorch("train", file, "-o", f"runs-{turn}", folder=tmp_path, MYTORCH_ONLY_PLUGINS=only)
        (kept,) = (tmp_path / f"runs-{turn}").iterdir()
        rows = (kept / "history.csv").read_text().splitlines()
        seconds = rows[0].split(",").index("seconds")
        histories.append([[cell for n, cell in enumerate(row.split(",")) if n != seconds] for row in rows])
    assert histories[0] == histories[1]


def test_a_shipped_experiment_is_not_taken_over(wheels, tmp_path):
    wheels.mytorch("train", "disk", "--set", "epochs=1", "--quiet", folder=tmp_path)
    (kept,) = (tmp_path / "runs").iterdir()
    layers = json.loads((kept / "model.json").read_text())["model"]["layers"]
    assert "mytorch-nn:Linear" in {layer["type"] for layer in layers}
    assert "zoo" not in str(layers)


@pytest.mark.parametrize(
    "name",
    ["zoo-raises", "zoo-exits", "zoo-lacks", "zoo-future", "zoo-wrong-type", "zoo-half", "zoo-missing"],
)
def test_using_a_bad_one_is_told_with_its_place(wheels, experiment, tmp_path, name):
    only = {"MYTORCH_ONLY_PLUGINS": name}
    said, errors = wheels.mytorch("train", experiment(class_name(name)), folder=tmp_path, status=1, **only)
    line, place, file = errors.splitlines()
    assert place == "  at model.layers.1.type"
    assert file.startswith("  in ")
    assert line.startswith("Error: "), errors
    assert f"layer {class_name(name)!r} of {name} 3.1" in line
    assert f"pip uninstall {name}" in line
    assert not said
    assert not (tmp_path / "runs").exists()


def test_a_name_that_two_offer_is_never_guessed(wheels, experiment, tmp_path):
    only = {"MYTORCH_ONLY_PLUGINS": "zoo-twin-a,zoo-twin-b"}
    _, errors = wheels.mytorch("train", experiment("Twin"), folder=tmp_path, status=1, **only)
    assert "'zoo-twin-a:Twin' or 'zoo-twin-b:Twin'" in errors
    assert "mytorch plugins prefer" in errors
    _, errors = wheels.mytorch("train", experiment("zoo-twin-b:Twin"), "--quiet", folder=tmp_path, **only)
    assert not errors
    preferred = {**only, "MYTORCH_PREFER_PLUGINS": "zoo-twin-a"}
    _, errors = wheels.mytorch("train", experiment("Twin"), "--quiet", folder=tmp_path, **preferred)
    (line,) = errors.splitlines()
    assert "'Twin' is taken from zoo-twin-a: preferred by" in line


@pytest.mark.parametrize("name", [*LEFT_OUT, *FAILS])
def test_strict_makes_it_fatal(wheels, experiment, tmp_path, name):
    options = {"MYTORCH_STRICT_PLUGINS": "1", "MYTORCH_ONLY_PLUGINS": f"zoo-good,{name}"}
    file = experiment("ZooGood")
    _, errors = wheels.mytorch("train", file, "--quiet", folder=tmp_path, status=1, **options)
    line, *_ = errors.splitlines()
    assert line.startswith("Error: ")
    assert name in line
    assert FAILS.get(name, "") in line


def test_what_is_blocked_is_silent(wheels, experiment, tmp_path):
    bad = ",".join([*LEFT_OUT, *FAILS, "zoo-usurper"])
    said, errors = wheels.mytorch(
        "train", experiment("ZooGood"), "--quiet", folder=tmp_path, MYTORCH_BLOCK_PLUGINS=bad
    )
    assert not errors
    assert "zoo-good heard 2" in said


def test_a_broken_command_harms_no_other(wheels):
    _, errors = wheels.mytorch("zoo-command", status=1)
    (line,) = errors.splitlines()
    assert "command 'zoo-command' of zoo-command 3.1 cannot be imported" in line
    assert "Usage: " in wheels.mytorch("train", "--help")[0]
    config = wheels.packages.parent / "plugins.toml"
    wheels.mytorch("plugins", "block", "zoo-command", MYTORCH_CONFIG=str(config))
    assert "zoo-command" not in wheels.mytorch("--help", MYTORCH_CONFIG=str(config))[0]
