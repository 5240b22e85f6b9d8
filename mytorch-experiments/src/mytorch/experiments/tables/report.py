"""What a run comes to, in a few lines for the terminal."""

from __future__ import annotations

from mytorch.experiments.runs.folds import Folds
from mytorch.experiments.runs.run import Run
from mytorch.experiments.runs.run_folder import FIGURES


def run_summary(run: Run) -> str:
    """How long it took, where everything lies and what to do next; the progress above it ends with the numbers."""
    done, planned = len(run.history), run.summary["epochs_planned"]
    epochs = f"{done} of {planned}" if done < planned else f"{done}"
    figures = ", ".join(sorted(path.name for path in (run.path / FIGURES).glob("*.[pg][ni][gf]")))
    plural = "s" if planned != 1 else ""
    return "\n".join(
        [
            f"{epochs} epoch{plural} in {run.summary['seconds']:.3g} s",
            *best_epoch(run),
            f"Run kept in {run.path}",
            *([f"Figures in its folder {FIGURES}: {figures}"] if figures else []),
            f"Evaluate it again: mytorch evaluate {run.path}",
        ]
    )


def folds_summary(folds: Folds) -> str:
    """Mean and deviation of each number over the folds, and where their runs lie."""
    spreads = folds.spreads
    width = max(map(len, spreads), default=0)
    lines = [f"{name.replace('_', ' '):<{width}}  {spread}" for name, spread in spreads.items()]
    told = f"{folds.folds} folds in {folds.seconds:.3g} s; mean ± deviation over their test parts:"
    return "\n".join([told, *lines, f"Runs kept in {folds.path} ({', '.join(folds.runs)})"])


def best_epoch(run: Run) -> list[str]:
    """A line that says which epoch's weights were kept, if KeepBest chose them."""
    best = run.summary.get("best")
    if best is None:
        return []
    return [f"The weights are those of epoch {best['epoch']}: {best['monitor'].replace('_', ' ')} {best['value']:.4g}"]
