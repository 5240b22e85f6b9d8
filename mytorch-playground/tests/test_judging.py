"""The process that judges answers: what loops, allocates, writes or forks is stopped and said, and it goes on."""

import asyncio
import os
import subprocess
import time

import pytest

from mytorch.playground.exercises import judging, limits
from mytorch.playground.exercises.client import Judge
from mytorch.playground.exercises.exercise import Exercise
from mytorch.playground.exercises.load import shipped_exercises

RELU = shipped_exercises()["relu"]
pytestmark = pytest.mark.skipif(not limits.available(), reason="this system cannot limit a process")


@pytest.fixture(scope="module")
def ask():
    """Ask a judge in a process of its own."""
    loop, judge = asyncio.new_event_loop(), Judge()
    os.environ["SECRET_OF_A_TEST"] = "1234"
    loop.run_until_complete(judge.start())
    del os.environ["SECRET_OF_A_TEST"]
    yield lambda text, exercise=RELU: loop.run_until_complete(judge.judge(exercise, text))
    loop.run_until_complete(judge.close())
    loop.close()


def before(line):
    """The exercise, with a line of its author's before what is typed: it is not looked through as an answer is."""
    layer = RELU.layer.replace("d_x = ____", f"{line}\n        d_x = ____")
    return Exercise.model_validate(RELU.model_dump() | {"layer": f"import os, time, socket\n{layer}"})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("while True:\n    pass\nd_x = d_y", "Your line was stopped: it computed for 2 seconds"),
        ("10 ** 10 ** 10", "Your line was stopped: it computed for 2 seconds"),
        ("[0] * 10 ** 10", "Your line was stopped: it asked for more than 512 MB of memory"),
        ("torch.ones(10 ** 11)", "Your line was stopped: it asked for more than 512 MB of memory"),
        ("import os", "an import is not allowed"),
        ("open('x', 'w')", "there is no 'open' here"),
    ],
)
def test_what_does_not_end_or_asks_for_too_much_is_stopped_and_said(ask, text, told):
    verdict = ask(text)
    assert not verdict["right"]
    assert told in verdict["text"]
    assert ask(RELU.solution)["right"]  # and the next is judged


@pytest.mark.slow
def test_no_file_can_be_opened_even_by_code_that_is_not_looked_through(ask, tmp_path):
    file = tmp_path / "kept"
    file.write_text("as it was")
    for line in (f"open({str(file)!r}, 'w')", f"open({str(file)!r})", "os.listdir('.')", "socket.socket()"):
        assert "Too many open files" in ask("d_y", before(line))["text"], line
    assert file.read_text() == "as it was"


@pytest.mark.slow
def test_nothing_of_the_environment_is_there(ask):
    verdict = ask(RELU.solution, before("print(dict(os.environ))"))
    assert verdict["right"]
    assert verdict["printed"].startswith("{}\n")


def states(group):
    """What ps says of the processes of a group; Z is one that has ended."""
    told = subprocess.run(["ps", "-o", "stat=", "-g", group], capture_output=True, text=True, check=False)
    return told.stdout.split()


@pytest.mark.slow
def test_what_is_forked_ends_with_the_answer(ask):
    """Another user than root may not fork at all."""
    verdict = ask(RELU.solution, before("print(os.getpid()) if os.fork() else time.sleep(600)"))
    if "BlockingIOError" in verdict["text"]:
        return
    group = verdict["printed"].split()[0]
    until = time.monotonic() + 30  # it was told to end, which the system does in its time
    while any(not state.startswith("Z") for state in states(group)):
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.slow
def test_an_end_of_the_process_is_said(ask):
    assert "ended the process in which it ran" in ask("d_y", before("os.abort()"))["text"]
    assert "ended the process in which it ran (exit 7)" in ask("d_y", before("os._exit(7)"))["text"]
    assert "ended the process in which it ran (SIGKILL)" in ask("d_y", before("os.kill(os.getpid(), 9)"))["text"]
    assert ask(RELU.solution)["right"]


@pytest.mark.slow
def test_a_flood_of_output_is_cut(ask):
    verdict = ask("for i in range(10_000):\n    print(x, i, 'x' * 1000)\nd_x = d_y * (x > 0)")
    assert verdict["right"]
    assert len(verdict["printed"]) <= 2000
    assert verdict["printed"].startswith("tensor([[")


@pytest.mark.slow
def test_a_process_that_was_ended_is_started_again():
    async def asked():
        judge = Judge()
        await judge.start()
        judge._process.kill()
        first = await judge.judge(RELU, RELU.solution)
        again = await judge.judge(RELU, RELU.solution)
        await judge.close()
        return first, again

    first, again = asyncio.run(asked())
    assert first["right"] or "try again" in first["text"]
    assert again["right"]


def test_what_waits_is_stopped_in_time(monkeypatch):
    monkeypatch.setattr(limits, "WALL_SECONDS", 0.1)
    reading, writing = os.pipe()
    assert judging._read(reading) == (b"", False)
    os.close(reading)
    os.close(writing)
    assert "it had no result after" in judging._reason(0, False)


def test_without_limits_only_pieces_are_judged(monkeypatch):
    monkeypatch.setattr(limits, "available", lambda: False)
    assert judging._answered(RELU, RELU.solution, "").right
    assert "choose from the pieces" in judging._answered(RELU, "(x > 0) * d_y", "").text
