"""What a run comes to, in a few lines for the terminal."""

from __future__ import annotations

from mytorch.experiments.runs.folds import Folds
from mytorch.experiments.runs.run import Run
from mytorch.experiments.runs.run_folder import EXPERIMENT_FILE, HISTORY_FILE
from mytorch.train.callbacks.progress import numbers_of, test_line
from mytorch.train.weights import WEIGHTS_FILE

FILES = (EXPERIMENT_FILE, HISTORY_FILE, WEIGHTS_FILE)


def run_summary(run: Run) -> str:
    """The last epoch's numbers, the time, where everything lies and what to do next."""
    numbers = f": {numbers_of(run.history[-1])}" if run.history else ""
    done, planned = len(run.history), run.summary["epochs_planned"]
    epochs = f"{done} of {planned}" if done < planned else f"{done}"
    figures = sorted(f"figures/{path.name}" for path in (run.path / "figures").glob("*.[pg][ni][gf]"))
    files = ", ".join([*(name for name in FILES if (run.path / name).exists()), *figures])
    seconds = run.summary["seconds"]
    return "\n".join(
        [
            f"{epochs} epochs in {seconds:.3g} s{numbers}",
            *best_epoch(run),
            *_tested(run),
            f"Run kept in {run.path} ({files})",
            f"Judge it again: mytorch evaluate {run.path}",
        ]
    )


def folds_summary(folds: Folds) -> str:
    """Mean and deviation of each number over the folds, and where their runs lie."""
    spreads = folds.spreads
    width = max(map(len, spreads), default=0)
    lines = [f"{name.replace('_', ' '):<{width}}  {spread}" for name, spread in spreads.items()]
    told = f"{folds.folds} folds in {folds.seconds:.3g} s; mean ± deviation over their test parts:"
    return "\n".join([told, *lines, f"Runs kept in {folds.path} ({', '.join(folds.runs)})"])


def _tested(run: Run) -> list[str]:
    results = run.summary.get("test")
    return [test_line(results)] if results else []


def best_epoch(run: Run) -> list[str]:
    """A line that says which epoch's weights were kept, if KeepBest chose them."""
    best = run.summary.get("best")
    if best is None:
        return []
    return [f"The weights are those of epoch {best['epoch']}: {best['monitor'].replace('_', ' ')} {best['value']:.4g}"]
