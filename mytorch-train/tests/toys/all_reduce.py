"""One of several processes that average their gradients while the backward goes on: RANK PROCESSES MEETING RESULT."""

import json
import sys
from pathlib import Path

import torch
from torch import distributed
from toy_parts import Chain, Dense, Rectify, SquaredError

from mytorch.train import completion, gradients

ROWS = 8


def network():
    """The model of every process, with equal weights."""
    torch.manual_seed(7)
    return Chain(Dense(3, 5), Rectify(), Dense(5, 4), Rectify(), Dense(4, 2)).to(torch.float64)


def rows():
    """Inputs and targets of all processes together."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(ROWS, size, generator=generator, dtype=torch.float64) for size in (3, 2)]


def average(net, x, t, processes):
    """Leave the average of all processes in the gradients. Returns how many were on their way at each Watching."""
    waiting, early = [], []

    class Watching(Rectify):
        """Notes how many averages have been started when the backward comes by."""

        def backward(self, d_y, saved):
            early.append(len(waiting))
            return super().backward(d_y, saved)

    def all_reduce(complete):
        for parameter in complete:
            gradient = parameter.grad / processes
            waiting.append((parameter, gradient, distributed.all_reduce(gradient, async_op=True)))

    net.layers[1], net.layers[3] = Watching(), Watching()
    with completion(net, net.param(), all_reduce):
        gradients(net, SquaredError(), x, t)
    for parameter, gradient, work in waiting:
        work.wait()
        parameter.grad = gradient
    return early


def main():
    rank, processes = map(int, sys.argv[1:3])
    distributed.init_process_group("gloo", init_method=Path(sys.argv[3]).as_uri(), rank=rank, world_size=processes)
    net = network()
    early = average(net, *(part.chunk(processes)[rank] for part in rows()), processes)
    found = {"early": early, "gradients": [parameter.grad.tolist() for parameter in net.param()]}
    Path(sys.argv[4]).write_text(json.dumps(found))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
