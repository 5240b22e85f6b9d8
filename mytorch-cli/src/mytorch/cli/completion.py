"""`mytorch completion`: click's own completion scripts, under a name one can find."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes mytorch in your SHELL.

    Put the example's line for your shell into ~/.bashrc, ~/.zshrc (after compinit)
    or ~/.config/fish/config.fish, and open a new terminal.

    \b
    Example:
      eval "$(mytorch completion bash)"
      eval "$(mytorch completion zsh)"
      mytorch completion fish | source
    """
    script = get_completion_class(shell)
    assert script is not None  # the three shells are click's own
    click.echo(script(ctx.find_root().command, {}, "mytorch", "_MYTORCH_COMPLETE").source())
