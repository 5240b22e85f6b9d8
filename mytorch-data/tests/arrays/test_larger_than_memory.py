"""Training on a file that is larger than the memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROWS, COLUMNS = 500_000, 25_000
"""50 GB of float32, in a file of which nothing but the header takes room on the disk."""
LIMIT = 2**30

CODE = """
import sys
from mytorch.data import Arrays, split
from mytorch.nn import CrossEntropyLoss, Linear
from mytorch.optim import SGD
from mytorch.plugins import Callback, StopTraining
from mytorch.train import fit

class Stop(Callback):
    def batch_ended(self, batch):
        if batch == 150:
            raise StopTraining

training, validation = split(Arrays(sys.argv[1], "x", "y"), (0.999, 0.001))
net = Linear(25_000, 2)
run = fit(net, CrossEntropyLoss(), SGD(net.param(), lr=0.1), training, validation=validation, batch_size=100, epochs=1,
          callbacks=[Stop()], quiet=True)
assert run.history[0]["validation_loss"] > 0
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the most memory that a process had is asked of Linux")
def test_more_than_a_gigabyte_of_fifty_is_trained_on_within_one(tmp_path: Path) -> None:
    with (tmp_path / "x.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (ROWS, COLUMNS)})
        file.truncate(file.tell() + 4 * ROWS * COLUMNS)
    np.save(tmp_path / "y.npy", np.arange(ROWS) % 2)
    command = [sys.executable, "-c", CODE, str(tmp_path)]
    most = 1024 * int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert most < LIMIT, f"{most / 2**20:.0f} MiB"
