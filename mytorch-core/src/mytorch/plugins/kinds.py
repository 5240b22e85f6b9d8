"""The kinds of parts: their entry-point groups, and whether an object is of its kind. Nothing here needs torch."""

import inspect

KINDS = {
    "layer": "mytorch.layers",
    "loss": "mytorch.losses",
    "initializer": "mytorch.initializers",
    "optimizer": "mytorch.optimizers",
    "schedule": "mytorch.schedules",
    "dataset": "mytorch.datasets",
    "transform": "mytorch.transforms",
    "metric": "mytorch.metrics",
    "callback": "mytorch.callbacks",
    "quantity": "mytorch.quantities",
    "rule": "mytorch.rules",
    "experiment": "mytorch.experiments",
    "command": "mytorch.commands",
    "hook": "mytorch.hooks",
}
"""The entry-point group of each kind."""

COME_WITH = {
    "layer": ("mytorch-nn",),
    "loss": ("mytorch-nn",),
    "initializer": ("mytorch-nn",),
    "optimizer": ("mytorch-optim",),
    "schedule": ("mytorch-optim",),
    "dataset": ("mytorch-data",),
    "transform": ("mytorch-data",),
    "metric": ("mytorch-train",),
    "callback": ("mytorch-train",),
    "quantity": ("mytorch-train",),
    "rule": ("mytorch-train",),
    "experiment": ("mytorch-experiments",),
    "command": ("mytorch-experiments", "mytorch-data", "mytorch-testing", "mytorch-playground"),
}
"""The distributions of this project that bring parts of a kind, for users who have not installed them."""

_CLASSES = {
    "layer": ("forward", "backward", "param"),
    "loss": ("forward", "backward", "param", "weight_of", "outputs"),
    "optimizer": ("step", "zero_grad", "state_dict"),
    "schedule": ("step", "state_dict", "interval"),
    "dataset": ("__len__", "batch_at"),
    "metric": ("reset", "update", "compute"),
    "quantity": ("begin", "layer", "gradient", "end", "names", "results"),
    "rule": ("prepare", "gradients", "names", "results", "state_dict"),
}
_BASES = {
    "layer": "mytorch.core.Module",
    "loss": "mytorch.core.Loss",
    "optimizer": "mytorch.core.Optimizer",
    "schedule": "mytorch.core.Schedule",
    "dataset": "mytorch.core.DataSet",
    "metric": "mytorch.core.Metric",
    "quantity": "mytorch.core.Quantity",
    "rule": "mytorch.core.Rule",
}
_OBJECTS = {
    "initializer": ("a function", "__call__"),
    "transform": ("a function", "__call__"),
    "experiment": ("the path of a TOML file", "__fspath__"),
    "command": ("a click command", "invoke"),
}


def wrong_kind(kind: str, value: object) -> str | None:
    """Why an imported object is not of its kind, as "must be ..., got ..."; None if it is. pluggy looks at hooks.

    The attributes count and not the class: the classes of mytorch.core are not imported here.
    """
    if kind == "dataset" and inspect.isroutine(value):  # one that reads a file and returns a data set
        return None
    if kind in _CLASSES:
        missing = [name for name in _CLASSES[kind] if not hasattr(value, name)]
        if inspect.isclass(value) and not missing:
            return None
        lacks = f" without {', '.join(missing)}" if inspect.isclass(value) else ""
        return f"must be a class such as a subclass of {_BASES[kind]}, got {_described(value)}{lacks}"
    if kind == "callback" and not (inspect.isclass(value) and _has_hook(value)):
        wanted = "a class with at least one hook, such as a subclass of mytorch.plugins.Callback"
        return f"must be {wanted}, got {_described(value)}"
    if kind in _OBJECTS:
        what, attribute = _OBJECTS[kind]
        if inspect.isclass(value) or not hasattr(value, attribute):
            return f"must be {what}, got {_described(value)}"
    return None


def _has_hook(value: type) -> bool:
    return any(hasattr(getattr(value, name, None), "mytorch_impl") for name in dir(value))  # pluggy's mark


def _described(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
