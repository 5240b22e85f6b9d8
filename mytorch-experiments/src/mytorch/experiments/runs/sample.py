"""Text from a run of a language model, token by token."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mytorch.core import ArgumentError, ShapeError, require_range, require_seed, require_whole
from mytorch.core.checks import FLOAT_MAX
from mytorch.experiments.runs.run import Run, load
from mytorch.plugins import catalogue, shown
from mytorch.train.errors import NotFiniteError, RunError

WAIT = 8
"""Tokens that are held back, at most, until they are whole characters."""
BROKEN = "\ufffd"
"""What stands for bytes that are no whole character."""


def sample(
    run: Run | str | Path,
    prompt: str,
    length: int = 200,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int = 0,
    write: Callable[[str], object] | None = None,
) -> str:
    """Continue a prompt with a run that was trained on a text; returns both.

    Each token is drawn from softmax(scores / temperature), where the scores are those of the model for the tokens
    before it, of which it sees at most `block_size`, as in training.

    run: a run, or its folder.
    prompt: the beginning of the text, of characters that occur in the training text.
    length: how many tokens are generated.
    temperature: below 1 likely tokens become more likely; 0 takes the most likely one each time.
    top_k: draw only from the `top_k` most likely tokens.
    seed: the same seed gives the same text.
    write: is called with the text piece by piece as it is generated, beginning with the prompt, such as
        sys.stdout.write.
    Raises RunError for a run that is not of a text, ArgumentError for a prompt with unknown characters or without any,
        and for numbers outside their range; NotFiniteError for scores that are no numbers.
    """
    run = run if isinstance(run, Run) else load(run)
    vocabulary, block_size = _language_of(run)
    require_whole("sample", "length", length, 1)
    require_range("sample", "temperature", temperature, 0.0, FLOAT_MAX)
    if top_k is not None:
        require_whole("sample", "top_k", top_k, 1)
    require_seed("sample", seed)
    tokens = _encoded(vocabulary, prompt)
    draw = partial(_draw, temperature=temperature, top_k=top_k, generator=torch.Generator().manual_seed(seed))
    text = ""
    for piece in chain([prompt], _pieces(vocabulary, _tokens(run, tokens, block_size, length, draw))):
        text += piece
        if write is not None:
            write(piece)
    return text


def _language_of(run: Run) -> tuple[Any, int]:
    """What makes tokens of a text and the reverse, and how many the model sees. Raises RunError for another run."""
    kept = run.kept
    cls: Any = None if kept.dataset is None else catalogue().load("dataset", kept.dataset)
    if not hasattr(cls, "vocabulary"):
        got = "a table" if kept.dataset is None else kept.dataset
        raise RunError(
            f"{run.path}: must be a run of a text to write one, got a run of {got}; "
            "mytorch train text-gpt --set data.train.path=FILE trains one"
        )
    return cls.vocabulary(kept.preparation), int(kept.entry["block_size"])


def _encoded(vocabulary: Any, prompt: str) -> Tensor:
    """The tokens of the prompt, int64 of shape (tokens,)."""
    if not isinstance(prompt, str) or not prompt:
        raise ArgumentError(f"sample: prompt must be a text of at least one character, got {shown(prompt)}")
    if unknown := vocabulary.unknown(prompt):
        raise ArgumentError(
            f"sample: prompt must be made of the {len(vocabulary.names)} characters of the text of the training, got "
            f"{unknown}"
        )
    return torch.tensor(vocabulary.encode(prompt).tolist())


def _tokens(run: Run, tokens: Tensor, block_size: int, length: int, draw: Callable[[Tensor], Tensor]) -> Iterator[int]:
    """So many tokens behind those given."""
    with run.outputs_by("eager") as outputs_of:
        for _ in range(length):
            tokens = tokens[-block_size:]
            outputs = outputs_of(tokens.unsqueeze(0))
            if not isinstance(outputs, Tensor) or outputs.dim() != 3 or outputs.shape[::2] != (1, len(tokens)):
                got = f"a tensor of {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else type(outputs).__name__
                raise ShapeError(
                    f"sample: the model's output must be scores of (batch, tokens, positions), (1, tokens, "
                    f"{len(tokens)}), got {got}"
                )
            token = draw(outputs[0, :, -1].double())
            yield int(token)
            tokens = torch.cat([tokens, token.reshape(1)])


def _draw(scores: Tensor, temperature: float, top_k: int | None, generator: torch.Generator) -> Tensor:
    """A token, by its scores of shape (tokens,)."""
    if not bool(scores.isfinite().all()):
        raise NotFiniteError("sample: every score must be finite, got one that is not; the training has diverged")
    if temperature == 0:
        return scores.argmax()
    if top_k is not None:
        least = scores.topk(min(top_k, len(scores))).values[-1]
        scores = scores.where(scores >= least, -torch.inf)
    return torch.multinomial(((scores - scores.max()) / temperature).softmax(0), 1, generator=generator)


def _pieces(vocabulary: Any, tokens: Iterable[int]) -> Iterator[str]:
    """The text of tokens, whole characters at a time: one may be several tokens long."""
    held: list[int] = []
    for token in tokens:
        held.append(token)
        text = vocabulary.decode(held)
        if not text.endswith(BROKEN) or len(held) == WAIT:
            yield text
            held = []
    if held:
        yield vocabulary.decode(held)
