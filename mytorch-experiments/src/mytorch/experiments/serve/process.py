"""One of several processes of a server. It is told what to serve before anything slow is imported, so that it soon
answers the process that watches it, and a signal ends it in an orderly way from the beginning.
"""

from __future__ import annotations

import pickle
import sys
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mytorch.experiments.serve.settings import Settings

FAILED = 3
"""The exit status of a process that cannot begin, after which no other is tried."""


class AppOfProcess:
    """Makes the application in the process that answers. The processes share the cores of the machine."""

    def __init__(self, settings: Settings) -> None:
        self._settings = pickle.dumps(settings)  # they are not imported before they are needed

    def __call__(self) -> Any:
        try:
            import torch

            from mytorch.experiments.serve.app import app_of

            settings: Settings = pickle.loads(self._settings)
            torch.set_num_threads(max(1, torch.get_num_threads() // settings.workers))
            return app_of(settings.load(), settings.limits, settings.hosts)
        except Exception:  # the others would fail in the same way, again and again
            traceback.print_exc()
            sys.exit(FAILED)
