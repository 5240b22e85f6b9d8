"""What a run comes to, in a few lines for the terminal."""

from __future__ import annotations

from mytorch.train.progress import numbers_of
from mytorch.train.train_experiment import Run


def run_summary(run: Run) -> str:
    """The last epoch's numbers, the time, where everything lies and what to do next."""
    last = run.history[-1]
    files = ", ".join(sorted(f"figures/{path.name}" for path in (run.path / "figures").glob("*.png")))
    seconds = run.summary["seconds"]
    return "\n".join(
        [
            f"{len(run.history)} epochs in {seconds:.3g} s: {numbers_of(last)}",
            f"Run kept in {run.path} (experiment.toml, history.csv, weights.safetensors, {files})",
            f"Judge it again: mytorch evaluate {run.path}",
        ]
    )
