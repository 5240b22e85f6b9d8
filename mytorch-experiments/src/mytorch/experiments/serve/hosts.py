"""For which hosts a server answers."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from mytorch.core import ArgumentError
from mytorch.plugins import shown

LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""What programs of the same machine ask for."""


def hosts_of(address: str, host: str, allowed: Sequence[str] = ()) -> tuple[str, ...]:
    """Names and addresses for which a server answers; empty for all.

    address: where it listens. At one that only this machine reaches, it answers for that machine alone: the name of a
        page of the internet can be made to lead there, and a browser would let the page read the answers.
    host: how the address was given.
    allowed: further names, such as that of a proxy in front. At any other address, it answers for all without them.
    Raises ArgumentError for an allowed name that no request can be for.
    """
    for name in allowed:
        _require_name(name)
    if not allowed and not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        return ()
    return tuple(dict.fromkeys((*LOOPBACK, address, host, *allowed)))


def name_in(header: str) -> str | None:
    """The name or address in a header Host, in small letters and without its port; None for what has none."""
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:
        return None


def _require_name(name: str) -> None:
    with suppress(ValueError):
        ipaddress.ip_address(name)
        return
    if name_in(name) != name.lower() or "*" in name:
        raise ArgumentError(
            f"serve: allow-host must be a name or an address without http:// and port, such as models.example.org, "
            f"got {shown(name)}"
        )
