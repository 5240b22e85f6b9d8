"""What the suite found, as numbers: rows, sections, and the two files they are written to."""

import importlib.metadata
import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from side_by_side import Measured, Spread, Target

PACKAGES = (
    "mytorch-train",
    "torch",
    "numpy",
    "scikit-learn",
    "thinc",
    "jax",
    "jaxlib",
    "equinox",
    "tinygrad",
    "matplotlib",
)
FIGURES = "performance"
"""The folder of figures beside results.md and beside docs/performance.md, so that the same links lead there."""


@dataclass(frozen=True)
class Row:
    """One figure: what a contestant took at one point of a measurement."""

    contestant: str
    figure: Spread
    ratios: dict[str, Spread] = field(default_factory=dict)
    """By the contestant that it is divided by, which was measured in the same process."""
    at: float | None = None
    """Where on the section's axis it was taken."""
    note: str = ""


def rows_of(measured: Measured, to: str, scale: float, at: float | None = None) -> list[Row]:
    """A row for each contestant, with its ratio to one of them; scale: from seconds to the section's unit."""
    return [
        Row(name, measured.seconds(name).scaled(scale), {} if name == to else {to: measured.ratio(name, to)}, at)
        for name in measured.processes[0]
    ]


@dataclass(frozen=True)
class Missing:
    """A contestant that could not take part, and the way out."""

    contestant: str
    reason: str


@dataclass
class Section:
    """One measurement: its rows, and what a figure of it needs."""

    name: str
    title: str
    text: str
    unit: str
    rows: list[Row] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    axis: str | None = None
    """The label of the axis that was swept; without one, the figure has a bar for each row."""
    logarithmic: bool = True

    @property
    def ratio_names(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row.ratios))


def number(value: float) -> str:
    """Three digits or more, never an exponent."""
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 else 4}f}"


def spread(figure: Spread | None) -> str:
    """The median and, if they differ from it, the quartiles."""
    if figure is None:
        return ""
    if figure.low == figure.high:
        return number(figure.median)
    return f"{number(figure.median)} ({number(figure.low)} to {number(figure.high)})"


def about() -> dict[str, Any]:
    """Where and with what was measured."""
    return {
        "date": time.strftime("%Y-%m-%d %H:%M"),
        "processor": processor(),
        "threads": 1,
        "python": platform.python_version(),
        "system": platform.platform(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
    }


def processor() -> str:
    """The processor's name as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (
        f"{names[0]}, {len(names)} cores, {torch.backends.cpu.get_cpu_capability()}" if names else platform.machine()
    )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def as_json(facts: dict[str, Any], sections: Sequence[Section]) -> str:
    """Everything that was found, with all digits."""
    found = []
    for section in sections:
        targets = [asdict(target) | {"met": target.met} for target in section.targets]
        found.append(asdict(section) | {"targets": targets})
    return json.dumps({"about": facts, "sections": found}, indent=1) + "\n"


def as_markdown(facts: dict[str, Any], sections: Sequence[Section]) -> str:
    """The same for reading: a table a section, rounded."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    lines = [
        f"Measured on {facts['date']}: {facts['processor']}; {facts['threads']} thread; Python {facts['python']}; "
    ]
    lines[0] += f"{versions}. Figures are medians, with quartiles in brackets."
    for section in sections:
        lines += ["", f"### {section.title}", section.text, ""]
        lines += [f"![{section.title}]({FIGURES}/{section.name}.png)", ""] if section.rows else []
        lines += _table(section)
        remarks = [f"- missing: {one.contestant}: {one.reason}" for one in section.missing]
        remarks += [f"- {' '.join(target.text().split())}" for target in section.targets]
        lines += ["", *remarks] if remarks else []
    return "\n".join(lines) + "\n"


def _table(section: Section) -> list[str]:
    if not section.rows:
        return []
    notes = any(row.note for row in section.rows)
    ratios = section.ratio_names
    columns = [*([section.axis] if section.axis else []), "contestant", section.unit]
    columns += [*(f"times {name}" for name in ratios), *(["note"] if notes else [])]
    table = [columns, ["---"] * len(columns)]
    for row in section.rows:
        at = [f"{row.at:g}"] if section.axis and row.at is not None else []
        cells = [*at, row.contestant, spread(row.figure), *(spread(row.ratios.get(name)) for name in ratios)]
        table.append([*cells, *([row.note] if notes else [])])
    return ["| " + " | ".join(cells) + " |" for cells in table]
