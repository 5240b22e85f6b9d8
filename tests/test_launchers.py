"""The files of examples/launch start processes that train as one does: by SLURM, Kubernetes and Ray, or stand-ins."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from torch import distributed

from mytorch.experiments import load, train_experiment
from mytorch.train.weights import read_state

LAUNCH = Path(__file__).parents[1] / "examples/launch"
OVERRIDES = {"epochs": 3, "dtype": "float64", "checkpoint_every": 0, "batch_size": 99, "data.train.samples": 400}
SETTINGS = [word for name, value in OVERRIDES.items() for word in ("--set", f"{name}={value}")]
TORCHRUN = f'#!/bin/bash\nexec "{sys.executable}" -m torch.distributed.run "$@"\n'
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the files are for clusters of Linux machines"),
    pytest.mark.skipif(
        not (distributed.is_available() and distributed.is_gloo_available()), reason="this torch has no gloo"
    ),
]

SCONTROL = """#!/bin/bash
# a long list of nodes comes in pieces: whoever reads its first line alone ends this program by a signal
[ "$*" = "show hostnames $SLURM_JOB_NODELIST" ] && echo localhost && sleep 0.2 && echo localhost
"""
SRUN = """#!/bin/bash
# srun starts the command once on each node, and ends all where one fails, as --kill-on-bad-exit asks
[ "$1" = --kill-on-bad-exit=1 ] || exit 2
shift
for node in 0 1; do SLURM_NODEID=$node SLURM_PROCID=$node "$@" & done
wait -n && wait -n || { code=$?; kill $(jobs -p); exit $code; }
"""
"""What SLURM's programs do, on this machine alone."""


