"""The experiments that come with mytorch-experiments; each name is the path of its file."""

from pathlib import Path

_here = Path(__file__).parent

disk = _here / "disk.toml"
disk_tuned = _here / "disk-tuned.toml"
sine_forecast = _here / "sine-forecast.toml"

__all__ = ["disk", "disk_tuned", "sine_forecast"]
