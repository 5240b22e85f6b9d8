"""Bodies with the rows of a table: CSV as in a file, or JSON."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch

from mytorch.core import DataSet, MytorchError, View
from mytorch.data.preparation.moments import INPUTS, Moments
from mytorch.data.table.recipe import Feature, Recipe
from mytorch.data.table.rows import Rows
from mytorch.experiments.predict.kept_data import KeptData
from mytorch.experiments.predict.new_rows import rows_of
from mytorch.experiments.serve.files import Files
from mytorch.experiments.serve.form import Form
from mytorch.experiments.serve.media import CSV, JSON
from mytorch.experiments.serve.read_json import kind_of_json, read_object, require_list
from mytorch.experiments.serve.refusal import Refusal
from mytorch.plugins import listed, nearest, shown

PLAIN: Mapping[str, Any] = {
    "delimiter": ",",
    "decimal": ".",
    "encoding": "utf-8",
    "header": True,
    "thousands": None,
    "sheet": None,
}
"""How a table is read that was written from JSON, whatever the training's file was."""
_ROW = re.compile(r"\brow (\d+)\b")
_CONSTANTS = {None: "", True: "true", False: "false"}


@dataclass(frozen=True)
class Column:
    """A column of the rows: its name, a JSON Schema of its cells, and an example of them, one for each row of it."""

    name: str
    schema: Mapping[str, Any]
    examples: Sequence[Any]


class TableForm(Form):
    """Rows of a table, which are read as `mytorch predict` reads those of a file.

    kept, dtype: what a run keeps of its data, and the dtype of its weights.
    columns: what a row must have.  others: names that it may have, too, and that are not used.
    example: rows of the example.
    """

    takes = (JSON, CSV)

    def __init__(
        self, kept: KeptData, dtype: torch.dtype, columns: Sequence[Column], others: Sequence[str], about: str
    ) -> None:
        self.kept, self.dtype, self.columns, self.about = kept, dtype, tuple(columns), about
        self.names = [column.name for column in columns]
        self.others = frozenset(others) - set(self.names)
        self.named = kept.dataset is not None
        stored = kept.entry.get("reading", {}) if kept.dataset is not None else kept.for_tables["table"]["reading"]
        self.reading = {**stored, **kept.reading}
        self.encoding = str(self.reading.get("encoding", "utf-8"))
        has_reading = kept.dataset is None or "reading" in kept.entry
        self._of_json = replace(kept, reading=dict(PLAIN) if has_reading else {})

    def rows(self, media: str, body: bytes, files: Files) -> DataSet:
        if media == CSV:
            file = files.folder / "request.csv"
            file.write_bytes(body)
            return rows_of(file, self.kept, self.dtype, targets=False)
        return self.rows_of_cells(self.cells(body), files)

    def cells(self, body: bytes) -> list[list[str]]:
        """The cells of the rows of a JSON body, in the order of `names`. Raises Refusal."""
        told = read_object(body, "rows", ("columns",))
        rows = require_list(told, "rows")
        if "columns" not in told:
            return [self._cells(number, row) for number, row in enumerate(rows, 1)]
        order = self._order(told["columns"])
        return [self._ordered(number, row, len(told["columns"]), order) for number, row in enumerate(rows, 1)]

    def rows_of_cells(self, cells: Sequence[Sequence[str]], files: Files) -> DataSet:
        """The rows with these cells. Raises Refusal and what the reader of tables raises."""
        try:
            if self.kept.dataset is None:
                return rows_of(Rows(self.names, cells, "request"), self._of_json, self.dtype, targets=False)
            return self._rows_of_file(cells, files.folder / "request.csv")
        except UnicodeEncodeError as error:
            raise Refusal(422, f"request: must be text, got {error.object[error.start]!a}, half a sign") from None

    def _rows_of_file(self, cells: Sequence[Sequence[str]], file: Path) -> DataSet:
        """The same by a file, as a data set reads it; errors tell the number of a row in place of that of its line."""
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows([self.names, *cells])
        file.write_bytes(written.getvalue().encode())
        try:
            return rows_of(file, self._of_json, self.dtype, targets=False)
        except MytorchError as error:
            error.args = (_ROW.sub(partial(_counted, cells), str(error)), *error.args[1:])
            raise

    def rows_of_several(self, bodies: Sequence[tuple[str, bytes]]) -> list[DataSet]:
        if self.kept.dataset is not None or any(media != JSON for media, _ in bodies):
            return []
        parts = [self.cells(body) for _, body in bodies]
        rows = self.rows_of_cells([cells for part in parts for cells in part], Files())
        ends = list(accumulate(map(len, parts)))
        return [View(rows, slice(end - len(part), end)) for part, end in zip(parts, ends, strict=True)]

    def content(self) -> dict[str, Any]:
        count = max(len(column.examples) for column in self.columns)
        examples = [{column.name: column.examples[at] for column in self.columns} for at in range(count)]
        return {JSON: {"schema": self._schema(), "example": {"rows": examples}}, CSV: self._csv(examples)}

    def _csv(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        text = io.StringIO()
        delimiter, decimal = self.reading.get("delimiter", ","), self.reading.get("decimal", ".")
        writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
        if self.reading.get("header", True):
            writer.writerow(self.names)
        for example in examples:
            writer.writerow(
                [
                    _text(cell).replace(".", decimal) if type(cell) is float else _text(cell)
                    for cell in example.values()
                ]
            )
        names = "A line with the names of the columns, and one" if self.reading.get("header", True) else "A line"
        about = f"{names} for each row, in {self.encoding}; cells are separated by "
        return {
            "schema": {"type": "string", "description": f"{about}{delimiter!r}, and the decimal sign is {decimal!r}."},
            "example": text.getvalue(),
        }

    def _schema(self) -> dict[str, Any]:
        row = {
            "type": "object",
            "properties": {column.name: dict(column.schema) for column in self.columns}
            | {name: {"description": "Not used."} for name in sorted(self.others)},
            "required": self.names,
            "additionalProperties": False,
        }
        listed_rows = {"type": "array", "minItems": 1, "items": row, "description": self.about}
        lists = {"type": "array", "minItems": 1, "items": {"type": "array"}}
        return {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {"rows": listed_rows},
                    "required": ["rows"],
                    "additionalProperties": False,
                },
                {
                    "type": "object",
                    "description": "The same with lists as rows, whose cells are in the order of columns.",
                    "properties": {"columns": {"type": "array", "items": {"type": "string"}}, "rows": lists},
                    "required": ["columns", "rows"],
                    "additionalProperties": False,
                },
            ]
        }

    # Rows of JSON

    def _cells(self, number: int, row: Any) -> list[str]:
        if not isinstance(row, dict):
            raise Refusal(
                422,
                f"request: row {number} must be an object with a value for each column, got {kind_of_json(row)}; "
                'lists need "columns", the names of their cells',
            )
        if row.keys() != set(self.names):
            self._require_names(list(row), f"row {number}")
        return [self._cell(number, name, row[name]) for name in self.names]

    def _ordered(self, number: int, row: Any, width: int, order: Sequence[int]) -> list[str]:
        if not isinstance(row, list) or len(row) != width:
            got = f"a list of {len(row)}" if isinstance(row, list) else kind_of_json(row)
            raise Refusal(422, f'request: row {number} must be a list of {width} cells, as "columns" names, got {got}')
        return [self._cell(number, name, row[at]) for name, at in zip(self.names, order, strict=True)]

    def _order(self, columns: Any) -> list[int]:
        """Where each column stands in a list of names."""
        if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
            raise Refusal(422, 'request: "columns" must be a list of the names of columns')
        if len(set(columns)) < len(columns):
            raise Refusal(422, f'request: "columns" must be different names, got {listed(columns)}')
        self._require_names(columns, '"columns"')
        return [columns.index(name) for name in self.names]

    def _require_names(self, names: Sequence[str], owner: str) -> None:
        if missing := [name for name in self.names if name not in names]:
            got = listed(names) or "none"
            raise Refusal(422, f"request: {owner} must have the column {shown(missing[0])}, got {got}")
        known = [*self.names, *sorted(self.others)]
        if extra := [name for name in names if name not in known]:
            raise Refusal(
                422,
                f"request: {owner} must have the columns {listed(self.names)}, got {shown(extra[0])} too. "
                f"{nearest(extra[0], known)}",
            )

    def _cell(self, number: int, name: str, value: Any) -> str:
        if isinstance(value, (dict, list)):
            raise Refusal(
                422,
                f"request: row {number}, column {shown(name)} must be a number, a text, true, false or null, got "
                f"{kind_of_json(value)}",
            )
        return _text(value)


