"""A sound way to train on a table of so many rows.

Tuned on seeds 100 to 119 with scikit-learn's breast_cancer, digits, wine and diabetes, palmerpenguins' penguins and
vega_datasets' cars, among hidden layers of 50 to 256, batches of 16 to 64, 300 to 1600 steps, rates of 0.02 to 0.2,
weight decays of 0.0001 to 0.05 and label smoothing of 0 to 0.1. benchmarks/tables.py judges it on other seeds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

HELD_BACK = 0.15
"""The share of the rows that is the validation part, and the share that is the test part."""
FEW = 1000
"""Below, a network memorises the training rows unless its weights are held small."""

SAFE = 10.0
"""Rate times inputs, at most: above 14, a table of 12 columns, each 40 times with a little noise, was not learned."""


@dataclass(frozen=True)
class Recipe:
    """The numbers of an experiment."""

    hidden: int
    batch_size: int
    epochs: int
    evaluate_every: int
    lr: float
    weight_decay: float
    label_smoothing: float


def choose_recipe(rows: int, inputs: int, task: str) -> Recipe:
    """The recipe for a table of so many rows, that become so many inputs, for "classification" or "regression".

    Squared errors have no bound, and many inputs that go together add up in every step: both need a lower rate, or
    the loss grows without end.
    """
    few, numbers = rows < FEW, task == "regression"
    batch_size = 32 if rows < 5_000 else 64 if rows < 50_000 else 256 if rows < 500_000 else 1024
    steps = math.ceil(round(rows * (1 - 2 * HELD_BACK)) / batch_size)
    if few:
        epochs = min(100, math.ceil((450 if numbers else 300) / steps))
    else:
        epochs = max(math.ceil(800 / steps), 20 if rows < 50_000 else 10 if rows < 500_000 else 5)
    return Recipe(
        hidden=100 if few else 256,
        batch_size=batch_size,
        epochs=epochs,
        evaluate_every=max(1, epochs // 10),
        lr=float(f"{min(0.02 if numbers else 0.05 if few else 0.1, SAFE / inputs):.1g}"),
        weight_decay=0.03 if few else 0.001 if rows < 50_000 else 0.0001,
        label_smoothing=0.0 if few or numbers else 0.05,
    )
