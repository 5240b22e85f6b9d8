"""`mytorch plugins doctor`, with every kind of bad plugin installed at once."""

import json
import subprocess
import sys

import pytest

LAYER = "class Gate:\n    forward = backward = param = None\n"
BAD = {
    "raises": ("raise RuntimeError('no luck')", "broken", "RuntimeError: no luck"),
    "exits": ("import sys; sys.exit(3)", "broken", "SystemExit: 3"),
    "hard": ("import os; os._exit(7)", "broken", "SystemExit: os._exit(7)"),
    "killed": ("import os; os.kill(os.getpid(), 9)", "broken", "ends the process by the signal SIGKILL"),
    "empty": ("", "broken", "AttributeError"),
    "type": ("Gate = 3", "broken", "must be a class such as a subclass of mytorch.core.Module, got a int"),
    "prints": ("print('hello you')\n" + LAYER, "meddling", "prints when imported: 'hello you'"),
    "writes": ("import os; os.write(2, b'raw')\n" + LAYER, "meddling", "prints when imported: 'raw'"),
    "patches": ("import torch; torch.relu = None\n" + LAYER, "meddling", "changes torch.relu when imported"),
    "method": (
        "import torch; torch.Tensor.__add__ = torch.Tensor.__sub__\n" + LAYER,
        "meddling",
        "changes torch.Tensor.__add__ when imported",
    ),
    "dtype": (
        "import torch; torch.set_default_dtype(torch.float64)\n" + LAYER,
        "meddling",
        "torch.get_default_dtype() when imported",
    ),
    "cold": (
        "import time; from pathlib import Path\nwarm = Path(__file__).with_name('warm')\n"
        "time.sleep(0 if warm.exists() else 0.8)\nwarm.touch()\n" + LAYER,
        "ok",
        "",
    ),
    "good": (LAYER, "ok", ""),
    "speaks": ("raise RuntimeError('\\x1b[31mred')", "broken", r"RuntimeError: \x1b[31mred"),
}


def install(site, name, text, **more):
    site.module(f"acme_{name}", text)
    site.distribution(f"acme-{name}", layers={f"Gate{name}": f"acme_{name}:Gate"}, **more)


@pytest.fixture
def zoo(site):
    for name, (text, _, _) in BAD.items():
        install(site, name, text)
    install(site, "slow", "import time; time.sleep(2)\n" + LAYER)
    site.distribution("acme-typo", layer={"Gate": "acme_good:Gate"})
    site.module("acme_two_a", LAYER)
    site.module("acme_two_b", LAYER)
    site.distribution("acme-two-a", layers={"Twice": "acme_two_a:Gate"})
    site.distribution("acme-two-b", layers={"Twice": "acme_two_b:Gate"})
    install(site, "future", LAYER, requires="mytorch-core>=7")
    install(site, "open", LAYER, requires="mytorch-core>=0.1")
    install(site, "silent", LAYER, requires="click")
    install(site, "blocked", LAYER)
    site.module("acme_hook", "from mytorch.plugins import hookimpl\n@hookimpl\ndef no_such_hook(run): pass\n")
    site.distribution("acme-hook", hooks={"log": "acme_hook"})
    callback = (
        "from mytorch.plugins import hookimpl\nclass Stop:\n    def __init__(self, needed): pass\n    @hookimpl\n"
    )
    site.module("acme_good_callback", callback + "    def epoch_ended(self, epoch): pass\n")
    site.module("acme_bad_callback", callback + "    def epoch_ended(self, epok): pass\n")
    site.distribution("acme-callback", callbacks={"A": "acme_good_callback:Stop", "B": "acme_bad_callback:Stop"})
    site.module("acme_unmade", "class Log:\n    def __init__(self): raise ValueError('cannot\\nbe')\n")
    site.distribution("acme-unmade", hooks={"log": "acme_unmade:Log"})
    return site


