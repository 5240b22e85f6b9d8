"""A process fails outside of a step, its program catches the error, and all train again together: FOLDER."""

import sys
from unittest.mock import patch

import torch
from shared_cases import take
from toy_parts import Table

from mytorch.plugins import Callback
from mytorch.train.parallel import join


def fail(*_):
    raise ValueError("a broken row")


class FailsIn(Callback):
    """Fails in one place of the second epoch, or lets the data do so."""

    must_succeed = True

    def __init__(self, place):
        self.place, self.rows = place, patch.object(Table, "batch_at", fail)

    def batch_ended(self, epoch, batch):
        if (epoch, batch) == (2, 3):
            self._come("a batch")
            if self.place == "a row":
                self.rows.start()

    def epoch_ended(self, epoch):
        if epoch == 2:
            self._come("the last epoch")

    def training_closing(self):
        self._come("the end")

    def training_failed(self):
        if self.place == "a row":
            self.rows.stop()

    def _come(self, place):
        if self.place == place:
            fail()


def said(processes, *callbacks):
    """What a training has at its end, or what it raises."""
    try:
        return take("plain", processes, epochs=2, callbacks=callbacks)
    except (ValueError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"


def main():
    with join(timeout=60) as processes:
        found = {"whole": said(processes)}
        for place in ("a batch", "a row", "the last epoch", "the end"):
            failing = [FailsIn(place)] if processes.rank == 1 else []
            found[place] = [said(processes, *failing), said(processes)]
        found["in all"] = [said(processes, FailsIn("a batch")), said(processes)]
        torch.save(found, f"{sys.argv[1]}/{processes.rank}.pt")


if __name__ == "__main__":
    main()
