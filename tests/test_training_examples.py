"""The examples in the docstrings of mytorch.optim, mytorch.train and mytorch.experiments are what happens."""

import doctest
import importlib
import pkgutil

import pytest

from mytorch import experiments, optim, train

MODULES = [
    found.name
    for package in (optim, train, experiments)
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]


LIBRARIES = {
    "mytorch.train.privacy.privacy": "dp_accounting",
    "mytorch.train.parallel.ray_train": "ray",
    "mytorch.train.trackers.mlflow": "mlflow",
    "mytorch.train.trackers.wandb": "wandb",
}
"""What the examples of a module need, which `tox -e trackers` and `tox -e extras` have: they run these."""


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    if name in LIBRARIES:
        pytest.importorskip(LIBRARIES[name])
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    found = [test for name in MODULES for test in doctest.DocTestFinder().find(importlib.import_module(name))]
    assert {
        "mytorch.experiments.callbacks.recorder.Recorder",
        "mytorch.optim.parameter_groups.parameter_groups",
        "mytorch.train.callbacks.early_stopping.EarlyStopping",
        "mytorch.train.callbacks.keep_best.KeepBest",
        "mytorch.train.completion.completion",
    } <= {test.name for test in found if test.examples}
