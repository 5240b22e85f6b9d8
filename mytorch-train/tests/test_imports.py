"""What training from Python imports: torch, and little that takes time beside it."""

import subprocess
import sys

SLOW = {"click", "matplotlib", "PIL", "platformdirs", "pydantic", "rich", "tomli_w"}


def test_the_loop_is_there_without_what_only_some_callers_need():
    code = f"import sys, mytorch.train; found = {SLOW!r} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_names_that_are_imported_late_are_found_and_others_are_not():
    code = """
import mytorch.train.callbacks as package
assert "Progress" in dir(package)
assert package.Progress.__name__ == "Progress"
try:
    package.Progres
except AttributeError as error:
    assert str(error) == "module 'mytorch.train.callbacks' has no attribute 'Progres'"
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True)
