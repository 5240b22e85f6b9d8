"""Random numbers that a seed decides, with the caller's generators left as they are."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import numpy as np
import torch

from mytorch.core import random_state

_ALONE = RLock()


@contextmanager
def drawing(seed: int) -> Iterator[None]:
    """Within this context all that a model may draw follows from a seed below 2**32; afterwards all is as before.

    The generators belong to the whole process, so threads wait here for each other.
    """
    with _ALONE, random_state():
        random.seed(seed)
        np.random.seed(seed)
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(seed)
        if torch.backends.mps.is_available():
            torch.mps.manual_seed(seed)
        yield
