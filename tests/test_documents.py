"""Every page is true: its commands and snippets run, and what they print is what the page shows.

Pages are run in a temporary folder that looks like the checkout. In a `console` block, a line after "$ " is a command
and the others are what it prints, with other numbers and "..." for what is left out; `bash` is commands alone. What
needs the network (venv, pip, tox) is not run: its files, options and environments are checked. In a `python` block,
each print has its output beside it. A `toml` block is an experiment, a part of one, an exercise, or a part of a
pyproject.toml.
"""

import argparse
import ast
import configparser
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tokenize
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from mytorch.experiments import load_experiment
from mytorch.experiments.file.build import build
from mytorch.plugins import KINDS

HOUSE = Path(__file__).parents[1]
FOLDERS = [f for f in HOUSE.iterdir() if f.is_dir() and f.name[0] != "." and not (f / "pyvenv.cfg").exists()]
PAGES = sorted([*HOUSE.glob("*.md"), *(page for folder in FOLDERS for page in folder.rglob("*.md"))])
DISK = HOUSE / "mytorch-experiments/src/mytorch/experiments/shipped/disk.toml"
SHORTER = {"train": ["--set", "epochs=2"], "parity": ["--set", "epochs=2", "--runs", "2"]}
"""Options behind a command's own that make it quicker."""
FEWER_STEPS_A_CALL = ["--set", "data.train.samples=200"]
"""For a command that compiles several steps as one program."""
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(HOUSE)))


@dataclass
class Block:
    """A fenced block and the number of its first line."""

    language: str
    line: int
    code: str


def blocks(text):
    """The fenced blocks of a page."""
    found, inside = [], None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip().startswith("```"):
            if inside is not None:
                inside.code += line + "\n"
        elif inside is None:
            inside = Block(line.strip().removeprefix("```"), number + 1, "")
        else:
            found.append(inside)
            inside = None
    assert inside is None, f"the block of line {inside.line} has no end"
    return found


@pytest.fixture
def blank_figures():
    """Figures are drawn: the pages tell of them."""


@each_page
def test_every_block_holds(page, shop):
    if page.name == "privacy.md":
        pytest.importorskip("dp_accounting", reason="it comes with mytorch-train[privacy]; see tox -e extras")
    before = set(shop.folder.iterdir())
    for block in blocks(page.read_text()):
        assert block.language in LANGUAGES, f"line {block.line}: language must be one of {', '.join(LANGUAGES)}"
        try:
            LANGUAGES[block.language](block, shop)
        except BaseException as error:
            error.add_note(f"in the block at {page}:{block.line}")
            raise
    if page == HOUSE / "README.md":
        require_ignored(set(shop.folder.iterdir()) - before)


def require_ignored(made):
    """What the tour of README makes in a clone must not stand in `git status`."""
    if not (HOUSE / ".git").exists() or not shutil.which("git"):
        pytest.skip("git says what is ignored, in a clone")
    names = sorted(path.name + "/" * path.is_dir() for path in made)
    command = ["git", "-C", HOUSE, "check-ignore", "--no-index", *names]
    ignored = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    assert ignored == names, f"{sorted({*names} - {*ignored})} must be in .gitignore"


# Python


def run_python(block, shop):
    tree = ast.parse("\n" * (block.line - 1) + block.code)
    beside = {}
    for token in tokenize.generate_tokens(io.StringIO(block.code).readline):
        if token.type == tokenize.COMMENT:
            beside[token.start[0] + block.line - 1] = token.string.removeprefix("#").strip()
    prints = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"]
    told = [beside.get(line, "nothing") for line in sorted(node.end_lineno for node in prints)]
    shop.capsys.readouterr()
    exec(compile(tree, "page", "exec"), vars(shop.names))
    said = shop.capsys.readouterr().out.splitlines()
    assert len(said) == len(told), f"the page tells {told}, got {said}"
    for ours, theirs in zip(told, said, strict=True):
        assert re.fullmatch(".*".join(map(re.escape, ours.split("..."))), theirs), f"told {ours!r}, got {theirs!r}"


# TOML


def check_toml(block, shop):
    content = tomllib.loads(block.code)
    if name := re.match(r"# ([\w-]+\.toml)\n", block.code):
        (shop.folder / name[1]).write_text(block.code)
    if "project" in content:
        project = content["project"]
        assert set(project.get("entry-points", ())) <= set(KINDS.values())
        needs = project.get("dependencies", ["mytorch-core>=0,<1"])
        assert any(re.fullmatch(r"mytorch-core>=[\d.]+,<[\d.]+", line) for line in needs)
        return
    if "pieces" in content:
        from mytorch.playground.exercises.exercise import Exercise  # not where the pages of extras are tested
        from mytorch.playground.exercises.judgement import judge

        exercise = Exercise.model_validate(content)
        lines = [exercise.solution, *(piece.code for piece in exercise.pieces)]
        assert [judge(exercise, line).right for line in lines] == [True, *(False for _ in exercise.pieces)]
        return
    setup = build(load_experiment({"name": "page", **tomllib.loads(DISK.read_text()), **content})).setup
    inputs, targets = next(iter(setup.batches))
    with torch.inference_mode():
        assert setup.take_step(inputs, targets)[0].isfinite()


