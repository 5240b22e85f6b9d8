"""Threads share a compiled forward pass."""

from threading import Event, Thread, current_thread

import pytest
import torch
from toy_parts import Chain, Dense, Noise, Rectify

from mytorch.core import Module
from mytorch.train.compiled import CompiledForward, forward_program

pytestmark = pytest.mark.filterwarnings("error::mytorch.train.compiled.EngineWarning")


def network():
    return Chain(Dense(3, 4), Rectify(), Noise(), Dense(4, 2))


def test_threads_share_it(interpreted):
    net = network().eval()
    forward, given = CompiledForward(net), [torch.randn(4, 3) for _ in range(8)]
    found = [None] * len(given)

    def work(number):
        found[number] = [forward(given[number]) for _ in range(20)][-1]

    threads = [Thread(target=work, args=(number,)) for number in range(len(given))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    torch.testing.assert_close(found, [net(x) for x in given])
    assert len(interpreted) == 1


class Calls(Module):
    """y = x in evaluation and -x in training, which it finds out after a call."""

    def __init__(self, then):
        self.then = then

    def forward(self, x):
        self.then()
        return (-x if self.training else x), None


def test_no_thread_puts_the_net_back_to_training_while_another_uses_it():
    entered, met, x = Event(), Event(), torch.ones(4, 3)

    def meet():
        if current_thread() is first:
            entered.set()
            met.wait(0.2)
        else:
            met.set()
            first.join(10)

    net = Calls(meet).train()
    forward = CompiledForward(net)
    forward.refused = True
    first = Thread(target=forward, args=(x,))
    first.start()
    assert entered.wait(10)
    torch.testing.assert_close(forward(x), x)
    assert net.training


def test_no_thread_waits_while_another_compiles(interpreted, monkeypatch):
    begun, go, in_time, fetch = Event(), Event(), [], forward_program.fetch

    def slow(*given):
        begun.set()
        in_time.append(go.wait(2))
        return fetch(*given)

    monkeypatch.setattr(forward_program, "fetch", slow)
    net, x = network().train(), torch.randn(4, 3)
    forward = CompiledForward(net)
    first = Thread(target=forward, args=(x,))
    first.start()
    assert begun.wait(10)
    found = forward(x)
    go.set()
    first.join()
    assert in_time == [True]
    torch.testing.assert_close(found, net.eval()(x))
