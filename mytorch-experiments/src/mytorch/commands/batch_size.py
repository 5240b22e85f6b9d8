"""mytorch batch-size"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from mytorch.commands.train import complete_experiment, overrides_option
from mytorch.plugins import counted, parse_setting

if TYPE_CHECKING:
    from mytorch.experiments.training.find_batch_size import BatchAdvice


@click.command("batch-size")
@click.argument("source", metavar="EXPERIMENT|RUN", shell_complete=complete_experiment)
@click.option(
    "--steps",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="How many steps an experiment is trained before the last measurement.",
)
@overrides_option
def batch_size(source: str, steps: int, settings: tuple[str, ...]) -> None:
    """Suggest a batch size by the noise of the gradient.

    The gradient noise scale (critical batch size) is the batch size at which the gradient of a batch contains as much
    noise as signal. The command measures it on training rows and suggests a batch size near it.

    EXPERIMENT is a TOML file or the name of an installed experiment: it is trained for some steps, and this training
    is not kept. RUN is the folder of a run: its weights are used as they are. The noise scale grows during training,
    often tenfold or more, and is infinite at a minimum, so a measurement in the middle of a training matters most.

    \b
    Example:
      mytorch batch-size disk
      mytorch batch-size my-experiment.toml --steps 1000
      mytorch batch-size runs/disk-20260101-120000
    """
    from mytorch.experiments.training.find_batch_size import find_batch_size

    found = find_batch_size(source, dict(map(parse_setting, settings)), steps=steps)
    of_run = None in found.measured
    _show(found, f"{source.rstrip('/')}/experiment.toml" if of_run else source)


def _show(found: BatchAdvice, experiment: str) -> None:
    from mytorch.experiments.tables.terminal import show_table

    lines = []
    for steps, one in found.measured.items():
        when = "the run's training" if steps is None else counted(steps, "step")
        lines.append([when, *map(_number, (one.scale, one.low, one.high))])
    show_table(["after", "noise scale", "at least", "at most"], lines)
    last, now, advised = found.last, found.batch_size, found.suggestion
    rows = counted(last.rows, "training row")
    click.echo(f"\nMeasured on {rows}; the last two columns are a 95 % confidence interval.")
    if found.experiment.rule is not None:
        click.echo(f"The noise is that of backpropagation; the steps are those of {found.experiment.rule.type}.")
    if advised is None:
        click.echo(
            "The gradient of all these rows together is no larger than its noise, as near a minimum: from here on, "
            "larger\nbatches save steps, up to the size of the training part."
        )
        return
    click.echo(
        "A batch size near the noise scale takes about twice the fewest steps and twice the fewest samples that reach "
        "a loss:\nsmaller batches take more steps, larger ones more samples."
    )
    steps_now, samples_now = _number(last.steps(now)), _number(last.samples(now))
    click.echo(f"Now, with {now}: about {steps_now} times the fewest steps, {samples_now} times the fewest samples.")
    setting = f"{experiment} --set batch_size={max(1, advised // found.experiment.accumulate)}"
    click.echo(f"Suggested batch size: {advised}")
    click.echo(f"Take it: mytorch train {setting}")
    click.echo(f"The best learning rate depends on it: mytorch lr-find {setting}")


def _number(value: float) -> str:
    return "infinite" if math.isinf(value) else f"{value:.3g}" if value < 1000 else f"{value:,.0f}"
