"""mytorch sample"""

from __future__ import annotations

from pathlib import Path

import click

from mytorch.commands._shared_options import device_option


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--prompt", required=True, help="The beginning of the text.")
@click.option(
    "--length",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="How many tokens are written behind it.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(min=0.0),
    default=1.0,
    show_default=True,
    help="Below 1, likely tokens become likelier; 0 takes the likeliest each time.",
)
@click.option("--top-k", type=click.IntRange(min=1), help="Draw only from so many of the likeliest tokens.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Another seed, another text.")
@device_option
def sample(run: Path, prompt: str, length: int, temperature: float, top_k: int | None, seed: int, device: str) -> None:
    """Write a text with a run of a language model.

    RUN is the folder that `mytorch train` made of a text. The text appears as it is written, one token after the
    other: a character, a byte or a piece of a word, as the run was trained. Each is drawn by the probability that the
    model gives to it.

    \b
    Example:
      mytorch sample runs/text-gpt-20260101-120000 --prompt "The "
      mytorch sample runs/text-gpt-20260101-120000 --prompt "The " --length 500 --temperature 0.7 --top-k 20 --seed 1
    """
    from mytorch.experiments import load
    from mytorch.experiments.runs.sample import sample as write_text

    write_text(
        load(run, device=device),
        prompt,
        length,
        temperature=temperature,
        top_k=top_k,
        seed=seed,
        write=lambda piece: click.echo(piece, nl=False),
    )
    click.echo()
