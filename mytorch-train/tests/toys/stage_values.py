"""What each process of a pipeline holds while it trains, and trainings that go on elsewhere: FOLDER [BEFORE...].

BEFORE are the layouts whose checkpoints are resumed.
"""

import os
import sys
from contextlib import contextmanager
from unittest.mock import patch

import torch
from shared_failures import AtBatch, fail, interrupt
from shared_pipeline_failures import said, with_spoilt
from shared_pipelines import deep, piped

from mytorch.plugins import Callback
from mytorch.train.parallel import join
from mytorch.train.parallel.pipeline.stage import Stage

LAYOUTS = {
    "2-stages": {"stages": 2, "micro_batches": 3},
    "4-stages": {"stages": 4, "micro_batches": 2},
    "4-two stages": {"stages": [1, 5], "micro_batches": 2},
    "2-parameters": {"shard": "parameters", "stages": 1, "micro_batches": None},
    "1-alone": {"stages": 1, "micro_batches": None},
}
"""Ways to train, by names that begin with the number of processes."""
MOMENTUM = {"momentum": 0.9, "lr": 0.05, "epochs": 4, "shuffle": True}


class Looking(Callback):
    """Notes the values that a process has after each batch and at the end of each epoch."""

    must_succeed = True

    def __init__(self):
        self.batches, self.epochs = [], []

    def batch_ended(self, run):
        self.batches.append(values(run.net))

    def epoch_trained(self, run):
        self.epochs.append(values(run.net))


class Weighing(Callback):
    """Notes what memory a process has for its parameters after each batch, and asks for nothing else to be there."""

    may_lag = must_succeed = True

    def __init__(self):
        self.bytes, self.present, self.shapes, self.refused = set(), set(), [], set()

    def batch_ended(self, run):
        tensors = {name: p.value for name, p in run.net.named_param()}
        behind = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors.values()}
        self.bytes.add(sum(behind.values()))
        self.present |= {name for name, t in tensors.items() if t.isfinite().all()}
        self.shapes = [t.shape for t in tensors.values()]
        for t in tensors.values():
            try:
                t.mul_(1)
            except RuntimeError as error:
                self.refused.add(str(error).partition(" of ")[0])


def values(net):
    return {name: p.value.clone() for name, p in net.named_param()}


class Raising(Callback):
    """Ends one process alone, while each has its stage only."""

    may_lag = must_succeed = True

    def batch_ended(self, epoch, batch):
        if (epoch, batch) == (2, 2) and os.environ["RANK"] == "1":
            fail()


def gathered(processes, folder):
    """How many values each process lacks while a checkpoint is written."""
    lacking, in_first = [], Stage.in_first

    @contextmanager
    def noted(self):
        with in_first(self):
            lacking.append(len(self.absent))
            yield

    path = f"{folder}/{'noted' if processes.first else 'none'}.safetensors"
    with patch.object(Stage, "in_first", noted):
        piped("momentum", processes, checkpoint=path)
    return lacking


def net_after(processes, **options):
    """The net after a training that is ended by an error, and the error."""
    nets = []

    def make():
        nets.append(options.get("net", deep)())
        return nets[0]

    error = said("momentum", processes, **{**options, "net": make})
    return {"said": error, "weights": values(nets[0])}


def held(processes, folder):
    """What each process has in trainings that end well or badly."""
    found, weighing, looking = {}, Weighing(), Looking()
    piped("momentum", processes, epochs=2, callbacks=[weighing])
    found["held"] = vars(weighing)
    piped("momentum", processes, epochs=2, callbacks=[looking])
    found["seen"] = {name: vars(looking)[name] for name in ("batches", "epochs")}
    found["gathered"] = gathered(processes, folder)
    spoilt = {"stages": [2, 2], "epochs": 1}
    found["a layer fails"] = net_after(processes, net=lambda: with_spoilt(1, fail, forward=9), **spoilt)
    found["a process fails"] = net_after(processes, callbacks=[Raising()], epochs=3)
    torch.save(found, f"{folder}/held-{processes.rank}.pt")


def resumed(folder, before, layout, processes=None):
    """Train on from a checkpoint, in another way."""
    path = f"{folder}/{before}.safetensors"
    return piped("plain", processes, resume=path, accept_differences=True, **{**MOMENTUM, **LAYOUTS[layout]})


def elsewhere(processes, folder, before):
    """Leave a checkpoint for each layout of so many processes, and go on from those of others."""
    layouts = [layout for layout in LAYOUTS if layout.startswith(f"{processes.size}-")]
    for layout in [] if before else layouts:
        path = f"{folder}/{layout if processes.first else 'none'}.safetensors"
        options = {"checkpoint": path, "callbacks": [AtBatch(processes.rank, interrupt)]}
        assert said("plain", processes, **{**MOMENTUM, **LAYOUTS[layout], **options}).startswith("Interrupted")
    found = {(each, layout): resumed(folder, each, layout, processes) for each in before for layout in layouts}
    torch.save(found, f"{folder}/{'resumed' if before else 'left'}-{processes.size}-{processes.rank}.pt")


def main():
    folder, what, *before = sys.argv[1:]
    with join(timeout=60) as processes:
        if what == "elsewhere":
            elsewhere(processes, folder, before)
        else:
            held(processes, folder)
            os._exit(0)  # one of the processes has left the training, so that none can say goodbye


if __name__ == "__main__":
    main()
