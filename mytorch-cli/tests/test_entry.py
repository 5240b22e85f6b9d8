"""How a command ends: status and lines for the user, never a traceback that was not asked for."""

import signal
import subprocess
import sys

import pytest

from mytorch.cli.entry import take_debug
from mytorch.cli.failure import explain
from mytorch.plugins import MytorchError

FAILURES = {
    "known": (
        'from mytorch.plugins import MytorchError\nerror = MytorchError("Owner: x must be 1, got 2")\n'
        'error.add_note("in net.0\\nin net")\nraise error',
        "Error: Owner: x must be 1, got 2\n  in net.0\n  in net\n",
    ),
    "file": ('open("/no/such/file.csv")', "Error: /no/such/file.csv: No such file or directory\n"),
    "bug": (
        'raise ValueError("two\\n  lines")',
        "Error: unexpected ValueError: two lines. Run again with --debug for the traceback, "
        "which whoever maintains the command needs.\n",
    ),
    "bare": (
        'class Odd(BaseException): pass\nraise Odd("two\\n  lines")',
        "Error: unexpected Odd: two lines. Run again with --debug for the traceback, "
        "which whoever maintains the command needs.\n",
    ),
    "empty": (
        "assert False",
        "Error: unexpected AssertionError. Run again with --debug for the traceback, "
        "which whoever maintains the command needs.\n",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_is_one_line_and_status_1(mytorch, site, case):
    body, expected = FAILURES[case]
    site.command("fail", body)
    result = mytorch("fail")
    assert (result.returncode, result.stderr, result.stdout) == (1, expected, "")


@pytest.mark.parametrize("arguments", [("--debug", "fail"), ("fail", "--debug")])
def test_debug_shows_the_traceback(mytorch, site, arguments):
    site.command("fail", 'raise ValueError("oh")')
    result = mytorch(*arguments)
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("Error: unexpected ValueError: oh.\n")


def test_debug_by_environment(mytorch, site):
    site.command("fail", 'raise ValueError("oh")')
    assert "Traceback" in mytorch("fail", MYTORCH_DEBUG="1").stderr
    assert "Traceback" not in mytorch("fail", MYTORCH_DEBUG="0").stderr


def test_usage_errors_have_status_2_and_no_traceback(mytorch):
    result = mytorch("plugins", "list", "layers", "--debug")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "'layers' is not one of" in result.stderr


def test_ctrl_c_says_aborted(mytorch, site):
    site.command("wait", "raise KeyboardInterrupt")
    result = mytorch("wait")
    assert (result.returncode, result.stderr.strip()) == (130, "Aborted")


def test_exit_statuses_of_commands_are_kept(mytorch, site):
    site.command("five", "click.get_current_context().exit(5)")
    site.command("six", "raise SystemExit(6)")
    site.command("value", "return 7")
    assert mytorch("five").returncode == 5
    assert mytorch("six").returncode == 6
    assert mytorch("value").returncode == 0


def test_a_closed_pipe_is_quiet(site):
    site.command("flood", 'for _ in range(100_000):\n    click.echo("x" * 80)')
    process = subprocess.Popen(
        [sys.executable, "-c", "from mytorch.cli import main; main()", "flood"],
        env={"PYTHONPATH": str(site.folder), "IMPORTED": str(site.folder / "imported.log")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    with process.stderr as stderr:
        assert stderr.read() == b""
    assert process.wait(timeout=30) not in (0, -signal.SIGKILL)


def test_plugin_warnings_are_one_line_and_others_are_pythons(mytorch, site):
    site.command(
        "warn",
        "import warnings\nfrom mytorch.plugins import PluginWarning\n"
        'warnings.warn("acme:x is left out", PluginWarning)\nwarnings.warn("deprecated thing", UserWarning)',
    )
    lines = mytorch("warn").stderr.splitlines()
    assert lines[0] == "Warning: acme:x is left out"
    assert lines[1].endswith("UserWarning: deprecated thing")


def test_debug_after_two_dashes_belongs_to_the_command(monkeypatch):
    monkeypatch.delenv("MYTORCH_DEBUG", raising=False)
    assert take_debug(["run", "--", "--debug"]) == (["run", "--", "--debug"], False)
    assert take_debug(["run", "--debug", "--", "x"]) == (["run", "--", "x"], True)


def test_errors_without_a_file_or_a_text():
    assert explain(OSError("plain"), debug=True) == ["Error: unexpected OSError: plain."]
    assert explain(MytorchError("x"), debug=False) == ["Error: x"]


def test_of_both_ways_out_a_command_shows_the_option():
    for text, said in {
        "or replace it with force=True (--force)": "or replace it with --force",
        "train longer with epochs=6 (--set epochs=6)": "train longer with --set epochs=6",
        'choose delimiter = ";" (--delimiter ";")': 'choose delimiter = ";" (--delimiter ";")',  # a key of a file
        "got (force=True) and f(x=1) (twice)": "got (force=True) and f(x=1) (twice)",
    }.items():
        assert explain(MytorchError(text), debug=False) == [f"Error: {said}"]
