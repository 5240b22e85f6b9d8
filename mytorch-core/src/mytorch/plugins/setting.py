"""What users write after `--set`."""

from typing import Any

from mytorch.plugins.errors import SettingsError
from mytorch.plugins.shown import shown
from mytorch.plugins.toml import parse_toml


def parse_setting(text: str) -> tuple[str, Any]:
    """A key and a value from "optimizer.lr=0.05"; the value is read as TOML, else taken as text.

    Raises SettingsError unless there is a key and an equals sign.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise SettingsError(f"--set: must look like optimizer.lr=0.05, got {shown(text)}")
    return key.strip(), toml_value(value.strip())


def toml_value(text: str) -> Any:
    """A value of TOML; what is none is a text, which needs no quotes on a command line."""
    try:
        read = parse_toml(f"value = {text}")
    except ValueError:
        return text
    return read["value"] if len(read) == 1 else text
