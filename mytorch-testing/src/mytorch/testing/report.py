"""The results of a run of the kit."""

from dataclasses import dataclass, field


@dataclass
class Report:
    """The result of a run of the kit: which checks passed, and why others did not run.

    A check is named "mode/check", or "check" for parts without modes.

    part: the text by which the part shows itself
    minimum: how many different checks must pass for the run to mean anything; 0 if only some were asked for
    wanted: checks at least one of which must pass as well
    remarks: what checks that passed have left out
    """

    part: str
    minimum: int = 0
    wanted: frozenset[str] = frozenset()
    passed: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    opted_out: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)

    @property
    def different(self) -> int:
        """How many different checks passed, in any mode."""
        return len({name.rpartition("/")[2] for name in self.passed})

    @property
    def counts(self) -> str:
        """How many checks passed, of how many, in one line."""
        total = len(self.passed) + len(self.skipped) + len(self.opted_out)
        others = [(len(self.skipped), "skipped"), (len(self.opted_out), "opted out")]
        told = "".join(f", {count} {what}" for count, what in others if count)
        least = f"; {self.different} different ones, at least {self.minimum} must" if self.minimum else ""
        return f"{len(self.passed)} of {total} checks passed{told}{least}"

    def __str__(self) -> str:
        lines = [f"{self.part}: {self.counts}: {', '.join(self.passed)}"]
        told = {"skipped": self.skipped, "opted out": self.opted_out, "remark": self.remarks}
        for what, names in told.items():
            lines += [f"  {what}: {name} ({reason})" for name, reason in names.items()]
        return "\n".join(lines)
