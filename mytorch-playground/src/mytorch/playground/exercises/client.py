"""The server's end of the process that judges answers."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from mytorch.playground.exercises.limits import WALL_SECONDS
from mytorch.playground.pipe import LENGTH

if TYPE_CHECKING:
    from mytorch.playground.exercises.exercise import Exercise

STARTS = 120.0
"""Seconds that the process may take to import torch, on a busy machine."""
ENDS = 5.0
"""Seconds that the process has to end by itself."""
START = "import sys; sys.path[:] = {path!r}; from mytorch.playground.exercises.judging import main; main()"
PASSED_ON = ("PATH", "SYSTEMROOT", "TMPDIR", "TMP", "TEMP", "LD_LIBRARY_PATH", "LANG")
"""What the process is given of the environment: no key or password that lies there."""


class Judge:
    """Judges answers one after another, in a process that is started when it is first needed."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Start the process if it does not run, so that the first answer need not wait for it."""
        if self._runs():  # it may be judging, which need not be waited for
            return
        async with self._lock:
            await self._start()

    def _runs(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def _start(self) -> None:
        if self._runs():
            return
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-c",
            START.format(path=[place for place in sys.path if place]),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**environment, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )

    async def judge(self, exercise: Exercise, text: str) -> dict[str, Any]:
        """What is said of an answer, as `Verdict` has it."""
        async with self._lock:
            await self._start()
            assert self._process is not None
            try:
                return await asyncio.wait_for(self._asked(self._process, exercise, text), STARTS + WALL_SECONDS)
            except (TimeoutError, asyncio.IncompleteReadError, BrokenPipeError, ConnectionResetError):
                await self._end()
                return {
                    "right": False,
                    "text": "The process that judges has ended; try again.",
                    "printed": "",
                    "line": None,
                }

    async def _asked(self, process: asyncio.subprocess.Process, exercise: Exercise, text: str) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        data = json.dumps({"exercise": exercise.model_dump(), "text": text}).encode()
        process.stdin.write(len(data).to_bytes(LENGTH, "little") + data)
        await process.stdin.drain()
        size = int.from_bytes(await process.stdout.readexactly(LENGTH), "little")
        verdict: dict[str, Any] = json.loads(await process.stdout.readexactly(size))
        return verdict

    async def close(self) -> None:
        """End the process."""
        async with self._lock:
            await self._end()

    async def _end(self) -> None:
        if self._process is not None and self._process.returncode is None:
            assert self._process.stdin is not None
            self._process.stdin.close()  # so that it removes its folder
            try:
                await asyncio.wait_for(self._process.communicate(), ENDS)
            except TimeoutError:
                self._process.kill()
                await self._process.communicate()
        self._process = None
