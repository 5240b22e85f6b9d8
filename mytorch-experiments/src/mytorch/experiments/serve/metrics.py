"""What a server counts, as Prometheus reads it."""

from __future__ import annotations

import os

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 8192)


class Metrics:
    """Counts of one process; `text` has those of all of a server."""

    media = CONTENT_TYPE_LATEST

    def __init__(self, run: str) -> None:
        own = self._registry = CollectorRegistry()
        self.requests = Counter("mytorch_requests", "Answers to /predict, by status.", ["status"], registry=own)
        self.seconds = Histogram(
            "mytorch_request_seconds", "From a request to its answer, of /predict.", buckets=SECONDS, registry=own
        )
        self.rows = Counter("mytorch_rows", "Rows that were predicted.", registry=own)
        self.model_seconds = Histogram(
            "mytorch_model_seconds",
            "In the model, for a batch of rows.",
            buckets=SECONDS,
            registry=own,
        )
        self.batch_rows = Histogram(
            "mytorch_batch_rows", "Rows of a batch that went through the model.", buckets=ROWS, registry=own
        )
        info = Gauge("mytorch_run", "1, for the run that is served.", ["run"], registry=own, multiprocess_mode="max")
        info.labels(run).set(1)

    def text(self) -> bytes:
        """All counts, in Prometheus' format."""
        if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
