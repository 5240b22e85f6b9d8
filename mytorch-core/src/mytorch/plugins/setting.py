"""What users write after `--set`."""

import tomllib
from typing import Any

from mytorch.plugins.errors import SettingsError


def parse_setting(text: str) -> tuple[str, Any]:
    """A key and a value from "optimizer.lr=0.05"; the value is read as TOML, else taken as text.

    Raises SettingsError unless there is a key and an equals sign.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise SettingsError(f"--set: must look like optimizer.lr=0.05, got {text!r}")
    try:
        read = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        read = {}
    return key.strip(), read["value"] if len(read) == 1 else value.strip()
