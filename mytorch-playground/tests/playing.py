"""A session that a test steers, and the command as a user starts it."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from queue import Queue
from threading import Thread

import numpy

from mytorch.playground.session import Session

DTYPES = {"u8": numpy.uint8, "f32": numpy.float32}


def decode(message):
    """What the page makes of a message: the header, with the tensors as arrays."""
    length = int.from_bytes(message[:4], "little")
    header, body = json.loads(message[4 : 4 + length]), message[4 + length :]
    for name, place in header["tensors"].items():
        count = int(numpy.prod(place["shape"]))
        array = numpy.frombuffer(body, DTYPES[place["dtype"]], count, place["at"])
        header["tensors"][name] = array.reshape(place["shape"])
    return header


class Page:
    """Stands for the page: every picture is seen at once, while it `sees`."""

    def __init__(self):
        self.sees = True
        self.session = Session(self._receive)
        self._messages = Queue()
        self._thread = Thread(target=self.session.run, daemon=True)
        self._thread.start()

    def _receive(self, message):
        decoded = decode(message)
        self._messages.put(decoded)
        if decoded["kind"] == "frame" and self.sees:
            self.send("seen")

    def send(self, do, **fields):
        """Ask for something."""
        self.session.commands.put({"do": do, **fields})

    def until(self, kind, **fields):
        """The next message of a kind whose fields are these; those before it are dropped."""
        while True:
            message = self._messages.get(timeout=60)
            if message["kind"] == "error" and kind != "error":
                raise AssertionError(message["text"])
            if message["kind"] == kind and all(message[name] == value for name, value in fields.items()):
                return message

    def load(self, **fields):
        """Load an experiment and wait for its first picture."""
        self.send("experiment", **fields)
        experiment = self.until("experiment")
        self.until("frame", step=0)
        return experiment

    def close(self):
        """End the session."""
        self.session.commands.put(None)
        self._thread.join(60)
        assert not self._thread.is_alive()


@contextmanager
def served(*options):
    """The command, until Ctrl-C: its host and port, the token, and the number of its process."""
    command = [sys.executable, "-m", "mytorch", "playground", "--no-browser", *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:
        try:
            host, token = re.search(r"http://(\S+)/#token=(\S+)", process.stdout.readline()).groups()
            yield host, token, process.pid
        finally:
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all that it has started
            _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert "Fatal" not in errors
