"""Training a model whose weights are larger than the memory that a process is given."""

import json
import os
import subprocess
import sys

import pytest

LIMIT = 120
"""MiB of memory, beyond what the process has before there is a model."""
WEIGHTS = 128
"""MiB: eight layers of 16 MiB, of which memory would also hold the state of Adam and a copy of both."""

FIT = """
from contextlib import nullcontext
import torch
from mytorch.data import TensorDataSet
from mytorch.nn import CrossEntropyLoss, GELU, Linear, Sequential
from mytorch.optim import Adam
from mytorch.train import fit, on_disk

def trained(weights):
    torch.manual_seed(0)
    data = TensorDataSet(torch.randn(64, 2048), torch.randint(4, (64,)))
    torch.manual_seed(0)
    with on_disk() if weights else nullcontext():
        layers = [layer for _ in range(8) for layer in (Linear(2048, 2048), GELU())]
        net = Sequential(*layers, Linear(2048, 4))
    options = {"weights": "disk"} if weights else {"optimizer_in_backward": True}
    optimizer = Adam(net.param(), lr=1e-4)
    run = fit(net, CrossEntropyLoss(), optimizer, data, epochs=2, batch_size=32, quiet=True, **options)
    return net, run.history
"""
EXPERIMENT = """
import resource
import torch
from mytorch.experiments import load
from mytorch.experiments.training.train_experiment import train_in_folder
from mytorch.train.memory.mapped import is_on_disk

def trained(weights):
    layers = [{"type": "Linear", "in_features": 2, "out_features": 2048}]
    for _ in range(8):
        layers += [{"type": "Linear", "in_features": 2048, "out_features": 2048}, {"type": "GELU"}]
    layers.append({"type": "Linear", "in_features": 2048, "out_features": 2})
    changes = {"model": {"type": "Sequential", "layers": layers}, "data.train.samples": 64, "batch_size": 32}
    changes |= {"data.validation": None, "data.test": None, "metrics": []}
    changes |= {"optimizer": {"type": "Adam", "lr": 1e-4}, "epochs": 1}
    changes |= {"weights": "disk"} if weights else {"optimizer_in_backward": True}
    path = train_in_folder("disk", changes, output="runs", quiet=True)
    resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY,) * 2)  # a file that is read counts as memory
    run = load(path)
    assert is_on_disk(run.net.param()[2].value) == weights
    return run.net, run.history
"""
CODE = """
import hashlib, json, resource, sys
limit, disk = json.loads(sys.argv[1])

def memory():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData"))

torch.set_num_threads(1)
torch.ones(9, 9) @ torch.ones(9, 9)
if limit is not None:
    resource.setrlimit(resource.RLIMIT_DATA, ((memory() << 10) + (limit << 20), resource.RLIM_INFINITY))
net, history = trained(disk)
weights = [value.numpy() for value in net.state_dict().values()]
digest = hashlib.sha256()
for value in weights:
    digest.update(value)
size = sum(value.nbytes for value in weights) >> 20
print(json.dumps([size, digest.hexdigest(), [record["train_loss"] for record in history]]))
"""


def run_of(code, folder, limit, disk):
    """A process that trains."""
    # so that the C library asks the system for every large block, and gives it back
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**20), "TMPDIR": str(folder)}
    command = [sys.executable, "-c", code + CODE, json.dumps([limit, disk])]
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux counts memory without that of files")
@pytest.mark.parametrize("code", [FIT, EXPERIMENT], ids=["fit", "experiment"])
def test_on_disk_a_model_is_trained_that_is_larger_than_memory(tmp_path, code):
    within, whole = run_of(code, tmp_path, LIMIT, True), run_of(code, tmp_path, None, False)
    assert within.returncode == whole.returncode == 0, within.stderr + whole.stderr
    size, *results = json.loads(within.stdout)
    assert size >= WEIGHTS > LIMIT
    assert results == json.loads(whole.stdout)[1:]  # to the bit
    assert [path.name for path in tmp_path.iterdir() if path.name != "runs"] == []
    refused = run_of(code, tmp_path, LIMIT, False)
    assert refused.returncode != 0
    assert "memory" in refused.stderr
