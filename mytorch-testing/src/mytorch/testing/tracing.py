"""Telling what torch.compile refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mytorch.testing.errors import CheckError


@contextmanager
def graph_error(what: str) -> Iterator[None]:
    """Turn the compiler's refusal into a CheckError, and forget what it compiled."""
    from torch._dynamo import reset
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise CheckError(
            f"{what} must be one graph of torch.compile (tag not_traceable otherwise), got {reason}"
        ) from error
    finally:
        reset()
