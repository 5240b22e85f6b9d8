"""What each session begins with: an experiment, a run, or what a copied link holds."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from mytorch.plugins import ArgumentError, cut, one_line, parse_toml

EXPERIMENT_FILE = "experiment.toml"
"""Of a run's folder, as mytorch.experiments writes it; to import it from there would import torch, too."""
KEPT = {"model.from.take": "*", "model.from.leave": []}
"""All weights of a run, also where the run itself began with some of another one."""


def first_command(source: str) -> dict[str, Any]:
    """The command by which each session begins.

    source: a TOML file, the name of an installed experiment, the folder of a run, whose experiment begins with the
        weights that the run kept, or a link that a page has copied.
    Raises ArgumentError for a folder that is no run with an experiment, and for a link that holds none.
    """
    if source.startswith(("http://", "https://")):
        return {"do": "experiment", "toml": _held(source)}
    try:
        path = Path(source).resolve()
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError as error:  # such as a name that is too long
        raise ArgumentError(
            f"playground: EXPERIMENT must be a TOML file or a name, got {cut(source, 80)}, {error.strerror}"
        ) from None
    if is_folder:
        file = path / EXPERIMENT_FILE
        if not file.is_file():
            raise ArgumentError(
                f"playground: RUN must be a folder with {EXPERIMENT_FILE}, such as runs/disk-20260101-120000, got "
                f"{source} without one"
            )
        return {"do": "experiment", "name": str(file), "overrides": {"model.from.path": str(path), **KEPT}}
    return {"do": "experiment", "name": str(path) if is_file else source}


def _held(link: str) -> str:
    """The experiment, as TOML, that a link holds."""
    said = parse_qs(link.partition("#")[2]).get("experiment", [""])[0]
    if not said:
        raise ArgumentError(
            f"playground: a link must end in #experiment=..., as the button 'Copy a link' makes it, got "
            f"{cut(link, 80)}; put it in quotes"
        )
    try:
        padded = said + "=" * (-len(said) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        parse_toml(text)
    except ValueError as error:
        raise ArgumentError(
            f"playground: a link must hold an experiment as TOML, got something else: {one_line(error)}; copy the "
            "whole link"
        ) from None
    return text
