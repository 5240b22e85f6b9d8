"""The command starts without the slow libraries. benchmarks/startup.py measures how fast."""

import subprocess
import sys

import pytest

SLOW = {"torch", "numpy", "rich", "pydantic", "matplotlib", "safetensors"}

SCRIPT = """
import sys
from mytorch.cli.entry import run
status = run(sys.argv[1:], debug=True)
print(*sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["plugins", "list"],
        ["plugins", "list", "--json"],
        ["completion", "bash"],
        ["train", "--help"],
        ["evaluate", "--help"],
        ["parity", "--help"],
        ["data", "--help"],
        ["data", "generate", "--help"],
    ],
    ids=" ".join,
)
def test_nothing_slow_is_imported(arguments):
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "click" in result.stderr
    assert not SLOW & set(result.stderr.split())


def test_plugins_does_not_import_torch_even_for_hooks():
    code = "import sys, mytorch.plugins as p; p.Hooks(installed=False); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


@pytest.mark.parametrize(
    "path", [["train"], ["evaluate"], ["export"], ["parity"], ["data"], ["data", "generate"]], ids=" ".join
)
def test_the_help_of_every_command_has_an_example(path):
    code = "from mytorch.cli import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, *path, "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.partition("Example")[2].partition(":\n")[2].lstrip().startswith("mytorch ")
