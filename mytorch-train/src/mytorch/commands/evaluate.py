"""mytorch evaluate"""

from __future__ import annotations

import json
import math
from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as JSON; one that is not finite is null.")
def evaluate(run: Path, as_json: bool) -> None:
    """Judge a run on the test data of its experiment.

    RUN is the folder that `mytorch train` made. Without test data, the training data is taken.

    \b
    Example:
      mytorch evaluate runs/disk-20260101-120000
    """
    from mytorch.train import load

    results = load(run).evaluate()
    if as_json:
        click.echo(json.dumps({name: value if math.isfinite(value) else None for name, value in results.items()}))
        return
    width = max(map(len, results))
    for name, value in results.items():
        click.echo(f"{name.replace('_', ' '):<{width}}  {value:.6g}")
