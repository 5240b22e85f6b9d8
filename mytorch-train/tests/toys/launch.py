"""Starts a script in several processes, as torchrun would, and gathers what they say."""

import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

TOYS = Path(__file__).parent


def free_port() -> str:
    """A port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def environment(rank, processes, port, **more):
    """What torchrun tells a process."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": port, **more}
    return os.environ | {
        "PYTHONPATH": str(TOYS),
        "OMP_NUM_THREADS": "1",
        "MASTER_ADDR": "127.0.0.1",
        **{name: str(value) for name, value in place.items()},
    }


def start(script, *arguments, processes=2, port=None, **more):
    """The processes, running."""
    port = port or free_port()
    return [
        subprocess.Popen(
            [sys.executable, TOYS / script, *map(str, arguments)],
            env=environment(rank, processes, port, **more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]


def ended(started, timeout=120):
    """The exit code, output and errors of each; none is left running."""
    try:
        return [(*_said(process, timeout),) for process in started]
    finally:
        for process in started:
            with suppress(ProcessLookupError):
                process.kill()


def _said(process, timeout):
    output, errors = process.communicate(timeout=timeout)
    return process.returncode, output, errors


def together(script, *arguments, **options):
    """Run a script in several processes, which must end well. Returns what each printed."""
    found = ended(start(script, *arguments, **options))
    for code, _, errors in found:
        assert code == 0, errors
    return [output for _, output, _ in found]
