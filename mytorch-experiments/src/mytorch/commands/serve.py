"""mytorch serve"""

from __future__ import annotations

from pathlib import Path

import click

from mytorch.commands._shared_options import device_option, reading_of, reading_options


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen at; 0.0.0.0 is any.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="The port; 0 takes a free one.",
)
@click.option(
    "--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes, each with its own model."
)
@click.option(
    "--gather",
    type=click.FloatRange(0, 1000),
    default=2.0,
    show_default=True,
    help="Milliseconds for which a request waits for others that have begun, to go through the model together; 0 "
    "computes each alone.",
)
@click.option(
    "--max-body", type=click.FloatRange(0.001, 4096), default=8.0, show_default=True, help="MiB of a request, at most."
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.01, 3600),
    default=30.0,
    show_default=True,
    help="Seconds for an answer.",
)
@click.option(
    "--max-waiting",
    type=click.IntRange(1, 100_000),
    default=128,
    show_default=True,
    help="Requests at once, at most, in each process.",
)
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="NAME",
    help="A name that clients ask for, such as that of a proxy in front; may be repeated. At an address that only "
    "this machine reaches, other names than localhost are refused without it.",
)
@reading_options
@device_option
@click.option("--log-requests", is_flag=True, help="Write a line for each request.")
def serve(
    run: Path,
    host: str,
    port: int,
    workers: int,
    gather: float,
    max_body: float,
    timeout: float,
    max_waiting: int,
    allow_hosts: tuple[str, ...],
    device: str,
    log_requests: bool,
    **reading: str | None,
) -> None:
    """Answer HTTP requests with the predictions of a run.

    RUN is the folder that `mytorch train` made. POST /predict takes rows as JSON or CSV (arrays as JSON or NPZ, images
    as files or JSON, a text as it is) and answers with what `mytorch predict` writes for them. The page at / shows how
    to ask; /openapi.json says the same to programs, /health whether the model answers, and /metrics has counts for
    Prometheus. There are no passwords and no encryption: put a proxy that has them in front before others may ask.

    \b
    Example:
      mytorch serve runs/disk-20260101-120000
      mytorch serve runs/disk-20260101-120000 --port 8080 --workers 4
      curl --json '{"rows": [{"x": 0.1, "y": 0.7}]}' http://127.0.0.1:8000/predict
    """
    from mytorch.experiments.serve.limits import Limits
    from mytorch.experiments.serve.serve import serve as serve_run
    from mytorch.experiments.serve.settings import Settings

    limits = Limits(int(max_body * 2**20), timeout, max_waiting, gather / 1000)
    settings = Settings(run, limits, reading_of(reading), device, workers, allow_hosts)
    serve_run(settings, host, port, log_requests, click.echo)
