"""A small run, also in a process of its own: python one_run.py trains compiled, prints the last loss and waits for the
end of its input."""

import sys

import torch
from compiled_runs import table
from toy_parts import SGD, Chain, Dense, Rectify, SquaredError

from mytorch.train import fit
from mytorch.train.compiled import program


def train(engine):
    torch.manual_seed(5)
    torch.set_num_threads(1)
    net = Chain(Dense(3, 4), Rectify(), Dense(4, 2)).to(torch.float64)
    optimizer, options = SGD(net.param(), lr=0.05, momentum=0.9), {"epochs": 3, "batch_size": 10}
    return fit(net, SquaredError(), optimizer, table(40), engine=engine, **options)


def last_loss(engine):
    return train(engine).history[-1]["train_loss"]


if __name__ == "__main__":
    program.UNROLLED = 1  # which compiles in a third of the time of ten
    training = train("compiled")  # which holds the machine code while the process waits
    print(training.history[-1]["train_loss"], flush=True)
    sys.stdin.read()
