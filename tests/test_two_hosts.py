"""Processes on two hosts, which are network namespaces with a slow link that loses packets, train as one does."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import distributed

from mytorch.experiments import load, train_experiment
from mytorch.train.weights import read_state

ADDRESSES = ("10.231.7.1", "10.231.7.2")
OVERRIDES = {"epochs": 2, "dtype": "float64", "checkpoint_every": 0, "batch_size": 99, "data.train.samples": 300}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux"
        or os.geteuid() != 0
        or shutil.which("ip") is None
        or not Path("/dev/net/tun").exists(),
        reason="network namespaces need Linux, root, iproute2 and /dev/net/tun",
    ),
    pytest.mark.skipif(
        not (distributed.is_available() and distributed.is_gloo_available()), reason="this torch has no gloo"
    ),
]


@pytest.fixture
def hosts():
    """The names of two namespaces, and the process that carries packets between them: 5 ms later, and 1 % never."""
    names = [f"mytorch-{os.getpid()}-{number}" for number in range(2)]
    link = None
    try:
        for name in names:
            if subprocess.run(["ip", "netns", "add", name], check=False).returncode:
                pytest.skip("this kernel makes no network namespace")
        ends = [word for end in zip(names, ADDRESSES, strict=True) for word in end]
        command = [sys.executable, Path(__file__).with_name("lossy_link.py"), *ends, "0.005", "0.01"]
        link = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert link.stdout.readline() == "ready\n"
        yield names, link
    finally:
        if link is not None:
            link.kill()
            link.wait()
            link.stdout.close()
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False)


def start(host, *arguments, **variables):
    """A Python on a host; gloo is told its network, since the name of the machine leads to 127.0.0.1 on both."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "tun0", **variables}
    command = ["ip", "netns", "exec", host, sys.executable, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended(processes):
    """The status and the output of each; none is left."""
    try:
        return [(process.communicate(timeout=200)[0], process.returncode)[::-1] for process in processes]
    finally:
        for process in processes:
            process.kill()


def test_torchrun_on_two_hosts_trains_as_one_process(hosts, tmp_path):
    names, link = hosts
    settings = [word for name, value in OVERRIDES.items() for word in ("--set", f"{name}={value}")]
    processes = []
    for name, address in zip(names, ADDRESSES, strict=True):
        options = ["--nnodes", 2, "--nproc-per-node", 1, "--local-addr", address]
        meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"{ADDRESSES[0]}:29400"]
        meeting += ["--rdzv-conf", f"is_host={address == ADDRESSES[0]}"]
        command = ["-m", "mytorch", "train", "disk", *settings, "--output", tmp_path / "runs"]
        processes.append(start(name, "-m", "torch.distributed.run", *options, *meeting, *command))
    for code, said in ended(processes):
        assert code == 0, said
    link.terminate()
    packets = json.loads(link.communicate()[0])
    assert packets["carried"] > 500
    assert packets["lost"] > 0
    (path,) = (tmp_path / "runs").iterdir()
    alone, run = train_experiment("disk", OVERRIDES, output=tmp_path / "alone", quiet=True), load(path)
    for name, value in read_state(alone.path / "weights.safetensors").items():
        torch.testing.assert_close(read_state(path / "weights.safetensors")[name], value, rtol=0, atol=1e-12)
    assert run.summary["test"] == pytest.approx(alone.summary["test"], rel=1e-12)


CUT = """
import sys, time
from mytorch.data import Disk
from mytorch.nn import CrossEntropyLoss, Linear, Sequential
from mytorch.optim import SGD
from mytorch.plugins import Callback
from mytorch.train import fit
from mytorch.train.parallel import join

class Told(Callback):
    def epoch_ended(self, epoch):
        print("epoch", epoch, flush=True)

with join(timeout=8) as processes:
    net = Sequential(Linear(2, 2))
    options = {"epochs": 10_000, "batch_size": 20, "parallel": processes, "callbacks": [Told()], "quiet": True}
    fit(net, CrossEntropyLoss(), SGD(net.param(), lr=0.1), Disk(40), **options)
"""
"""Trains until the link is cut."""


def test_hosts_that_no_longer_reach_each_other_end_within_the_timeout(hosts, tmp_path):
    names, link = hosts
    (tmp_path / "cut.py").write_text(CUT)
    place = {"WORLD_SIZE": "2", "MASTER_ADDR": ADDRESSES[0], "MASTER_PORT": "29500"}
    processes = [start(name, tmp_path / "cut.py", RANK=str(rank), **place) for rank, name in enumerate(names)]
    before = []
    for line in processes[0].stdout:
        before.append(line)
        if line == "epoch 1\n":
            break
    link.send_signal(signal.SIGUSR1)
    cut = time.monotonic()
    (first, said), (second, other) = ended(processes)
    assert "epoch 1\n" in before, said
    assert time.monotonic() - cut < 60
    assert (first, second) == (1, 1)
    assert re.search(r"RankError: parallel: every process must stay until the end, got no sign of rank 1", said), said
    assert re.search(r"RankError: parallel: every process must stay until the end, got no ", other), other