# Commands


def run_console(block, shop):
    before, *commands = re.split(r"(?m)^\$ ", block.code)
    assert not before, "a console block must begin with a command, '$ ...'"
    for text in commands:
        command, *shown = text.splitlines()
        compare(shown, do(command, shop, fails=any(line.startswith("Error") for line in shown)))


def run_bash(block, shop):
    for line in block.code.splitlines():
        do(line, shop)


def is_run_with_wheels(block, shop):
    """tests/test_tools.py runs these commands, which install what is built."""
    assert block.code in (HOUSE / "docs/releases.md").read_text()


def masked(line):
    line = re.sub(r"-\d{8}-\d{6}(-\d+)?", "", " ".join(line.split()))
    return re.sub(r"\d+(\.\d+)?(e[-+]?\d+)?", "0", line)


def compare(shown, said):
    """Every line that is shown must be among those printed, in this order, up to spaces and numbers."""
    lines = iter([masked(line) for line in said.splitlines()])
    for line in shown:
        assert line == "..." or masked(line) in lines, f"{line!r} is not, or not there, in:\n{said}"


def do(line, shop, fails=False):
    """Run or check the commands of a line that is joined by &&; returns what they print."""
    if inner := re.fullmatch(r'eval "\$\((.*)\)"', line):
        line = inner[1]
    said = ""
    for command in line.split(" && "):
        program, *arguments = shlex.split(command)
        if program.startswith(".venv/bin/"):
            assert ".venv" in shop.made, f"{program}: .venv must be made before"
            program = program.removeprefix(".venv/bin/")
        assert program in PROGRAMS, f"no way is known to check the command {program!r}"
        said += PROGRAMS[program](arguments, shop, fails) or ""
    return said


def run_mytorch(arguments, shop, fails):
    if arguments[:2] == ["plugins", "new"]:
        pytest.importorskip("copier", reason="copier comes with mytorch-cli[new]")
    if arguments[:2] == ["export", "onnx"]:
        for name in ("onnx", "onnxruntime", "onnxscript"):
            pytest.importorskip(name, reason=f"{name} comes with mytorch-experiments[onnx]; see tox -e extras")
    elif (arguments[:2] == ["export", "step"] or "--aot-inductor" in arguments) and not shutil.which("g++"):
        pytest.skip("what follows needs a C++ compiler")
    shorter = [] if fails else SHORTER.get(arguments[0], [])
    if shorter and "compiled" in arguments:
        shorter = [*shorter, *FEWER_STEPS_A_CALL]
    arguments = [latest(argument, shop) for argument in arguments]
    if arguments[0] == "serve":
        return start_server(arguments, shop)
    if shorter:  # which must not hide that the command as it is written is refused
        settings = [part for pair in pairwise(arguments) if pair[0] == "--set" for part in pair]
        call_mytorch(["experiment", "check", arguments[1], *settings], shop, fails=False)
    return call_mytorch([*arguments, *shorter], shop, fails)


def call_mytorch(arguments, shop, fails):
    """In this process, which has imported torch, unless parts of a stranger are to be found, or something compiled."""
    if shop.path or "compiled" in arguments or arguments[0] in ("export", "plugins"):
        return call([Path(sys.executable).with_name("mytorch"), *arguments], shop, fails)
    return shop.mytorch(shop.folder, *arguments, status=1 if fails else 0, COLUMNS="120")


def start_server(arguments, shop):
    """A server, which `ask` finds at another port than the page tells; returns the first lines that it prints."""
    pytest.importorskip("starlette", reason="what follows needs mytorch-experiments[serve]")
    command = [Path(sys.executable).with_name("mytorch"), *arguments, "--port", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    variables = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(list(map(str, command)), cwd=shop.folder, env=variables, **pipes)
    said = process.stdout.readline()
    shop.servers["127.0.0.1:8000"] = process, re.search(r"127\.0\.0\.1:\d+", said)[0]
    return said


def ask(arguments, shop, fails):
    """What curl prints, of the server that the page has started."""
    if not shutil.which("curl"):
        pytest.skip("requests are made by curl")
    for told, (_, true) in shop.servers.items():
        arguments = [argument.replace(f"http://{told}/", f"http://{true}/") for argument in arguments]
    assert any("127.0.0.1" in argument for argument in arguments), "a server must be started before"
    return call(["curl", *arguments], shop, fails)


def test_fewer_epochs_hide_no_error(shop):
    schedule = """'schedule={ type = "OneCycleLR", max_lr = 0.1, total_steps = 100 }'"""
    do(f"mytorch train disk --quiet --set epochs=10 --set {schedule}", shop)
    with pytest.raises(AssertionError, match="step must be at most total_steps = 100"):
        do(f"mytorch train disk --quiet --set epochs=11 --set {schedule}", shop)


def latest(argument, shop):
    """The argument with the newest run of the page wherever it names one by an invented date."""

    def newest(name):
        found = max(shop.folder.glob(f"{name[1]}-2*"), key=lambda run: run.stat().st_mtime_ns)
        return str(found.relative_to(shop.folder))  # as it is typed, and as errors repeat it

    return re.sub(r"\b(runs/[\w-]+)-\d{8}-\d{6}", newest, argument)


def call(command, shop, fails):
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, shop.path)), "COLUMNS": "120"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(list(map(str, command)), cwd=shop.folder, env=variables, check=False, **pipes)
    assert (done.returncode != 0) == fails, f"{command} left with {done.returncode}:\n{done.stdout}"
    return done.stdout


