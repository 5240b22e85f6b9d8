"""pip install --quiet --upgrade for tox, which builds the distributions of the checkout without waiting.

Usage: python pip_install.py -c constraints.txt ./mytorch-core ./mytorch-nn pytest

pip fetches the build backend anew for every distribution that it builds, which takes several seconds for each. Here it
is fetched once, into a folder that pip's build sees, and neither pip nor what is installed.
"""

import os
import subprocess
import sys
import tempfile

BACKEND = "hatchling"


def main(arguments: list[str]) -> int:
    """Install what the arguments of `pip install` say. Returns pip's exit status."""
    pip = [sys.executable, "-E", "-m", "pip", "install", "--quiet"]  # -E: pip does not look at PYTHONPATH
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*pip, "-c", "constraints.txt", "--target", folder, BACKEND], check=True)
        command = [*pip, "--upgrade", "--no-build-isolation", *arguments]
        return subprocess.run(command, env=os.environ | {"PYTHONPATH": folder}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
