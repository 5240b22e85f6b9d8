"""Outputs, and predicting, over the rows of a batch: sections of the suite. inference.py says how."""

import tempfile

from inference import BATCHES, EAGER, NETWORKS, PREDICTED, TORCH, forward, predicting, promised
from results import Section, rows_of
from side_by_side import Effort, measure

FORWARD = "The forward pass in evaluation mode, under torch.inference_mode()."
PREDICTING = (
    "Run.predict of {} rows of 2-25-25-25-2 in batches of {}: standardise, forward pass, softmax and argmax. "
    "PyTorch's loop does the same and does not look at what it is given."
)
AXIS = "rows in a batch"


def sections(quick: bool) -> list[Section]:
    """A section a network, and one of predicting."""
    effort = Effort(1, 3, 0.005) if quick else Effort(3, 15, 0.02)
    networks = list(NETWORKS.items())[: 1 if quick else None]
    return [*(_outputs(name, sizes, effort) for name, sizes in networks), _predicting(effort)]


def _outputs(name: str, sizes: tuple[int, ...], effort: Effort) -> Section:
    section = Section(f"inference-{max(sizes)}", f"Outputs of {name}", FORWARD, "microseconds", axis=AXIS)
    for rows in BATCHES:
        measured = measure(forward, sizes, rows, effort=effort)
        section.rows += rows_of(measured, EAGER, 1e6, rows)
        section.targets += promised(measured, TORCH, f"batch {rows}")
    return section


def _predicting(effort: Effort) -> Section:
    counts, batches = (", ".join(map(str, numbers)) for numbers in (PREDICTED.values(), PREDICTED))
    text = PREDICTING.format(counts, batches)
    section = Section("inference-predict", "Predicting rows", text, "microseconds a row", axis=AXIS)
    with tempfile.TemporaryDirectory() as folder:
        for rows, count in PREDICTED.items():
            measured = measure(predicting, folder, rows, count, effort=effort)
            section.rows += rows_of(measured, EAGER, 1e6 / count, rows)
            section.targets += promised(measured, TORCH[:1], f"batches of {rows}")
    return section
