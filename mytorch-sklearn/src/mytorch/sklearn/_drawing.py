"""Random numbers that a seed decides, with the caller's generators left as they are."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import numpy as np

from mytorch.core import random_state, seed_torch

_ALONE = RLock()


@contextmanager
def drawing(seed: int) -> Iterator[None]:
    """Within this context all that a model may draw follows from a seed below 2**32; afterwards all is as before.

    The generators belong to the whole process, so threads wait here for each other.
    """
    with _ALONE, random_state():
        random.seed(seed)
        np.random.seed(seed)
        seed_torch(seed)
        yield
