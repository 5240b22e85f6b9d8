"""Whether the exercises of a lecturer can be solved, before a student sees them."""

from __future__ import annotations

import asyncio

from mytorch.playground.exercises.client import Judge
from mytorch.playground.exercises.load import Exercises
from mytorch.plugins import ArgumentError


def require_solvable(exercises: Exercises) -> None:
    """Raise ArgumentError, with a line for each fault, unless every solution passes and every other piece fails."""
    faults = asyncio.run(_faults(exercises))
    if faults:
        raise ArgumentError("\n".join(faults))


async def _faults(exercises: Exercises) -> list[str]:
    judge, faults = Judge(), []
    try:
        for name, exercise in exercises.items():
            verdict = await judge.judge(exercise, exercise.solution)
            if not verdict["right"]:
                faults.append(f"exercises: {name}: solution must pass the kit, got: {verdict['text']}")
                continue
            for at, piece in enumerate(exercise.pieces):
                if (await judge.judge(exercise, piece.code))["right"]:
                    faults.append(f"exercises: {name}: pieces.{at} must be wrong, but the kit passes it: {piece.code}")
    finally:
        await judge.close()
    return faults
