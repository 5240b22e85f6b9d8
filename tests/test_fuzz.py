"""Whatever a file holds, the readers either take it or say in an error of ours what is wrong."""

import copy
import tempfile
import tomllib
import warnings
from contextlib import suppress
from pathlib import Path

import pytest
import tomli_w
import torch

from mytorch.core import MytorchError
from mytorch.data import Table, inspect_table
from mytorch.experiments import load_experiment
from mytorch.experiments.file.build import build
from mytorch.plugins import MytorchWarning

pytest.importorskip("pyarrow")
hypothesis = pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

DISK = Path(__file__).parents[1] / "mytorch-experiments/src/mytorch/experiments/shipped/disk.toml"
QUIET = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}

numbers = st.one_of(
    st.integers(-3, 3).map(str),
    st.floats().map(repr),
    st.sampled_from(["1e308", "-1e999", "nan", "inf", "", "NA", "?", "1,5", "+1", "1_0", "٣", "0x1", "1e-400"]),
)
words = st.one_of(
    st.sampled_from(
        ["red", "blue", "true", "False", "2024-01-31", "10:00", '"', '""', "'", " x ", "é", "\ud7ff", "\0"]
    ),
    st.text(max_size=6).map(lambda text: text.encode("utf-8", "ignore").decode()),
)
tame = [
    st.integers(-3, 3).map(str),
    st.floats(-1e6, 1e6).map(repr),
    st.sampled_from("012"),
    st.sampled_from(["red", "blue", "é"]),
    st.sampled_from(["true", "false"]),
]
wild = [numbers, words, st.one_of(numbers, words)]
columns = st.sampled_from([*tame, *tame, *tame, *wild])


def mostly(usual, *others):
    """The usual, or in a case of ten something else."""
    return st.integers(0, 9).flatmap(lambda at: st.sampled_from(others) if at == 0 else st.just(usual))


options = {
    "encode": st.sampled_from(["one-hot", "ordinal", {"a": "one-hot"}, None]),
    "missing": st.sampled_from(["mean", "median", "drop", None]),
    "task": mostly(None, "classification", "regression"),
    "delimiter": st.sampled_from([",", ";", "\t"]),
    "decimal": mostly(".", ","),
    "encoding": st.sampled_from(["utf-8", "latin-1", "utf-16"]),
    "header": mostly(True, False),
}
any_options = st.fixed_dictionaries(options)


@st.composite
def tables(draw):
    """Columns of a kind each, sometimes ragged, quoted or with odd names, and options that mostly fit the file."""
    chosen = draw(any_options)
    names = draw(mostly(["a", "b", "c", "y"], ["a", "a", "", "y"], ["1", "2", "3", "y"]))
    names = names[: draw(mostly(draw(st.integers(1, 3)), 0))] + names[3:]
    kinds = [draw(columns) for _ in names]
    rows = draw(st.lists(st.tuples(*kinds), min_size=draw(mostly(3, 0)), max_size=8))
    lines = [names, *rows] if chosen["header"] else [*rows]
    if rows and draw(mostly(False, True)):
        lines[-1] = [*lines[-1], "more"]
    lines = [[cell.replace(".", chosen["decimal"]) for cell in line] for line in lines]
    if draw(mostly(True, False)):
        lines = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in line] for line in lines]
    text = draw(st.sampled_from(["\n", "\r\n"])).join(chosen["delimiter"].join(line) for line in lines)
    content = text.encode(chosen["encoding"], "replace")
    other = draw(any_options)
    return content, chosen | {key: other[key] for key in draw(mostly((), *([key] for key in options)))}


def read(content, suffix, chosen):
    """Load and look at a file; what loads must be finite and of the right shapes, and load again by its recipe.

    Returns whether it loads.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"table{suffix}"
        path.write_bytes(content)
        with suppress(MytorchError):
            inspect_table(path, **{key: chosen[key] for key in ("delimiter", "decimal", "encoding", "header")})
        try:
            table = Table(path, "y" if chosen["header"] else "x0", **chosen)
        except MytorchError:
            return False
        assert table.inputs.shape == (len(table), len(table.columns))
        assert table.inputs.isfinite().all()
        if table.classes is None:
            assert table.targets.shape == (len(table), 1)
            assert table.targets.isfinite().all()
        else:
            assert table.targets.shape == (len(table),)
            assert 0 <= table.targets.min() <= table.targets.max() < len(table.classes)
        again = Table(path, like=table.preparation)
        assert torch.equal(again.inputs, table.inputs)
        assert torch.equal(again.targets, table.targets)
        return True


def test_tables_of_all_sorts():
    loaded = []

    @settings(max_examples=400, **QUIET)
    @given(tables())
    def check(table):
        content, chosen = table
        loaded.append(read(content, ".csv", chosen))

    check()
    assert 0.2 < sum(loaded) / len(loaded) < 0.9, "both what loads and what is refused must be tried"


@settings(max_examples=200, **QUIET)
@given(st.binary(max_size=200), st.sampled_from([".csv", ".tsv", ".parquet", ".npz"]), any_options)
def test_random_bytes(content, suffix, chosen):
    read(content, suffix, chosen)


values = st.recursive(
    st.one_of(st.integers(-3, 3), st.floats(), st.booleans(), st.text(max_size=5), st.sampled_from(["Linear", "SGD"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
KEYS = ["epochs", "seed", "metrics", "threads", "dtype", "requires", "data", "model", "loss", "optimizer", "schedule"]
KEYS += [
    "data.train",
    "data.test",
    "data.split",
    "data.targets",
    "data.train.samples",
    "data.train.type",
    "model.type",
]
KEYS += [
    "model.layers",
    "optimizer.lr",
    "loss.type",
    "initialization",
    "name",
    "optimizer.momentum",
    "data.train.path",
]


def tried(content):
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", MytorchWarning)
        path = Path(folder) / "fuzzed.toml"
        path.write_bytes(content)
        try:
            setup = build(load_experiment(path)).setup
        except MytorchError:
            return
        assert all(parameter.value.isfinite().all() for parameter in setup.net.param())


@settings(max_examples=200, **QUIET)
@given(st.dictionaries(st.sampled_from(KEYS), values, min_size=1, max_size=2))
def test_experiments_with_strange_values(changes):
    content = copy.deepcopy(tomllib.loads(DISK.read_text()))
    content["data"]["train"]["samples"] = 20
    for key, value in changes.items():
        *parents, last = key.split(".")
        place = content
        for name in parents:
            place = place[name] if isinstance(place, dict) and isinstance(place.get(name), dict) else {}
        place[last] = value
    tried(tomli_w.dumps(content).encode("utf-8", "ignore"))


@settings(max_examples=150, **QUIET)
@given(st.integers(0, 2000), st.binary(max_size=4), st.integers(0, 20))
def test_experiments_with_bytes_changed(at, put, cut):
    content = DISK.read_bytes()
    tried(content[:at] + put + content[at + cut :])
