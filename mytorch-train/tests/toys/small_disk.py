"""A disk without room, for the tests of what happens then."""

import resource
from contextlib import contextmanager


@contextmanager
def limited(size):
    """Within this context no file may become larger."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
