"""The comparison as a table, figures and a page."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from mytorch.experiments.figures.figures import COLOURS, finish, new_figure, plot_series, save
from mytorch.experiments.parity.compare import Comparison, SeedResult, summarise
from mytorch.experiments.parity.lockstep import STEP_TOLERANCE, History, Steps
from mytorch.plugins import make_folder, write_file


def verdict(result: SeedResult) -> str:
    """One line about one seed."""
    return (
        f"seed {result.seed}: {'equal' if result.passed else 'DIFFERENT'}; "
        f"float64 epochs within {result.epoch_gap:.1e} (at most {result.epoch_tolerance:.0e}), "
        f"float32 steps within {result.steps.gap:.1e} relative (at most {STEP_TOLERANCE:.0e})"
        f"{_rounded(result.steps)}; "
        f"whole float32 run differs by {result.run_gap:.1e}, PyTorch from itself by {result.control_gap:.1e}"
    )


def _rounded(steps: Steps) -> str:
    """What to say of steps that rounding decides; nothing if there are none."""
    if not steps.rounded:
        return ""
    return f" but for numbers that rounding decides, in {steps.rounded} of {steps.steps} steps, for PyTorch too"


def table(comparison: Comparison) -> str:
    """The report's table as Markdown: mean, deviation, median and worst of the judged quantity."""
    percent = comparison.quantity.endswith("rate") or comparison.quantity == "accuracy"
    show = "{:.2%}".format if percent else "{:.4g}".format
    title = comparison.judged.replace("_", " ")
    lines = [f"| {title} | mean | std | median | worst |", "|---|---|---|---|---|"]
    for name, values in comparison.finals().items():
        numbers = summarise(values)
        worst = min(values) if comparison.quantity == "accuracy" else numbers["worst"]
        shown = [numbers["mean"], numbers["std"], numbers["median"], worst]
        lines.append(f"| {name} | {' | '.join(map(show, shown))} |")
    return "\n".join(lines)


def without_rule(comparison: Comparison) -> str:
    """What to say of a learning rule that was left out; nothing if there was none."""
    if comparison.left_out is None:
        return ""
    return (
        f"Compared is everything but the learning rule, {comparison.left_out}, which PyTorch does not have: both "
        "trained by backpropagation."
    )


def write_report(comparison: Comparison, folder: Path) -> Path:
    """Write figures 1, 2 and 3 and `report.md`, which shows them. Returns the page's path. Raises FileError."""
    make_folder(folder)
    figures = [*_draw_data(comparison, folder), _draw_judged(comparison, folder), _draw_loss(comparison, folder)]
    experiment = comparison.experiment
    seeds = [result.seed for result in comparison.seeds]
    about = f"{experiment.description}. " if experiment.description else ""
    page = [
        f"# {experiment.name}: mytorch and PyTorch",
        f"{about}{experiment.epochs} epochs; both start from the same random weights and see the same batches "
        f"with the same random state. Seeds {seeds[0]} to {seeds[-1]}.",
        *filter(None, [without_rule(comparison)]),
        table(comparison),
        "\n".join(f"- {verdict(result)}" for result in comparison.seeds),
        "The control is PyTorch against PyTorch with its fused update kernel: training amplifies rounding, so that "
        "whole runs in float32 may differ without either being wrong. Rounding decides a number where PyTorch itself "
        "comes to another one when the weights before the step are changed by a millionth.",
        *(f"![{caption}]({path.name})\n\n{caption}" for path, caption in figures),
    ]
    path = folder / "report.md"
    write_file(path, "\n\n".join(page) + "\n")
    return path


def _draw_data(comparison: Comparison, folder: Path) -> Iterable[tuple[Path, str]]:
    """Let the data set draw itself, if it can; one that was wrapped is looked for inside."""
    data = comparison.built.setup.batches.data
    while not hasattr(data, "plot"):
        data = getattr(data, "data", None)
        if data is None or isinstance(data, Tensor):  # the rows themselves
            return
    path = folder / "figure-1-data.png"
    path.unlink(missing_ok=True)
    yield data.plot(path), "Figure 1. The training data."


def _draw_judged(comparison: Comparison, folder: Path) -> tuple[Path, str]:
    title = comparison.quantity.replace("_", " ")
    path = _draw(comparison, comparison.quantity, title, folder / f"figure-2-{title.replace(' ', '-')}.png")
    return path, f"Figure 2. Training and test {title} of both frameworks{_over(comparison)}."


def _draw_loss(comparison: Comparison, folder: Path) -> tuple[Path, str]:
    path = _draw(comparison, "loss", "loss", folder / "figure-3-loss.png")
    return path, f"Figure 3. Training and test loss of both frameworks{_over(comparison)}."


def _draw(comparison: Comparison, quantity: str, title: str, path: Path) -> Path:
    """Draw PyTorch as a broad pale line and mytorch as a thin dark one on it, so that equal ones both show."""
    figure, axes = new_figure()
    torchs = mean_history([result.torchs for result in comparison.seeds])
    ours = mean_history([result.ours for result in comparison.seeds])
    for part, colour in COLOURS.items():
        name = f"{part}_{quantity}"
        plot_series(axes, torchs, name, label=f"PyTorch, {part}", color=colour, marker="", width=6, alpha=0.3)
        plot_series(axes, ours, name, label=f"mytorch, {part}", color=colour)
    finish(axes, f"{comparison.experiment.name}: {title}{_over(comparison)}", title)
    axes.legend(frameon=False)
    return save(figure, path)


def _over(comparison: Comparison) -> str:
    count = len(comparison.seeds)
    return f", mean of {count} seeds" if count > 1 else f", seed {comparison.seeds[0].seed}"


def mean_history(histories: list[History]) -> History:
    """The mean of several histories, epoch by epoch."""
    return [
        {name: statistics.fmean(record[name] for record in records) for name in records[0]}
        for records in zip(*histories, strict=True)
    ]
