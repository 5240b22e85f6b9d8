"""What a forward began with, so that it can be taken once more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor

from mytorch.core import Buffer, Module, RandomState, StateError, random_state


@dataclass(frozen=True, eq=False)
class Moment:
    """The mode, the buffers and the random state of modules before a forward.

    random: None if the forward drew nothing.
    """

    random: RandomState | None
    modes: Sequence[tuple[Module, bool]]
    buffers: dict[Buffer, Tensor]

    @classmethod
    def of(cls, module: Module) -> Moment:
        """The moment now."""
        modes = [(one, one.training) for one in module.modules()]
        buffers = {buffer: buffer.value.clone() for _, buffer in module.named_buffer()}
        return cls(random_state(module), modes, buffers)

    def ended(self) -> Moment:
        """The same, without a random state that no number was drawn from since."""
        drawn = self.random is not None and self.random.drawn()
        return self if drawn else Moment(None, self.modes, self.buffers)

    @contextmanager
    def again(self, owner: str, name: str, module: Module) -> Iterator[None]:
        """Within this context, mode, buffers and random state are those of the moment; after it, those of now.

        owner, name: who computes again, and what it calls the module. Raises StateError if modules came or went in it.
        """
        modes = [(one, one.training) for one in module.modules()]
        if [id(one) for one, _ in modes] != [id(one) for one, _ in self.modes]:
            raise StateError(
                f"{owner}: {name} must hold the modules that it held in the forward, which is computed again, got "
                "others; call forward again"
            )
        values = {buffer: buffer.value for _, buffer in module.named_buffer()}
        with random_state(module):
            try:
                for one, mode in self.modes:
                    one.training = mode
                for buffer, value in self.buffers.items():
                    buffer.value = value.clone()
                if self.random is not None:
                    self.random.restore()
                yield
            finally:
                for one, mode in modes:
                    one.training = mode
                for buffer, value in values.items():
                    buffer.value = value


def has_weights(module: Module) -> bool:
    """Whether no lazy layer in it waits for its first input."""
    return all(held.initialized for _, held in module.named_state())