def test_every_plugin_gets_its_verdict_and_the_blame(mytorch, zoo):
    done = mytorch("plugins", "doctor", "--json", MYTORCH_BLOCK_PLUGINS="acme-blocked")
    assert done.returncode == 2, done.stderr
    parts = {f"{one['part']['distribution']}:{one['part']['name']}": one for one in json.loads(done.stdout)["parts"]}
    for name, (_, verdict, reason) in BAD.items():
        one = parts[f"acme-{name}:Gate{name}"]
        assert (one["verdict"], reason in one["reason"]) == (verdict, True), one
    (typo,) = json.loads(done.stdout)["foreign"]
    assert typo == "acme-typo: entry points must be in a known group, got 'mytorch.layer'. Nearest: mytorch.layers"
    slow = parts["acme-slow:Gateslow"]
    assert slow["seconds"] > 0.7
    assert slow["verdict"] in ("ok", "slow"), "that depends on how long torch takes"
    assert all(one["verdict"] in ("ok", "slow") for name, one in parts.items() if name.startswith("mytorch-"))
    assert parts["acme-two-a:Twice"]["verdict"] == parts["acme-two-b:Twice"]["verdict"] == "duplicate"
    assert parts["acme-two-b:Twice"]["remedy"] == "mytorch plugins prefer acme-two-b:Twice"
    assert parts["acme-future:Gatefuture"]["verdict"] == "incompatible"
    assert "upper bound" in parts["acme-open:Gateopen"]["advice"]
    assert "no version of mytorch-core" in parts["acme-silent:Gatesilent"]["advice"]
    assert parts["acme-blocked:Gateblocked"]["remedy"] == "unset MYTORCH_BLOCK_PLUGINS"
    assert "no_such_hook" in parts["acme-hook:log"]["reason"]
    assert parts["acme-callback:A"]["verdict"] == "ok"
    assert "epok" in parts["acme-callback:B"]["reason"]
    assert parts["acme-unmade:log"]["reason"] == "ValueError: cannot be"
    assert not {"acme_future", "acme_blocked"} & set(zoo.imported)


def test_the_text_names_reason_remedy_and_traceback(mytorch, site):
    install(site, "raises", "raise RuntimeError('no luck')")
    done = mytorch("plugins", "doctor")
    lines = done.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if "acme-raises:Gateraises 1.5" in line)
    assert lines[at].startswith("broken")
    assert "RuntimeError: no luck" in lines[at + 1]
    assert lines[at + 2] == "    fix: python -m pip uninstall acme-raises"
    assert lines[-1].endswith("1 broken")
    assert "Traceback" not in done.stdout
    assert "acme_raises.py" in mytorch("plugins", "doctor", "--traceback").stdout


def test_a_foreign_package_that_hides_the_parts_is_named(mytorch, site):
    """The folder comes behind the installed parts on the path, so that the command itself still runs."""
    program = (
        "import sys; from mytorch.cli import main; import mytorch.plugins.doctor as doctor;"
        f"sys.path.append({str(site.folder)!r}); print(doctor.foreign_packages())"
    )
    (site.folder / "mytorch").mkdir()
    (site.folder / "mytorch" / "__init__.py").touch()
    (site.folder / "other-1.5.dist-info").mkdir()
    (site.folder / "other-1.5.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.5\n")
    (site.folder / "other-1.5.dist-info" / "RECORD").write_text("mytorch/__init__.py,,\n")
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "of other hides parts of mytorch. python -m pip uninstall other" in said


def test_a_torch_that_nothing_was_tested_with_is_named(mytorch, site):
    (site.folder / "torch-9.0.0.dist-info").mkdir()
    (site.folder / "torch-9.0.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: torch\nVersion: 9.0.0\n"
    )
    done = mytorch("plugins", "doctor")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-2].startswith("torch: version must be one that mytorch is tested with, 2.6 to 2.")
    assert ", got 9.0.0; its kernels" in done.stdout
    told = json.loads(mytorch("plugins", "doctor", "--json").stdout)
    assert "got 9.0.0" in told["torch"]


def test_unreadable_metadata_of_any_package_is_named_before_anything_else(mytorch, site):
    info = site.folder / "innocent-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: innocent\nVersion: 1.0\n")
    (info / "entry_points.txt").write_bytes(b"[console_scripts]\nx = \xff:main\n")
    site.command("breaks", "from importlib.metadata import entry_points; entry_points()")
    for arguments in (["plugins", "doctor"], ["breaks"]):
        done = mytorch(*arguments)
        assert done.returncode == 1
        assert f"{info / 'entry_points.txt'} must hold lines like" in done.stderr
        assert "(byte 0xff at place 22 is not UTF-8 text)" in done.stderr
        assert "Install that distribution again or remove it" in done.stderr
        assert "unexpected" not in done.stderr
        assert not done.stdout


def test_no_advice_blocks_what_belongs_to_the_project():
    from mytorch.plugins import Catalogue, Part
    from mytorch.plugins.doctor import diagnose
    from mytorch.plugins.probe import Finding

    ours = Part("command", "train", "mytorch-experiments", "0.1.0", "mytorch.commands.train:train", ">=0.1,<0.2")
    for finding in (Finding(seconds=9.0), Finding(output="x"), Finding(changed=("torch.relu",)), Finding(error="no")):
        (one,) = diagnose(Catalogue([ours]), lambda parts, found=finding: iter([found]))
        assert one.remedy.endswith("--force-reinstall ./mytorch-experiments")