def free_port():
    """A port that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def programs(folder, **scripts):
    """An environment in which these programs come first; `python` is this one."""
    folder.mkdir()
    for name, text in {"python": f'#!/bin/bash\nexec "{sys.executable}" "$@"\n', **scripts}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}


def require_as_one_process(path, folder):
    """A run of several processes has the weights and the history that one process has within rounding."""
    alone, run = train_experiment("disk", OVERRIDES, output=folder, quiet=True), load(path)
    expected = read_state(alone.path / "weights.safetensors")
    for name, value in read_state(path / "weights.safetensors").items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-12)
    for found, record in zip(run.history, alone.history, strict=True):
        assert {**found, "seconds": 0} == pytest.approx({**record, "seconds": 0}, rel=1e-12)


def test_the_file_for_slurm_trains_on_two_nodes(tmp_path):
    environment = programs(tmp_path / "bin", scontrol=SCONTROL, srun=SRUN)
    job = {"SLURM_JOB_ID": str(free_port() - 20000), "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_JOB_NUM_NODES": "2"}
    command = ["bash", LAUNCH / "slurm.sbatch", "train", "disk", *SETTINGS, "--output", "runs"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "timeout": 400}
    done = subprocess.run(command, cwd=tmp_path, env=environment | job, check=False, **options)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("Run kept in") == 1
    (path,) = (tmp_path / "runs").iterdir()
    require_as_one_process(path, tmp_path / "alone")


def test_what_slurm_reads_of_the_file():
    """The options stand before the first command, where sbatch looks for them; there is one torchrun on each node."""
    text = (LAUNCH / "slurm.sbatch").read_text()
    before = text.partition("\nset -euo")[0]
    options = dict(re.findall(r"(?m)^#SBATCH --([\w-]+)=(.+)$", before))
    assert text.count("#SBATCH") == len(options)
    sizes = {"nodes", "ntasks-per-node", "gpus-per-node", "cpus-per-task"}
    assert options.keys() == sizes | {"job-name", "time", "output"}
    assert options["ntasks-per-node"] == "1"


def job():
    return yaml.safe_load((LAUNCH / "kubernetes.yaml").read_text())


def variables(replica, spec, port):
    """What the training operator tells a container of a job without an elastic policy."""
    replicas = sum(each["replicas"] for each in spec["pytorchReplicaSpecs"].values())
    rank = "0" if replica == "Master" else "1"
    return {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(replicas * int(spec["nprocPerNode"])),
        "RANK": rank,
        "PET_NPROC_PER_NODE": spec["nprocPerNode"],
        "PET_NNODES": str(replicas),
        "PET_NODE_RANK": rank,
    }


def expanded(word, variables):
    """A word of a command as Kubernetes starts it."""
    return re.sub(r"\$\((\w+)\)", lambda found: variables.get(found[1], found[0]), word)


def test_the_file_for_kubernetes_trains_in_two_pods(tmp_path):
    environment, port, started = programs(tmp_path / "bin", torchrun=TORCHRUN), free_port(), []
    spec = job()["spec"]
    spec["nprocPerNode"] = "1"  # two cores
    for name, replica in spec["pytorchReplicaSpecs"].items():
        (container,) = replica["template"]["spec"]["containers"]
        told = variables(name, spec, port)
        words = [expanded(word, told) for word in container["command"]]
        words[words.index("digits-cnn")] = "disk"
        words[words.index("--output=/runs")] = f"--output={tmp_path}/runs"
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        started.append(subprocess.Popen([*words, *SETTINGS], env=environment | told, **pipes))
    try:
        said = [process.communicate(timeout=400)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], said
    (path,) = (tmp_path / "runs").iterdir()
    require_as_one_process(path, tmp_path / "alone")


def require_known(value, kind, models, where):
    """Every key of a part of the job must be one that its model has, and those that a model requires must be there."""
    if inner := re.fullmatch(r"list\[(\w+)\]", kind):
        for number, each in enumerate(value):
            require_known(each, inner[1], models, f"{where}[{number}]")
    elif inner := re.fullmatch(r"dict\(str, (\w+)\)", kind):
        for key, each in value.items():
            require_known(each, inner[1], models, f"{where}.{key}")
    elif model := next((vars(module)[kind] for module in models if kind in vars(module)), None):
        names = {key: name for name, key in model.attribute_map.items()}
        assert value.keys() <= names.keys(), f"{where}: {value.keys() - names.keys()}"
        for key, each in value.items():
            require_known(each, model.openapi_types[names[key]], models, f"{where}.{key}")
        model(**{names[key]: each for key, each in value.items()})
    elif kind in ("str", "int", "bool"):
        assert type(value).__name__ == kind, where


def test_the_file_for_kubernetes_has_the_fields_of_a_job():
    reason = "kubeflow-training has the fields; see tox -e extras"
    models = [pytest.importorskip(name, reason=reason) for name in ("kubeflow.training", "kubernetes.client")]
    require_known(job(), "KubeflowOrgV1PyTorchJob", models, "job")
    wrong = job()
    wrong["spec"]["pytorchReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(AssertionError, match=r"\.template\.spec\.containers\[0\]: .*'volumeMount'"):
        require_known(wrong, "KubeflowOrgV1PyTorchJob", models, "job")


LOST = """
import os, runpy, signal, sys, threading, time
from pathlib import Path

example = runpy.run_path(sys.argv[1])
mark = Path(sys.argv[2], "killed")

def train(options):
    if os.environ["RANK"] == "1" and not mark.exists():
        mark.touch()
        threading.Thread(target=end, args=(options["output"],), daemon=True).start()
    example["train"](options)

def end(output):
    while not list(Path(output).glob("*/checkpoint.safetensors")):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)

example["main"].__globals__["train"] = train
example["main"](sys.argv[3:])
"""
"""The example, whose second process is killed after the first checkpoint."""


def test_the_program_for_ray_goes_on_after_a_process_was_lost(tmp_path):
    pytest.importorskip("ray", reason="ray comes with mytorch-train[ray]; see tox -e extras")
    (tmp_path / "lost.py").write_text(LOST)
    command = [sys.executable, tmp_path / "lost.py", LAUNCH / "ray_train.py", tmp_path, "disk", *SETTINGS]
    command += ["--output", tmp_path / "runs"]
    environment = os.environ | {
        "HOME": str(tmp_path),
        "OMP_NUM_THREADS": "1",
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "timeout": 400}
    done = subprocess.run(list(map(str, command)), cwd=tmp_path, env=environment, check=False, **options)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "killed").exists()
    (path,) = (each for each in (tmp_path / "runs").iterdir() if each.name != "ray")
    run = load(path)
    assert [note["epoch"] < OVERRIDES["epochs"] for note in run.summary["resumed"]] == [True]
    assert "'train_loss': " in done.stdout  # as Ray was told
    require_as_one_process(path, tmp_path / "alone")
