"""Callbacks that write a run's numbers where people already look at theirs: TensorBoard, MLflow, Weights & Biases."""

from typing import TYPE_CHECKING

from mytorch.plugins.lazy import lazy

if TYPE_CHECKING:
    from mytorch.train.trackers.csv_logger import CSVLogger
    from mytorch.train.trackers.json_lines_logger import JSONLinesLogger
    from mytorch.train.trackers.mlflow import MLflow
    from mytorch.train.trackers.tensorboard import TensorBoard
    from mytorch.train.trackers.tracker import Tracker
    from mytorch.train.trackers.wandb import WandB

__getattr__, __dir__ = lazy(
    __name__,
    {
        "mytorch.train.trackers.csv_logger": ("CSVLogger",),
        "mytorch.train.trackers.json_lines_logger": ("JSONLinesLogger",),
        "mytorch.train.trackers.mlflow": ("MLflow",),
        "mytorch.train.trackers.tensorboard": ("TensorBoard",),
        "mytorch.train.trackers.tracker": ("Tracker",),
        "mytorch.train.trackers.wandb": ("WandB",),
    },
)

__all__ = ["CSVLogger", "JSONLinesLogger", "MLflow", "TensorBoard", "Tracker", "WandB"]
