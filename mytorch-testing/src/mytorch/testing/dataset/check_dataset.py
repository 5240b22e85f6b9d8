"""The conformance kit for data sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from mytorch.core import DataSet
from mytorch.testing.dataset import names, rows
from mytorch.testing.dataset.case import DataSetCase, build
from mytorch.testing.declaration import Declaration
from mytorch.testing.kit import Check, Kit, require_factory
from mytorch.testing.report import Report

DATASET_CHECKS: tuple[Check, ...] = (
    rows.length,
    rows.batches_of_rows,
    rows.order,
    rows.kinds_of_index,
    rows.single_row,
    rows.past_the_end,
    rows.no_rows,
    rows.same_again,
    rows.unshared,
    rows.determinism,
    names.column_names,
    names.class_names,
    names.known_targets,
    names.units,
    names.preparation,
    rows.parts,
    rows.data_loader,
    rows.no_graph,
)
DATASETS = Kit(
    "check_dataset", DATASET_CHECKS, minimum=6, tags={"random": "a row is drawn anew every time, as in augmentation"}
)


def check_dataset(
    factory: Callable[[], DataSet],
    *,
    seed: int = 0,
    checks: Iterable[str] | None = None,
    tags: Iterable[str] = (),
    opt_out: Mapping[str, str] | None = None,
) -> Report:
    """Check that a data set returns the same rows for every kind of index, and that its attributes are true.

    factory: builds a new data set at each call;  seed: of torch's generator;  checks, opt_out: as in check_layer
    tags: "random" for a data set whose rows are drawn anew at every access
    Returns and raises as check_layer does.
    """
    tags = frozenset(tags)
    DATASETS.require_known("tag", tags, DATASETS.tags)
    require_factory(DATASETS.name, factory, DataSet, "lambda: Disk(100), say")
    case = DataSetCase(factory, seed, tags)

    def part() -> str:
        return type(build(case)).__name__

    def reproduce(_: str, check: str) -> str:
        tagged = f"tags={tuple(sorted(tags))}, " if tags else ""
        return f"{DATASETS.name}(lambda: {part()}(...), {tagged}seed={seed}, checks=({check!r},))"

    return DATASETS.run(part, {"": case}, reproduce, checks, opt_out)


def declare_dataset(
    factory: Callable[[], DataSet],
    *,
    seed: int = 0,
    tags: Iterable[str] = (),
    opt_out: Mapping[str, str] | None = None,
) -> Declaration:
    """Declare a data set for pytest. The arguments are those of check_dataset; see declare_layer."""
    return Declaration(partial(check_dataset, factory, seed=seed, tags=tuple(tags)), DATASETS, dict(opt_out or {}))
