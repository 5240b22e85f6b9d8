"""mytorch.plugins never imports torch, nor the plugins that it lists."""

import subprocess
import sys


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_and_listing_import_no_torch() -> None:
    code = """
import sys
from mytorch import plugins
found = list(plugins.catalogue())
plugins.Hooks(installed=False)
plugins.first_docstring_line("mytorch.core.module:Module")
plugins.require([])
print(sorted({"torch", "numpy", "mytorch.core", "mytorch.nn"} & set(sys.modules)))
"""
    assert run(code) == "[]"


def test_every_module_of_it_imports_no_torch() -> None:
    code = """
import importlib, pkgutil, sys
import mytorch.plugins as plugins
for found in pkgutil.iter_modules(plugins.__path__):
    importlib.import_module(f"mytorch.plugins.{found.name}")
print("torch" in sys.modules)
"""
    assert run(code) == "False"
