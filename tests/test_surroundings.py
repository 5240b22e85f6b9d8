"""The project's tests, documents and benchmarks see no settings, cache or variable of whoever runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

HOUSE = Path(__file__).parents[1]
SENSITIVE = (
    "mytorch-core/tests/plugins/test_hooks.py",
    "mytorch-core/tests/plugins/test_doctor.py",
    "mytorch-cli/tests/plugins/test_listing.py",
)
BLOCKED = "acme, acme-good, acme-bad, acme-hook, mytorch-nn, mytorch-train, mytorch-experiments"


def hostile(folder):
    """Variables as somebody may have them who has blocked plugins, and whose terminal is narrow and coloured."""
    settings = folder / "mytorch" / "plugins.toml"
    settings.parent.mkdir()
    settings.write_text(f"block = {json.dumps(BLOCKED.split(', '))}\n")
    matplotlib = folder / "matplotlib" / "matplotlibrc"
    matplotlib.parent.mkdir()
    matplotlib.write_text("savefig.dpi: 7\n")
    return {
        **os.environ,
        "XDG_CONFIG_HOME": str(folder),
        "MYTORCH_CONFIG": str(settings),
        "MYTORCH_BLOCK_PLUGINS": BLOCKED,
        "MYTORCH_STRICT_PLUGINS": "1",
        "MYTORCH_DEBUG": "1",
        "MYTORCH_CACHE": "/dev/null",
        "MPLBACKEND": "nonsense",
        "COLUMNS": "20",
        "FORCE_COLOR": "1",
    }


LOOK = """
import os, subprocess, sys
sys.path.insert(0, "benchmarks")
import side_by_side
from mytorch.plugins import rules
assert rules().block == (), rules()
print(os.environ["MYTORCH_CACHE"], flush=True)
if len(sys.argv) == 1:
    subprocess.run([sys.executable, __file__, "child"], check=True)
"""


def test_tests_pass_whatever_the_user_has_set(tmp_path):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *SENSITIVE]
    done = subprocess.run(
        command, cwd=HOUSE, env=hostile(tmp_path), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout


def test_nothing_of_the_users_is_left_in_the_tests():
    from platformdirs import user_cache_path, user_config_path

    for folder in (user_config_path("mytorch"), user_cache_path("mytorch")):
        assert "mytorch-tests-" in str(folder)
        assert not folder.is_relative_to(Path.home())
    assert not any(
        name.startswith("MYTORCH") for name in os.environ if name not in ("MYTORCH_CONFIG", "MYTORCH_CACHE")
    )


def test_benchmarks_see_nothing_either(tmp_path):
    (script := tmp_path / "look.py").write_text(LOOK)
    done = subprocess.run([sys.executable, script], cwd=HOUSE, env=hostile(tmp_path), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    own, inherited = done.stdout.split()
    assert own == inherited != "/dev/null", "a process that a benchmark starts has its surroundings"
    assert not Path(own).parent.exists(), "they are removed at the end"
