"""Which run is served, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mytorch.experiments.runs.run import Run, load
from mytorch.experiments.serve.limits import Limits


@dataclass(frozen=True)
class Settings:
    """Which run is served, and how; each process of a server is given it.

    reading, device: as for `mytorch.experiments.load`.  workers: processes, each with a model of its own.
    hosts: names for which it answers beside those of the address at which it listens.
    """

    run: Path
    limits: Limits = field(default_factory=Limits)
    reading: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"
    workers: int = 1
    hosts: Sequence[str] = ()

    def load(self) -> Run:
        """The run. Raises what `mytorch.experiments.load` raises."""
        return load(self.run, device=self.device, reading=self.reading)
