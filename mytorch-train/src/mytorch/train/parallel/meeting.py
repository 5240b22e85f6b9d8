"""How processes that were started together find each other, whatever earlier ones have left in their store."""

from __future__ import annotations

import time
from typing import Any

from torch import distributed

from mytorch.train.errors import RankError
from mytorch.train.parallel.launched import Place

SIZE, COMPLETE, REFUSED = "size", "complete", "refused"
"""What the first process notes of an attempt: how many must come, and that all have; and why they cannot."""


def meet(place: Place, base: Any, prefix: str, timeout: float) -> Any:
    """The store of this group alone, once every process has come to it.

    The first process numbers the attempts: torchrun's own count differs from machine to machine, since it grows only
    where a worker failed. An attempt that was complete, or had this rank, before this process came is an earlier one.
    Raises RankError where a process does not come within the timeout, or was started as one of another number.
    """
    until, looked, store, found, second = time.monotonic() + timeout, None, None, None, False
    try:
        if place.rank == 0:
            _begin_attempt(place, base, prefix)
        while time.monotonic() < until:
            attempt = base.get(f"{prefix}/attempt") if base.check([f"{prefix}/attempt"]) else None
            if attempt not in (None, looked):
                looked, found = attempt, prefixed(f"{prefix}/{attempt.decode()}", base)
                store = found if _is_open(found, place) else store
                second = store is None and not place.agent and int(found.get(SIZE)) == place.size
            if found is not None and found.check([REFUSED]):
                raise RankError(found.get(REFUSED).decode())
            if store is not None and place.rank == 0 and store.check(_names(place)):
                store.set(COMPLETE, "")
            if store is not None and store.check([COMPLETE]):
                return store
            time.sleep(0.02)
        raise _nobody(place, store, found, timeout)
    except RankError:
        raise
    except RuntimeError:  # the first process, or torchrun's own, is gone with the store
        raise (_second(place) if second else _not_come(place, ["0"], timeout)) from None


def prefixed(prefix: str, base: Any) -> Any:
    """A part of a store. Attempts of torchrun, and groups, have different ones, or would read what others wrote."""
    return distributed.PrefixStore(prefix, base)  # type: ignore[attr-defined]


def _begin_attempt(place: Place, base: Any, prefix: str) -> None:
    number = str(base.add(f"{prefix}/attempts", 1))
    prefixed(f"{prefix}/{number}", base).set(SIZE, str(place.size))
    base.set(f"{prefix}/attempt", number)


def _is_open(attempt: Any, place: Place) -> bool:
    """Whether an attempt still waits for a process of this rank, which is noted as having come."""
    if attempt.check([COMPLETE]):
        return False
    if (size := int(attempt.get(SIZE))) != place.size:
        if not place.agent:  # whose attempts may differ: torchrun starts as many processes as there are machines
            attempt.set(REFUSED, _other_size(place, size))
        return False
    return bool(attempt.add(_names(place)[place.rank], 1) == 1)


def _names(place: Place) -> list[str]:
    return [f"come/{rank}" for rank in range(place.size)]


def _nobody(place: Place, store: Any, found: Any, timeout: float) -> RankError:
    """What to say where time is over: who has not come, or why this process was not let in."""
    if store is not None:
        names = _names(place)
        return _not_come(place, [str(rank) for rank, name in enumerate(names) if not store.check([name])], timeout)
    if found is None:
        return _not_come(place, ["0"], timeout)
    if (size := int(found.get(SIZE))) != place.size:
        return RankError(_other_size(place, size))
    return _second(place)


def _second(place: Place) -> RankError:
    return RankError(
        f"join: every process must have a rank of its own, got another one of rank {place.rank}, which came before; "
        "give each its own RANK, or let torchrun start them"
    )


def _other_size(place: Place, size: int) -> str:
    return (
        f"join: every process must be started with the same WORLD_SIZE, got {place.size} for rank {place.rank} and "
        f"{size} for rank 0"
    )


def _not_come(place: Place, missing: list[str], timeout: float) -> RankError:
    return RankError(
        f"join: every one of {place.size} processes must come within {timeout:g} s, got none of rank "
        f"{', '.join(missing)}; see whether it was started, and reaches {place.address}:{place.port}"
    )
