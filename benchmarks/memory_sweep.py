"""Peak memory of a training step over depth and over width: sections of the suite. memory.py says how."""

from memory import MIB, OURS, THEIRS, peaks
from results import Row, Section
from side_by_side import Spread, Target, in_process

LEANEST = "PyTorch, its leanest SGD"
BATCH, WIDTH, LAYERS = 256, 256, 3
DEPTHS, WIDTHS = (2, 8, 32, 64), (64, 256, 512, 1024)
TEXT = "The most that tensors hold during the third step, as torch's allocator counts them; batch {}, {}."


def sections(quick: bool) -> list[Section]:
    """Over depth, and over width."""
    depths, widths = ((2, 16), (64,)) if quick else (DEPTHS, WIDTHS)
    return [
        _measure("memory-depth", "linear layers", [(at, at, WIDTH) for at in depths], f"layers of width {WIDTH}"),
        _measure("memory-width", "width of the layers", [(at, LAYERS, at) for at in widths], f"{LAYERS} layers"),
    ]


def _measure(name: str, axis: str, points: list[tuple[int, int, int]], what: str) -> Section:
    section = Section(name, f"Peak memory over {axis}", TEXT.format(BATCH, what), "MiB", axis=axis)
    for at, layers, width in points:
        held = in_process(peaks, layers, width, BATCH)
        leanest = min(THEIRS, key=held.__getitem__)
        for who in held:
            if who == leanest or who not in THEIRS:
                ratios = {} if who == OURS else {OURS: Spread.of([held[who] / held[OURS]])}
                known, note = (LEANEST, who) if who == leanest else (who, "")
                section.rows.append(Row(known, Spread.of([held[who] / MIB]), ratios, at, note))
        ratio = Spread.of([held[OURS] / held[leanest]])  # of exact counts, so equal is kept
        section.targets.append(Target(f"{axis} {at}: {OURS} / {LEANEST}", ratio, 1.0, at_least=False))
    return section
