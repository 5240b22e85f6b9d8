"""What the project's own distributions offer, for users who have not installed them."""

from __future__ import annotations

from collections.abc import Container

OFFERS: dict[str, dict[str, tuple[str, ...]]] = {
    "mytorch-nn": {
        "layer": (
            *("BatchNorm1d", "Dropout", "Flatten", "Identity", "Linear", "ModuleDict", "ModuleList", "ReLU"),
            *("Residual", "Sequential", "Sigmoid", "Tanh"),
        ),
        "loss": ("BCEWithLogitsLoss", "CrossEntropyLoss", "MSELoss"),
        "initializer": (
            *("constant", "default", "kaiming_normal", "kaiming_uniform"),
            *("xavier_normal", "xavier_uniform", "zeros"),
        ),
    },
    "mytorch-optim": {"optimizer": ("SGD",), "schedule": ("CosineAnnealingLR", "OneCycleLR", "StepLR")},
    "mytorch-data": {
        "dataset": ("Disk", "NewRows", "Table"),
        "transform": ("hold_out", "standardize"),
        "command": ("data",),
    },
    "mytorch-train": {
        "metric": (
            *("Accuracy", "BalancedAccuracy", "ErrorRate", "F1", "MeanAbsoluteError", "MeanSquaredError", "R2"),
            *("ROCAUC",),
        ),
        "callback": ("EarlyStopping", "KeepBest"),
    },
    "mytorch-experiments": {
        "experiment": ("disk", "disk-tuned"),
        "command": ("evaluate", "experiment", "explain", "export", "parity", "predict", "runs", "train"),
    },
    "mytorch-testing": {"command": ("check",)},
    "mytorch-cli": {"command": ("completion", "plugins")},
}
"""The entry points of each distribution, by kind; a test holds them equal to its pyproject.toml."""


def offered(kind: str, installed: Container[str]) -> dict[str, str]:
    """The parts of a kind that come with distributions which are not installed: their names, and of which."""
    return {
        name: distribution
        for distribution, kinds in OFFERS.items()
        if distribution not in installed
        for name in kinds.get(kind, ())
    }
