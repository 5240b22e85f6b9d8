"""What a run of the kit found, counted honestly."""

from dataclasses import dataclass, field


@dataclass
class Report:
    """What ran: names of the checks as "mode/check", or "check" for parts without modes, and why the others did not.

    part: the part as it shows itself
    minimum: how many different checks must pass for the run to say anything; 0 where only some were asked for
    wanted: checks of which one must pass as well
    """

    part: str
    minimum: int = 0
    wanted: frozenset[str] = frozenset()
    passed: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    opted_out: dict[str, str] = field(default_factory=dict)

    @property
    def different(self) -> int:
        """How many different checks passed, in whatever mode."""
        return len({name.rpartition("/")[2] for name in self.passed})

    @property
    def counts(self) -> str:
        """How many passed, of how many, in one line."""
        total = len(self.passed) + len(self.skipped) + len(self.opted_out)
        others = [(len(self.skipped), "skipped"), (len(self.opted_out), "opted out")]
        told = "".join(f", {count} {what}" for count, what in others if count)
        least = f"; {self.different} different ones, at least {self.minimum} must" if self.minimum else ""
        return f"{len(self.passed)} of {total} checks passed{told}{least}"

    def __str__(self) -> str:
        lines = [f"{self.part}: {self.counts}: {', '.join(self.passed)}"]
        for what, names in (("skipped", self.skipped), ("opted out", self.opted_out)):
            lines += [f"  {what}: {name} ({reason})" for name, reason in names.items()]
        return "\n".join(lines)
