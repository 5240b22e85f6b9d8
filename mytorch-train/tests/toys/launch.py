"""Starts a script in several processes, as torchrun would, and gathers what they say."""

import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import distributed

TOYS = Path(__file__).parent
SEVERAL = [
    pytest.mark.numbers,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (distributed.is_available() and distributed.is_gloo_available()), reason="this torch has no gloo"
    ),
]
"""What tests of several processes are marked with."""


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


def ended(started, timeout=600):
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


def results(script, by, factory):
    """What each of several processes has after each of the cases `by` their number: by number, rank and case.

    The script is given a folder, in which each process leaves a file, and the cases.
    """
    found = {}
    for processes, cases in by.items():
        folder = factory.mktemp("together")
        together(script, folder, *cases, processes=processes)
        found[processes] = [torch.load(folder / f"{rank}.pt") for rank in range(processes)]
    return found


def require_one(ranks, expected):
    """Several processes are equal to the bit, and to what one process has within rounding."""
    first, *others = ranks
    assert all(torch.equal(first["weights"][n], o["weights"][n]) for o in others for n in first["weights"])
    assert all(other["history"] == first["history"] and other["test"] == first["test"] for other in others)
    for name, value in expected["weights"].items():
        torch.testing.assert_close(first["weights"][name], value, rtol=0, atol=1e-12)
    for found, record in zip(first["history"], expected["history"], strict=True):
        assert found == pytest.approx(record, rel=1e-12, abs=1e-14)
    assert first["test"] == pytest.approx(expected["test"], rel=1e-12)
