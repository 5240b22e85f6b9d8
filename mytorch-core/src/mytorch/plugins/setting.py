"""What users write after `--set`."""

from typing import Any

from mytorch.plugins.errors import SettingsError
from mytorch.plugins.shown import WIDTH, cut, shown
from mytorch.plugins.toml import parse_toml

SPELT = {"True": "true", "False": "false"}
"""What Python writes in its own way, as TOML writes it."""


def parse_setting(text: str) -> tuple[str, Any]:
    """A key and a value from "optimizer.lr=0.05"; the value is read as TOML, else taken as text.

    Raises SettingsError unless there is a key and an equals sign, and for what is meant as TOML but is none: a number
    or a truth value in another spelling, an unfinished list, table or string.
    """
    key, equals, value = text.partition("=")
    key, value = key.strip(), value.strip()
    if not equals or not key:
        raise SettingsError(f"--set: must look like optimizer.lr=0.05, got {shown(text)}")
    _require_meant(key, value)
    return key, toml_value(value)


def toml_value(text: str) -> Any:
    """A value of TOML; what is none is a text, which needs no quotes on a command line."""
    try:
        read = parse_toml(f"value = {text}")
    except ValueError:
        return text
    return read["value"] if len(read) == 1 else text


def _require_meant(key: str, value: str) -> None:
    """Raise SettingsError for a value that is no TOML and hardly meant as text."""
    try:
        parse_toml(f"value = {value}")
    except ValueError as error:
        if spelt := SPELT.get(value) or _number(value):
            raise SettingsError(
                f"--set {cut(key, 80)}: must be a value as TOML writes it, {spelt}, got {cut(value, 80)}; "
                f"a text stands in double quotes: --set '{cut(key, 80)}=\"{cut(value, 80)}\"'"
            ) from None
        if value.startswith(("[", "{", '"', "'")):
            raise SettingsError(
                f"--set {cut(key, 80)}: must be a list, table or text as TOML writes it, got {cut(value, WIDTH)} "
                f"({error}); text in it stands in double quotes, which single quotes around all keep from the shell"
            ) from None


def _number(value: str) -> str | None:
    """A number that Python reads, as TOML writes it; None for other text."""
    try:
        return str(int(value)) if value.lstrip("+-").isdecimal() else repr(float(value))
    except ValueError:
        return None
