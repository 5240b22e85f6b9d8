"""Processes of the server: pages that come at once start no more of them than there may be."""

import asyncio
import sys

import pytest

from mytorch.playground import workers
from mytorch.playground.exercises import client

START = asyncio.create_subprocess_exec


@pytest.fixture
def started(monkeypatch):
    """The processes that were started, of which each only waits for its input to end."""
    processes = []

    async def start(_python, *_command, **options):
        pipes = {name: options[name] for name in ("stdin", "stdout")}
        processes.append(await START(sys.executable, "-I", "-S", "-c", "import sys; sys.stdin.read()", **pipes))
        return processes[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    return processes


def test_pages_that_come_at_once_get_no_more_sessions_than_there_may_be(started, monkeypatch):
    monkeypatch.setattr(workers, "MOST", 2)

    async def come():
        sessions = workers.Workers({"do": "nothing"})

        async def page():
            worker = await sessions.find("")
            if worker is not None:
                worker.page = lambda _message: None
            return worker

        found = await asyncio.gather(*(page() for _ in range(4)))
        await sessions.close()
        return found

    assert sum(worker is not None for worker in asyncio.run(come())) == 2
    assert [process.returncode for process in started] == [0, 0]


def test_pages_that_ask_at_once_start_one_judge_which_ends_by_itself(started):
    async def ask():
        judge = client.Judge()
        await asyncio.gather(judge.start(), judge.start())
        await judge.close()

    asyncio.run(ask())
    assert [process.returncode for process in started] == [0]
