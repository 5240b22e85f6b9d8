"""What traces a step changes nothing for what is computed meanwhile."""

from threading import Event, Thread

import pytest
import torch
from toy_parts import SGD, Chain, Dense, Points, Rectify, SquaredError, encoded

from mytorch.core.compiling import is_compiling
from mytorch.train import fit, step
from mytorch.train.compiled.trace import tracing


def trained():
    torch.manual_seed(0)
    net = Chain(Dense(2, 4), Rectify(), Dense(4, 2))
    optimizer = SGD(net.param(), lr=0.1, momentum=0.9)
    fit(net, SquaredError(), optimizer, encoded(Points(40, 0)), epochs=2, batch_size=10, quiet=True)
    return net, optimizer


@pytest.mark.numbers
def test_a_thread_trains_as_ever_while_another_traces():
    begun, ended, seen = Event(), Event(), []

    def trace():
        with tracing():
            seen.append(is_compiling())
            begun.set()
            ended.wait(60)

    alone, _ = trained()
    thread = Thread(target=trace)
    thread.start()
    begun.wait(60)
    try:
        net, optimizer = trained()
    finally:
        ended.set()
        thread.join()
    assert seen == [True]
    assert all(map(torch.equal, net.state_dict().values(), alone.state_dict().values()))
    assert not any(value.is_inference() for held in optimizer.state.values() for value in held.values())
    step(net, SquaredError(), optimizer, torch.ones(3, 2), torch.ones(3, 2))  # outside inference mode
