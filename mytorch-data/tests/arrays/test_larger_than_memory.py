"""Rows of a file that is larger than the memory that they may take."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROWS, COLUMNS = 300_000, 2000
"""2.4 GB of float32, in a file of which nothing but the header takes room on the disk."""
LIMIT = 2**30

CODE = """
import sys
import torch
from mytorch.data import Arrays, split

data = Arrays(sys.argv[1], "x", "y")
training, held = split(data, (0.9, 0.1))
seen = 0
order = torch.randperm(len(training), generator=torch.Generator().manual_seed(0))
for indices in order.split(1000):
    inputs, targets = training.batch_at(indices)
    seen += len(inputs)
for indices in torch.arange(len(held)).split(8192):
    seen += len(held.batch_at(indices)[0])
assert seen == len(data)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the most memory that a process had is asked of Linux")
def test_rows_of_more_than_two_gigabytes_pass_within_one(tmp_path: Path) -> None:
    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (ROWS, COLUMNS)})
        file.truncate(file.tell() + 4 * ROWS * COLUMNS)
    np.save(tmp_path / "y.npy", np.arange(ROWS) % 2)
    command = [sys.executable, "-c", CODE, str(tmp_path)]
    most = 1024 * int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert most < LIMIT, f"{most / 2**20:.0f} MiB"