def columns_of(kept: KeptData) -> tuple[list[Column], list[str]]:
    """The columns that rows of a table must have, and those that they may have, too."""
    recipe = Recipe.from_json(kept.for_tables)
    moments = Moments.of(kept.preparation, INPUTS)
    means, at = [] if moments is None else moments.mean.tolist(), 0
    found: dict[str, Column] = {}
    for feature in recipe.features:
        mean = means[at] if len(means) > at else None
        found.setdefault(feature.name, _column(feature, recipe, mean))
        at += len(feature.columns)
    return list(found.values()), [recipe.target.name, *recipe.left_out]


def number_column(name: str, examples: Sequence[float], about: str | None = None) -> Column:
    """A column of numbers without missing cells."""
    return Column(name, {"type": "number"} | ({"description": about} if about else {}), examples)


def _column(feature: Feature, recipe: Recipe, mean: float | None) -> Column:
    """The column of a feature; mean: that of its first input column in the training, if it is known."""
    kinds: Any = {"number": "number", "missing": "number"}.get(feature.kind, "string")
    schema: dict[str, Any] = {"type": [kinds, "null"] if recipe.missing in ("mean", "median") else kinds}
    if feature.kind in ("one-hot", "ordinal"):
        if recipe.unseen is None:
            schema["enum"] = [*feature.categories, *([None] if isinstance(schema["type"], list) else [])]
        else:
            schema["description"] = f"Trained on {listed(feature.categories)}."
        return Column(feature.name, schema, [feature.categories[0]])
    if feature.kind == "date":
        schema["description"] = "A date, such as 2024-01-31, or a date and a time, as in the training."
        return Column(feature.name, schema, [feature.first or "2024-01-31"])
    usual = feature.fill if feature.fill is not None else mean
    return Column(feature.name, schema, [float(f"{0.5 if usual is None else usual:.3g}")])


def _text(value: Any) -> str:
    """A cell as a table has it."""
    if isinstance(value, str):
        return value
    return _CONSTANTS[value] if value is None or isinstance(value, bool) else repr(value)


def _counted(cells: Sequence[Sequence[str]], found: re.Match[str]) -> str:
    """The number of a row in place of that of its line, which is told of a table of text."""
    line, wanted = 2, int(found[1])
    for number, row in enumerate(cells, 1):
        if line >= wanted:
            return f"row {number}"
        line += 1 + sum(cell.count("\n") for cell in row)
    return f"row {len(cells)}"
