"""Outputs over the rows of a batch: sections of the suite. inference.py says how."""

from inference import BATCHES, EAGER, NETWORKS, forward
from results import Section, rows_of
from side_by_side import Effort, measure

TEXT = "The forward pass in evaluation mode, under torch.inference_mode()."


def sections(quick: bool) -> list[Section]:
    """A section a network."""
    effort = Effort(1, 3, 0.005) if quick else Effort(3, 15, 0.02)
    networks = list(NETWORKS.items())[: 1 if quick else None]
    return [_measured(name, sizes, effort) for name, sizes in networks]


def _measured(name: str, sizes: tuple[int, ...], effort: Effort) -> Section:
    section = Section(f"inference-{max(sizes)}", f"Outputs of {name}", TEXT, "microseconds", axis="rows in a batch")
    for rows in BATCHES:
        section.rows += rows_of(measure(forward, sizes, rows, effort=effort), EAGER, 1e6, rows)
    return section
