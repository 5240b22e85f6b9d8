"""What a run keeps of the data it was trained on, by which other rows are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
    def dataset(self) -> str | None:
        """The data set that reads new rows, as `distribution:Name`; None if they are those of a table."""
        return None if self._key is None else str(self.entry["dataset"])

    @property
    def entry(self) -> Mapping[str, Any]:
        """What the data set that reads new rows keeps of itself; {} without one."""
        return {} if self._key is None else self.preparation[self._key]

    @property
    def _key(self) -> str | None:
        named = (key for key, held in self.preparation.items() if isinstance(held, Mapping) and "dataset" in held)
        return next(named, None)

    @property
    def for_dataset(self) -> Mapping[str, Any]:
        """What the data set that reads new rows needs. Raises RunError for options of the text of a table, where it
        reads none.
        """
        if not self.reading:
            return self.preparation
        if "reading" not in self.entry:
            raise RunError(
                f"{self.owner}: {', '.join(self.reading)} must be left out for a run of {self.dataset}, which reads "
                "no table"
            )
        reading = {**self.entry["reading"], **self.reading}
        return {**self.preparation, str(self._key): {**self.entry, "reading": reading}}

    @property
    def for_tables(self) -> dict[str, Any]:
        """What a reader of tables needs. A run whose data came from no table gets columns of numbers under the names
        that it has. Raises RunError if there are none.
        """
        preparation = dict(self.preparation)
        if self.dataset is not None:
            raise RunError(
                f"{self.owner}: columns to keep must be those of a table, got a run of {self.dataset}; "
                "leave --keep out"
            )
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
    def outputs(self) -> tuple[str, ...]:
        """The names of the numbers that are predicted; () if the data set has none for them."""
        return tuple(map(str, self.entry.get("outputs") or ()))

    @property
    def target(self) -> str:
        """The name of the target's column."""
        try:
            return str(self.for_tables["table"]["target"]["name"])
        except (RunError, KeyError, TypeError):
            name = self.entry.get("targets") or "target"
            return name if isinstance(name, str) else ", ".join(name)
