"""Processes that Ray Train has started join as those that torchrun has."""

from __future__ import annotations

import os
from typing import Any

from torch import distributed

from mytorch.plugins import MissingRequirementError

try:
    import ray
    from ray.train.backend import Backend
    from ray.train.torch import TorchConfig
except ImportError:  # told when it is used
    ray, Backend, TorchConfig = None, object, object


class MytorchConfig(TorchConfig):
    """Lets the processes of Ray's TorchTrainer train together: `TorchTrainer(train, torch_config=MytorchConfig())`.

    In `train`, everything is as in a program that torchrun starts: `join` connects the processes, and
    `train_experiment` trains an experiment in all of them. If Ray starts the processes again after a failure, they go
    on with the run that they began, from its checkpoint.
    Raises MissingRequirementError without Ray; install it with the extra `mytorch-train[ray]`.

    Example:
        >>> from ray.train import ScalingConfig
        >>> from ray.train.torch import TorchTrainer
        >>> from mytorch.train.parallel.ray_train import MytorchConfig
        >>> def train():
        ...     from mytorch.experiments import train_experiment
        ...     train_experiment("digits-cnn", output="/shared/runs", quiet=True)
        >>> trainer = TorchTrainer(train, torch_config=MytorchConfig(), scaling_config=ScalingConfig(num_workers=4))
    """

    def __init__(self) -> None:
        if ray is None:
            raise MissingRequirementError(
                "MytorchConfig: ray is not installed. Install: python -m pip install './mytorch-train[ray]'"
            )
        super().__init__()

    @property
    def backend_cls(self) -> type:
        """What Ray calls before the processes begin."""
        return _Launch


class _Launch(Backend):
    """Writes into the environment of each process what torchrun writes there.

    The store at which they meet is that of Ray's controller, which outlives them, as torchrun's outlives its own.
    """

    share_cuda_visible_devices = True  # a process takes the GPU of its local rank

    def __init__(self) -> None:
        self._store: Any = None

    def on_training_start(self, worker_group: Any, backend_config: TorchConfig) -> None:  # noqa: ARG002
        """Tell the processes their places."""
        if self._store is None:
            self._store = distributed.TCPStore("0.0.0.0", 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
        worker_group.execute(_take_place, ray.util.get_node_ip_address(), self._store.port)


def _take_place(address: str, port: int) -> None:
    context = ray.train.get_context()
    place = {
        "RANK": context.get_world_rank(),
        "WORLD_SIZE": context.get_world_size(),
        "LOCAL_RANK": context.get_local_rank(),
        "LOCAL_WORLD_SIZE": context.get_local_world_size(),
        "MASTER_ADDR": address,
        "MASTER_PORT": port,
        "TORCHELASTIC_USE_AGENT_STORE": True,
    }
    os.environ.update({name: str(value) for name, value in place.items()})
