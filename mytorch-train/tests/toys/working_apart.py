"""Processes that work apart, of which the second takes longer than the timeout, and then ends: killed or fails."""

import os
import signal
import sys
import time
from datetime import timedelta

from mytorch.train.parallel import alone, join, launched


def fail():
    raise ValueError("a broken trial")


ACTS = {"killed": lambda: os.kill(os.getpid(), signal.SIGKILL), "fails": fail}

with join(timeout=60) as processes:
    with alone():
        assert launched() is None
    assert launched() is not None
    processes._timeout = timedelta(seconds=5)
    began = time.monotonic()
    with processes.apart():
        time.sleep(7 * processes.rank)
    print(f"{time.monotonic() - began:.1f}")
    with processes.apart():
        if processes.rank:
            time.sleep(3)  # the first process has seen that the work before is done
            ACTS[sys.argv[1]]()
        while sys.argv[1] == "fails":
            processes.require_all()
