"""Whether what does not fit is refused by name."""

from __future__ import annotations

from typing import Any

from mytorch.core import MytorchError, ShapeError
from mytorch.testing.errors import CheckError
from mytorch.testing.module.trial import Trial


def refused(trial: Trial, inputs: tuple[Any, ...], subject: str, right: Any, wrong: Any) -> Any:
    """None if forward raises a ShapeError that names the module, else its output."""
    name = type(trial.module).__name__
    try:
        output, _ = trial.forward(inputs)
    except ShapeError as error:
        if name not in str(error) and not any(True for _ in trial.module.named_children()):
            raise CheckError(f"the ShapeError must name {name}, got {str(error)!r}") from None
        return None
    except CheckError:
        raise
    except MytorchError:
        return None
    except Exception as error:
        raise CheckError(
            f"{subject} of {tuple(wrong)} instead of {tuple(right)} must raise a ShapeError that names {name}, "
            f"got {type(error).__name__}: {error}"
        ) from None
    return output
