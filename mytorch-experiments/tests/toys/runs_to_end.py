"""Small runs for the tests of what may happen to them, and what must be equal when one has ended."""

from importlib.resources import files
from tomllib import loads

import torch

from mytorch.experiments import load, train_experiment
from mytorch.train import read_checkpoint

EPOCHS = 2


def small(**changed):
    """An experiment of two epochs of two batches that keeps a checkpoint whenever the last one is written."""
    content = loads((files("mytorch.experiments") / "shipped/disk.toml").read_text())
    for part in content["data"].values():
        if isinstance(part, dict) and "samples" in part:
            part["samples"] = 30
    return {**content, "name": "disk", "epochs": EPOCHS, "batch_size": 15, "checkpoint_every": 0.0, **changed}


def train(folder, epochs=EPOCHS, **options):
    """A new run below a folder, or the one that is resumed."""
    return train_experiment(small(epochs=epochs), output=folder, quiet=True, **options)


def end_of(path):
    """What must be equal to the bit: weights, the state of the training, and its history without the times."""
    run, state = load(path), read_checkpoint(path)
    history = [{name: value for name, value in record.items() if name != "seconds"} for record in run.history]
    kept = {name: state[name] for name in ("net", "order", "epoch", "finished")}
    return run.net.state_dict(), kept, state["optimizer"]["state"], state["random"]["cpu"], history


def same(found, expected):
    """Whether two ends are equal to the bit."""
    if isinstance(expected, torch.Tensor):
        return torch.equal(found, expected)
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, (list, tuple)):
        return len(found) == len(expected) and all(map(same, found, expected))
    return bool(found == expected)
