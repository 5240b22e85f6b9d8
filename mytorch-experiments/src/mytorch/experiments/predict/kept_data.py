"""What a run keeps of the data it was trained on, by which other rows are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mytorch.data.arrays.data_set import KEY as ARRAYS
from mytorch.data.series.windows import KEY as WINDOWS
from mytorch.train.errors import RunError

READING = {"delimiter": ",", "decimal": ".", "encoding": "utf-8", "header": True}


@dataclass(frozen=True)
class KeptData:
    """Column names, class names (None for numbers) and what new rows need, as a run's `data` holds them.

    owner: the run, as errors name it.  reading: how a table is read where that differs from the training's.
    """

    owner: str
    columns: tuple[str, ...] = ()
    classes: tuple[str, ...] | None = None
    preparation: Mapping[str, Any] = field(default_factory=dict)
    reading: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, owner: str, data: Mapping[str, Any], reading: Mapping[str, str]) -> KeptData:
        """From the contents of `data.json`."""
        classes = data.get("classes")
        return cls(
            owner,
            tuple(data.get("columns") or ()),
            None if classes is None else tuple(map(str, classes)),
            dict(data.get("preparation") or {}),
            reading,
        )

    @property
    def of_arrays(self) -> bool:
        """Whether rows come from files of arrays."""
        return ARRAYS in self.preparation

    @property
    def of_windows(self) -> bool:
        """Whether rows are windows of a time series."""
        return WINDOWS in self.preparation

    @property
    def for_arrays(self) -> Mapping[str, Any]:
        """What a reader of arrays needs. Raises RunError for options of the text of a table."""
        if self.reading:
            raise RunError(
                f"{self.owner}: {', '.join(self.reading)} must be left out for a run of arrays, which are no text"
            )
        return self.preparation

    @property
    def for_windows(self) -> dict[str, Any]:
        """What a reader of a time series needs."""
        kept = self.preparation[WINDOWS]
        return {**self.preparation, WINDOWS: {**kept, "reading": {**kept.get("reading", {}), **self.reading}}}

    @property
    def for_tables(self) -> dict[str, Any]:
        """What a reader of tables needs. A run whose data came from no table gets columns of numbers under the names
        that it has. Raises RunError if there are none.
        """
        preparation = dict(self.preparation)
        if self.of_arrays or self.of_windows:
            got = "a run of arrays" if self.of_arrays else "a run of a time series"
            raise RunError(f"{self.owner}: columns to keep must be those of a table, got {got}; leave --keep out")
        table = preparation.get("table")
        if isinstance(table, Mapping):
            stored = table.get("reading")
            if not self.reading or not isinstance(stored, Mapping):  # the reader says what is wrong with it
                return preparation
            return {**preparation, "table": {**table, "reading": {**stored, **self.reading}}}
        if not self.columns:
            raise RunError(
                f"{self.owner}: must know the names of its columns to read a table, got a run without; "
                "use mytorch.experiments.load(run).predict(tensor)"
            )
        features = [{"name": name, "kind": "number"} for name in self.columns]
        target: dict[str, Any] = {"name": "target", "kind": "number"}
        if self.classes is not None:
            target = {"name": "class", "kind": "classes", "classes": list(self.classes)}
        return {
            **preparation,
            "table": {"features": features, "target": target, "missing": None, "reading": {**READING, **self.reading}},
        }

    @property
    def target(self) -> str:
        """The name of the target's column."""
        try:
            return str(self.for_tables["table"]["target"]["name"])
        except (RunError, KeyError, TypeError):
            kept = self.preparation.get(ARRAYS) or self.preparation.get(WINDOWS) or {}
            name = kept.get("targets") or "target"
            return name if isinstance(name, str) else ", ".join(name)
