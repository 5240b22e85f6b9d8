"""mytorch check"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import click
from click.shell_completion import CompletionItem

from mytorch.plugins import Part, SettingsError, UnknownNameError, catalogue, nearest, parse_setting


def shapes(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> list[tuple[int, ...]]:
    """Sizes such as 5x3 as tuples."""
    for value in values:
        if not re.fullmatch(r"\d+(x\d+)*", value):
            raise click.BadParameter(f"must be sizes such as 5x3, got {value!r}", context, option)
    return [tuple(map(int, value.split("x"))) for value in values]


def named_values(context: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """What stands after NAME=, by name: a number, a truth value, or a list."""
    read = {}
    for value in values:
        try:
            name, read_as = parse_setting(value)
        except SettingsError:
            raise click.BadParameter(f"must look like NAME=VALUE, got {value!r}", context, option) from None
        read[name] = read_as
    return read


def with_tensors(options: dict[str, Any]) -> dict[str, Any]:
    """The options, with each list as a tensor."""
    from torch import as_tensor

    try:
        return {name: as_tensor(value) if isinstance(value, list) else value for name, value in options.items()}
    except (TypeError, ValueError) as error:
        raise click.BadParameter(f"lists must be those of a tensor, got {error}", param_hint="--option") from None


def complete_name(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Installed parts and distributions that begin so."""
    names = sorted({name for part in catalogue() for name in (part.name, part.distribution)})
    return [CompletionItem(name) for name in names if name.startswith(begun)]


@click.command()
@click.argument("name", shell_complete=complete_name)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="An argument of the constructor, such as in_features=3; may be given several times.",
)
@click.option(
    "--input",
    "inputs",
    multiple=True,
    callback=shapes,
    metavar="SIZES",
    help="The shape of an input, such as 5x3; may be given once per input.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    callback=named_values,
    metavar="NAME=VALUE",
    help="A keyword argument of forward, such as mask=[1,0,1,1,0], once per argument; a list becomes a tensor.",
)
@click.option(
    "--constant",
    multiple=True,
    callback=named_values,
    metavar="NAME=INDEX",
    help="Entries of a parameter that have no gradient, such as weight=0 for row 0, once per parameter.",
)
@click.option(
    "--tag",
    "tags",
    multiple=True,
    help="A property of the part by which checks that cannot apply are skipped, such as mixes_batch of a layer whose "
    "rows depend on each other; may be given several times.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="The seed of the random numbers.")
@click.pass_context
def check(
    context: click.Context,
    name: str,
    settings: tuple[str, ...],
    inputs: list[tuple[int, ...]],
    options: dict[str, Any],
    constant: dict[str, Any],
    tags: tuple[str, ...],
    seed: int,
) -> None:
    """Check installed layers, losses, optimizers and other parts.

    NAME is a part, as "Name" or "distribution:Name", or a distribution, all of whose parts are checked. Arguments and
    inputs that are not given are guessed. The exit status is 1 if a check fails or a part cannot be built.

    \b
    Example:
      mytorch check Linear --set in_features=3 --set out_features=4 --input 5x3
      mytorch check MultiheadAttention --option need_weights=false
      mytorch check mytorch-optim
    """
    parts = named(name)
    from mytorch.testing.installed import Told, check_part

    told = Told(dict(map(parse_setting, settings)), inputs, tags, seed, with_tensors(options), constant)
    counts = Counter[str]()
    for part in parts:
        outcome = check_part(part, told)
        verdict = {True: "passed", False: "failed", None: "not checked"}[outcome.passed]
        counts[verdict] += 1
        click.echo(f"{verdict:12}  {part.kind:11}  {part.reference} {part.version}")
        click.echo("\n".join(f"    {line}" for text in outcome.lines for line in text.splitlines()))
    click.echo(", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items(), reverse=True)))
    context.exit(1 if counts["failed"] else 0)


def named(name: str) -> list[Part]:
    """The parts of a distribution, or those that a name means. Raises UnknownNameError if there are none."""
    parts = [part for part in catalogue() if part.distribution == name] or [
        part for part in catalogue() if name in (part.name, part.reference)
    ]
    if not parts:
        known = [known for part in catalogue() for known in (part.name, part.reference, part.distribution)]
        raise UnknownNameError(f"check: {name!r} is not installed. {nearest(name, known)}")
    return parts
