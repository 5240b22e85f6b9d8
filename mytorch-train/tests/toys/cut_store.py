"""Processes whose store does not answer any more, as where the link to its machine is cut: PID of the process with it.

Each prints what every call says then, and after how many seconds, and ends with an error of its own.
"""

import json
import os
import signal
import sys
import time
from datetime import timedelta

from mytorch.train import RankError
from mytorch.train.parallel import join, processes

processes.GRACE = 0.5


def work_apart(here):
    with here.apart():
        time.sleep(2.5 * processes.BEAT)  # the thread that gives signs waits for the store, too


CALLS = {
    "apart": work_apart,
    "require_all": lambda here: here.require_all(),
    "remember": lambda here: here.remember("name", "text"),
    "recall": lambda here: here.recall("name"),
    "group": lambda here: here.group([0, 1]),
    "fail": lambda here: here.fail(ValueError("an error of its own")),
}


def said(call, here):
    began, text = time.monotonic(), None
    try:
        call(here)
    except RankError as error:
        text = str(error)
    return text, time.monotonic() - began


with join(timeout=60) as joined:
    joined._timeout = timedelta(seconds=1)
    joined.gather(None)
    if joined.first:
        os.kill(int(sys.argv[1]), signal.SIGSTOP)
    joined.gather(None)
    print(json.dumps({name: said(call, joined) for name, call in CALLS.items()}))
    raise ValueError("an error of its own")
