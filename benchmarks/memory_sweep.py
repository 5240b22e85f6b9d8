"""Peak memory of a training step over depth and over width: sections of the suite. memory.py says how."""

from memory import MIB, peak
from networks import TORCH_SGD
from results import Row, Section
from side_by_side import Spread, in_process

OURS, LEANEST = "mytorch, eager", "PyTorch, its leanest SGD"
BATCH, WIDTH, LAYERS = 256, 256, 3
DEPTHS, WIDTHS = (2, 4, 8, 16, 32, 64), (64, 128, 256, 512, 1024)
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
        held = {who: in_process(peak, who, layers, width, BATCH) for who in ("mytorch", *_variants())}
        leanest = min(_variants(), key=held.__getitem__)
        ours = held["mytorch"]
        section.rows.append(Row(OURS, _exactly(ours / MIB), at=at))
        theirs = Row(LEANEST, _exactly(held[leanest] / MIB), {OURS: _exactly(held[leanest] / ours)}, at, leanest)
        section.rows.append(theirs)
    return section


def _variants() -> list[str]:
    return [f"PyTorch, {sgd}" for sgd in TORCH_SGD]


def _exactly(value: float) -> Spread:
    return Spread.of([value])
