"""An experiment that is trained in processes which Ray Train starts, on the machines of a Ray cluster.

    python -m pip install './mytorch-train[ray]'
    python examples/launch/ray_train.py digits-cnn --processes 4 --output /shared/runs

Without a cluster, Ray starts the processes on this machine. If one of them is lost, Ray starts all of them again, and
they go on with the run from its last checkpoint. The folder of the output must be one that all machines see.
"""

import argparse
from pathlib import Path

import ray.train
import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from mytorch.experiments import train_experiment
from mytorch.plugins import Callback, parse_setting
from mytorch.train.parallel.ray_train import MytorchConfig


class Report(Callback):
    """Gives Ray the losses and metrics of every epoch."""

    def epoch_ended(self, record):
        ray.train.report(dict(record))


def train(options):
    """What each process does."""
    train_experiment(**options, quiet=True, callbacks=[Report()])


def main(arguments=None):
    """Start the processes, and wait for their end."""
    parser = argparse.ArgumentParser(description="Train an experiment in processes that Ray starts.")
    parser.add_argument("experiment")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("runs"))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args(arguments)
    output = str(asked.output.absolute())  # Ray starts the processes in another folder
    trainer = TorchTrainer(
        train,
        train_loop_config={
            "source": asked.experiment,
            "overrides": dict(map(parse_setting, asked.set)),
            "output": output,
        },
        torch_config=MytorchConfig(),
        scaling_config=ScalingConfig(num_workers=asked.processes, use_gpu=torch.cuda.is_available()),
        run_config=RunConfig(storage_path=f"{output}/ray", failure_config=FailureConfig(max_failures=3)),
    )
    trainer.fit()
    print(f"The run is kept in {output}")


if __name__ == "__main__":
    main()
