"""Steps of several processes that divide gradients, and what a layer sees of them in the backward: FOLDER."""

import sys
from contextlib import nullcontext
from unittest.mock import patch

import torch
from toy_parts import SGD, Chain, Dense, SquaredError

from mytorch.core import Module
from mytorch.train.choose_step import choose_step
from mytorch.train.parallel import join, pieces

LAYERS, WIDTH, ROWS, STEPS = 6, 3, 10, 3
OPTIONS = {
    "within": {},
    "by value": {"clip_grad_value": 0.01},
    "summed": {},
    "accumulated": {"accumulate": 2},
    "by norm": {"clip_grad_norm": 0.05},
    "state alone": {"shard": "optimizer"},
}
BREAKS = ("forward", "backward")


class Seeing(Module):
    """Does nothing but call functions."""

    def __init__(self, **does):
        self.does = does

    def forward(self, x):
        self.does.get("forward", list)()
        return x, None

    def backward(self, d_y, saved):
        self.does.get("backward", list)()
        return d_y


class Training:
    """A net of which each parameter is a bucket, and its steps.

    breaks: in which method the layer in the middle fails at the second step, in the process of rank 1.
    """

    def __init__(self, processes, case="within", breaks=None):
        torch.manual_seed(7)
        self.processes, self.options = processes, {"shard": "gradients", **OPTIONS[case]}
        self.steps, self.seen, self.before = 0, [], []
        dense = [Dense(WIDTH, WIDTH) for _ in range(LAYERS)]
        half = LAYERS // 2
        middle = Seeing() if breaks is None else Seeing(**{breaks: self.fail})
        self.net = Chain(Seeing(backward=self.look), *dense[:half], middle, *dense[half:]).to(torch.float64)
        self.loss = SquaredError("sum") if case == "summed" else SquaredError()
        self.optimizer = SGD(self.net.param(), lr=0.02, momentum=0.9)
        if processes is None:
            self.options.pop("shard")
        self.take = choose_step(self.optimizer, parallel=processes, **self.options)

    def fail(self):
        if self.steps == 2 and self.processes.rank == 1:
            raise ValueError("broken")

    def look(self):
        """Note how many parameters have changed in this step, and how many buckets hold gradients."""
        if self.processes is not None:
            changed = sum(not torch.equal(p.value, old) for p, old in zip(self.net.param(), self.before, strict=True))
            buckets = self.take.reducer._buckets
            self.seen.append((changed, sum(each.sums is not None or each._flat is not None for each in buckets)))

    def values(self):
        return [p.value.clone() for p in self.net.param()]

    def batch(self):
        """The rows of this process, of which one has more than the other."""
        draw = torch.Generator().manual_seed(self.steps)
        rows = slice(None) if self.processes is None else (slice(0, 7), slice(7, None))[self.processes.rank]
        return [torch.randn(ROWS, WIDTH, generator=draw, dtype=torch.float64)[rows] for _ in range(2)]

    def run(self):
        """Take the steps. Returns the values, those before the last step, what was seen, and what was raised."""
        said = None
        with patch.object(pieces, "BYTES", 1), self.storing():
            try:
                for _ in range(STEPS):
                    self.steps += 1
                    self.before = self.values()
                    x, t = self.batch()
                    lists = self.options.get("accumulate") and ([x[:2], x[2:]], [t[:2], t[2:]])
                    self.take(self.net, self.loss, self.optimizer, *(lists or (x, t)))
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
        return {"values": self.values(), "before": self.before, "seen": self.seen, "said": said}

    def storing(self):
        shards = getattr(self.take, "shards", None)
        return nullcontext() if shards is None else shards.storing(self.net, self.loss, self.optimizer)


def main():
    with join(timeout=60) as processes:
        found = {case: Training(processes, case).run() for case in OPTIONS}
        found |= {f"breaks in {name}": Training(processes, breaks=name).run() for name in BREAKS}
        torch.save(found, f"{sys.argv[1]}/{processes.rank}.pt")


if __name__ == "__main__":
    main()
