"""The sessions of the server: for each a process of its own, so that one that fails takes nothing down."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from mytorch.playground.pipe import LENGTH, LONGEST

MOST = 8
"""Sessions at once: each holds torch, a few hundred megabytes."""
KEPT = 600.0
"""Seconds for which a session without a page is kept, for a page that comes back."""
ENDS = 5.0
"""Seconds that a process has to end by itself."""

Send = Callable[[bytes], Awaitable[None]]


class Worker:
    """The process of one session, and the page that looks at it, if one does."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process
        self.page: Send | None = None
        self.leave: Callable[[], Awaitable[None]] | None = None
        self._closing: asyncio.TimerHandle | None = None
        self._reader = asyncio.create_task(self._read())

    async def tell(self, command: dict[str, Any] | str) -> None:
        """Pass a command on; a process that has ended takes none."""
        text = command if isinstance(command, str) else json.dumps(command)
        data = text.encode()
        stdin = self.process.stdin
        if stdin is None or stdin.is_closing():
            return
        try:
            stdin.write(len(data).to_bytes(LENGTH, "little") + data)
            await stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            return

    async def _read(self) -> None:
        """Pass messages on to the page until there are no more."""
        stdout = self.process.stdout
        assert stdout is not None
        try:
            while True:
                size = int.from_bytes(await stdout.readexactly(LENGTH), "little")
                message = await stdout.readexactly(min(size, LONGEST))
                if self.page is not None:
                    await self.page(message)
        except asyncio.IncompleteReadError:
            return

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.returncode is None and not self._reader.done()

    async def ended(self) -> None:
        """Wait until the process has ended."""
        await self._reader

    def close(self) -> None:
        """Let the process end."""
        if self.process.stdin is not None:
            self.process.stdin.close()

    async def finish(self) -> None:
        """End the process, whatever it does, and wait until it has ended."""
        self._reader.cancel()  # which may wait for a page that takes nothing
        self.close()  # so that the process removes its folder, too
        try:
            await asyncio.wait_for(self.process.communicate(), ENDS)
        except TimeoutError:
            self.process.kill()
            await self.process.communicate()

    def close_later(self, then: Callable[[], None]) -> None:
        """End it in a while, unless a page comes back."""
        self._closing = asyncio.get_running_loop().call_later(KEPT, then)

    def stay(self) -> None:
        """A page has come back."""
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None


class Workers:
    """The sessions, by name. first: the command by which each begins."""

    def __init__(self, first: dict[str, Any]) -> None:
        self._first = first
        self._workers: dict[str, Worker] = {}
        self._spare: Worker | None = None
        self._lock = asyncio.Lock()

    async def prepare(self) -> None:
        """Begin a session for the first page that comes, since its process takes a while to start."""
        self._spare = await self._begin()

    async def find(self, name: str) -> Worker | None:
        """The session of this name if it runs, or a new one; None where there are too many."""
        async with self._lock:  # so that those who come at once do not all find a place
            found = self._workers.get(name)
            if found is not None and found.alive:
                found.stay()
                return found
            spare, self._spare = self._spare, None
            if spare is not None and spare.alive:
                return spare
            self._workers = {name: one for name, one in self._workers.items() if one.alive}
            if len(self._workers) >= MOST:
                idle = next((one for one in self._workers.values() if one.page is None), None)
                if idle is None:
                    return None
                self.drop(idle)
            return await self._begin()

    async def _begin(self) -> Worker:
        """A new session."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "mytorch.playground.worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**20,
            start_new_session=True,  # Ctrl-C in a terminal is for the server, which ends it by closing its input
        )
        worker = Worker(secrets.token_urlsafe(9), process)
        self._workers[worker.name] = worker
        await worker.tell(self._first)
        return worker

    def drop(self, worker: Worker) -> None:
        """End a session."""
        worker.close()
        self._workers.pop(worker.name, None)

    async def close(self) -> None:
        """End all."""
        await asyncio.gather(*(worker.finish() for worker in self._workers.values()))
