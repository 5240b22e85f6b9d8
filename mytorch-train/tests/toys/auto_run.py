"""A run of the auto engine that goes on until some steps after it changed over, or gave up: python auto_run.py

It prints the id of the process that compiles, and at the end the notes and the last loss.
"""

import json
import math

import torch
from compiled_runs import table
from toy_parts import SGD, Chain, Dense, Rectify, SquaredError

from mytorch.plugins import StopTraining, hookimpl
from mytorch.train import auto, fit
from mytorch.train.compiled import engine, program

STEPS = 30


class Until:
    """Stops the training some steps after it was decided how steps are taken."""

    may_lag = True
    left = STEPS
    told = False

    @hookimpl
    def batch_ended(self, run):
        coming = run.engine._coming
        if coming is not None and not self.told:
            self.told = True
            print(coming._process._process.pid, flush=True)
        self.left -= bool(run.engine.notes())
        if not self.left:
            raise StopTraining


if __name__ == "__main__":
    auto.WORTH_TRACING = auto.WORTH_COMPILING = auto.LOOK = 0.0
    auto.SLOW_OPERATION = math.inf
    program.UNROLLED = 1  # which compiles in a third of the time of ten
    engine.seconds_of = lambda *_: 1e-9
    torch.manual_seed(5)
    torch.set_num_threads(1)
    net = Chain(Dense(3, 4), Rectify(), Dense(4, 2)).to(torch.float64)
    options = {"epochs": 10**6, "batch_size": 10, "callbacks": [Until()], "evaluate_every": 10**6, "quiet": True}
    run = fit(net, SquaredError(), SGD(net.param(), lr=1e-6), table(4000), engine="auto", **options)
    print(json.dumps(run.notes))
