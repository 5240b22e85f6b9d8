"""Distributions that exist only in a folder on sys.path, as a plugin's would once installed, and the toys."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from mytorch.plugins import catalogue

sys.path.insert(0, str(Path(__file__).parent / "toys"))

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution: its metadata, entry points by group, and modules by name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    catalogue.cache_clear()

    def add(
        name: str,
        entry_points: Mapping[str, Mapping[str, str]] = {},
        modules: Mapping[str, str] = {},
        version: str = "1.0",
        requires: Sequence[str] = (),
    ) -> None:
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        lines = []
        for group, entries in entry_points.items():
            lines += [f"[{group}]", *(f"{key} = {target}" for key, target in entries.items()), ""]
        (folder / "entry_points.txt").write_text("\n".join(lines))
        for module, source in modules.items():
            path = tmp_path / f"{module.replace('.', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        catalogue.cache_clear()

    yield add
    catalogue.cache_clear()
