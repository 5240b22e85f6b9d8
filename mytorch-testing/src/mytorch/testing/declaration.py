"""What a test file says about a part, so that each check becomes a test of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mytorch.testing.kit import Kit, identity
from mytorch.testing.report import Report


@dataclass(frozen=True)
class Declaration:
    """A part and how to check it: `ids` names the checks, and `run` runs one of them or all."""

    check: Callable[..., Report]
    kit: Kit
    opt_out: Mapping[str, str]
    modes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse an opt-out of a check that there is not, which no single check would notice."""
        self.kit.require_known("check", self.opt_out, [check.__name__ for check in self.kit.checks])

    @property
    def ids(self) -> list[str]:
        """A name for each check: "mode/check", or the check alone if there are no modes or it is opted out of."""
        names = [check.__name__ for check in self.kit.checks]
        kept = [identity(mode, name) for mode in self.modes or ("",) for name in names if name not in self.opt_out]
        return kept + [name for name in names if name in self.opt_out]

    def run(self, which: str | None = None) -> Report:
        """Run one check, or all. Raises CheckError if one fails, or if one passes that is opted out of."""
        if which is None:
            return self.check(**self._modes(self.modes), opt_out=self.opt_out)
        mode, _, name = which.rpartition("/")
        opt_out = {name: self.opt_out[name]} if name in self.opt_out else {}
        return self.check(**self._modes((mode,) if mode else self.modes), checks=(name,), opt_out=opt_out)

    def _modes(self, modes: tuple[str, ...]) -> dict[str, Any]:
        return {"modes": modes} if self.modes else {}