def run_interpreter(arguments, shop, fails):
    match arguments:
        case ["-m", "venv", folder]:
            shop.made.add(folder)
            return ""
        case ["-m", "pip", "install", *rest]:
            return check_pip(rest, shop)
        case ["-m", tool, *rest]:
            assert tool in PROGRAMS, f"no way is known to check python -m {tool}"
            return PROGRAMS[tool](rest, shop, fails)
        case ["website/stage.py"]:  # it needs a checkout; tox -e docs runs it
            return as_in_tox("python")(arguments, shop, fails)
    return call([sys.executable, *arguments], shop, fails)


def check_pip(arguments, shop):
    parser = argparse.ArgumentParser(exit_on_error=False)
    for flags in (["-c"], ["-r"], ["-e"]):
        parser.add_argument(*flags, action="append", default=[])
    parser.add_argument("--no-deps", action="store_true")
    parser.add_argument("--quiet", "-q", action="store_true")
    parser.add_argument("what", nargs="*")
    given = parser.parse_args(arguments)
    assert given.what or given.r or given.e
    given.what += given.e
    texts = [(HOUSE / file).read_text().splitlines() for file in given.r]
    paths = [line for lines in texts for line in lines if line and line[0] != "#"]
    pinned = {line.partition("==")[0] for line in (HOUSE / "constraints.txt").read_text().splitlines()}
    assert all((HOUSE / file).is_file() for file in given.c)
    for what in paths + given.what:
        if what.startswith("."):
            shop.install(what)
        else:
            assert what in pinned, f"{what} must be pinned in constraints.txt"
            shop.installed.add(what)
    return ""


def check_tox(arguments, shop, fails):
    assert "tox" in shop.installed, "tox must be installed before"
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(HOUSE / "tox.ini")
    known = settings["tox"]["env_list"].replace(",", " ").split()
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("do", nargs="?", choices=["run"])
    parser.add_argument("-e", default="")
    assert set(filter(None, parser.parse_args(arguments).e.split(","))) <= set(known)


def check_pytest(arguments, shop, fails):
    if not arguments:  # in a distribution of one's own
        return call([sys.executable, "-m", "pytest", "-p", "no:cacheprovider"], shop, fails)
    assert all((HOUSE / argument).exists() for argument in arguments), arguments
    return ""


def change_folder(arguments, shop, fails):
    (name,) = arguments
    shop.folder /= name
    assert shop.folder.is_dir()


def as_in_tox(program):
    """A tool is called as tox calls it."""

    def check(arguments, shop, fails):
        lines = (HOUSE / "tox.ini").read_text().splitlines()
        command = " ".join([program, *arguments])
        assert any(line.strip().removeprefix("python -m ") == command for line in lines), command

    return check


def check_source(arguments, shop, fails):
    assert arguments == [".venv/bin/activate"]
    assert ".venv" in shop.made


def write_cpp(block, shop):
    (shop.folder / re.match(r"// ([\w-]+\.cpp)\n", block.code)[1]).write_text(block.code)


def run_compiler(arguments, shop, fails):
    torch_folder = torch.__path__[0]
    return call(["g++", *(argument.replace("$TORCH", torch_folder) for argument in arguments)], shop, fails)


LANGUAGES = {
    "python": run_python,
    "toml": check_toml,
    "console": run_console,
    "bash": run_bash,
    "cpp": write_cpp,
    "sh": is_run_with_wheels,
}
PROGRAMS = {
    "mytorch": run_mytorch,
    **dict.fromkeys(["python", "python3"], run_interpreter),
    "cd": change_folder,
    "cmp": lambda arguments, shop, fails: call(["cmp", *arguments], shop, fails),
    "curl": ask,
    "g++": run_compiler,
    "./predict": lambda arguments, shop, fails: call([shop.folder / "predict", *arguments], shop, fails),
    "./train": lambda _arguments, shop, fails: call([shop.folder / "train"], shop, fails),
    "tox": check_tox,
    "pytest": check_pytest,
    "source": check_source,
    ".ci/run": lambda *_: (HOUSE / ".ci/run").read_text(),
    **{tool: as_in_tox(tool) for tool in ("ruff", "lint-imports", "zensical")},
}
