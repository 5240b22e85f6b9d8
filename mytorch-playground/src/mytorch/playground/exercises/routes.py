"""What the page asks the server about exercises."""

from __future__ import annotations

import json
import zlib
from functools import cache
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mytorch.playground.access import allowed
from mytorch.playground.breaking import breaking_experiments
from mytorch.playground.exercises.answer import LONGEST
from mytorch.playground.exercises.client import Judge

if TYPE_CHECKING:
    from mytorch.playground.exercises.exercise import Exercise
    from mytorch.playground.exercises.load import Exercises

LARGEST = 8 * LONGEST
"""Bytes of a request."""


def routes(own: Exercises, judge: Judge, token: str) -> list[Route]:
    """The list of exercises and of experiments that go wrong, and the judgement of an answer; both by POST.

    own: exercises of a lecturer, which come before those of the playground that they do not replace.
    Who asks must come from a page of this server, which a browser says of a POST alone, and know the token.
    """

    @cache
    def known() -> Exercises:
        from mytorch.playground.exercises.load import shipped_exercises

        return own | {name: exercise for name, exercise in shipped_exercises().items() if name not in own}

    async def listed(request: Request) -> Response:
        if not allowed(request, token):
            return _refused(403, "this address is no longer valid: open the one that the command printed last")
        await judge.start()
        told = [_told(name, exercise) for name, exercise in known().items()]
        return JSONResponse({"exercises": told, "breaking": breaking_experiments()})

    async def judged(request: Request) -> Response:
        if not allowed(request, token):
            return _refused(403, "this address is no longer valid: open the one that the command printed last")
        asked = await _content(request)
        if asked is None:
            return _refused(400, f"an answer must be JSON with name and text, and at most {LARGEST:,} bytes")
        exercise = known().get(asked["name"])
        if exercise is None:
            return _refused(404, f"there is no exercise {asked['name'][:80]!r}")
        verdict = await judge.judge(exercise, asked["text"])
        why = [piece.why for piece in exercise.pieces if piece.code.strip() == asked["text"].strip()]
        told = {**verdict, "why": why[0] if why and not verdict["right"] else ""}
        return Response(json.dumps(told), media_type="application/json")  # in ASCII: half a character can be printed

    return [Route("/exercises", listed, methods=["POST"]), Route("/exercises/judge", judged, methods=["POST"])]


def _refused(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status)


async def _content(request: Request) -> dict[str, str] | None:
    """The name and the text of a request, if it has both and is not too large."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            return None
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(asked, dict) or not all(isinstance(asked.get(key), str) for key in ("name", "text")):
        return None
    return asked


def _told(name: str, exercise: Exercise) -> dict[str, Any]:
    """An exercise as the page shows it: which of the pieces is right is not seen by its place."""
    lines = [exercise.solution, *(piece.code for piece in exercise.pieces)]
    shown = exercise.model_dump(include={"title", "statement", "layer", "hints", "solution", "explanation"})
    pieces = sorted(lines, key=lambda line: zlib.crc32(f"{name}: {line}".encode()))
    trials = [trial._asdict() for trial in exercise.trials]
    return {"name": name, "target": exercise.place.target, "pieces": pieces, "trials": trials, **shown}
