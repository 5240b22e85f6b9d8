"""Who takes part: each contestant's name, how it is built, what it needs, and with whom it shares a process."""

import importlib.util
import os
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial

import peers
from compiled_step import compiled_steps
from networks import STEPS, TORCH_SGD, Batch, Weights, bare, draw, ours, pytorch, turn
from reference import c_steps
from results import Missing, Row
from side_by_side import Contestant, Effort, Measured, Spread, in_process, measure, prepare, require_same_losses

EAGER, ONE, SEVERAL = "mytorch, eager", "mytorch, compiled", "mytorch, compiled, five a call"
BARE, C = "bare torch operations", "C reference, ten a call"
EAGER_PYTORCH = tuple(f"PyTorch, {sgd} SGD" for sgd in TORCH_SGD)
FASTEST = "PyTorch, its fastest SGD"
JAX, SCAN = "JAX jit", "JAX lax.scan, ten a call"
A_CALL = 5


@dataclass(frozen=True)
class Peer:
    """How a contestant is built; each of its calls takes ten steps."""

    build: Callable[[Weights, Batch], Contestant]
    module: str = "torch"
    """What must be installed, and by which command."""
    way_out: str = ""
    alone: str = ""
    """The name of those with whom it shares processes of its own, because they start threads."""
    note: str = ""
    slow: bool = False
    """Whether it compiles for so long that a quick run leaves it out."""


def _pytorch(sgd: str, weights: Weights, batch: Batch) -> Contestant:
    return turn(pytorch(weights, batch, sgd, sequential=False))


def _turn_of(build: Callable[[Weights, Batch], Contestant], weights: Weights, batch: Batch) -> Contestant:
    return turn(build(weights, batch))


COMPILER = "install a compiler: gcc with g++, or clang"
PIP = "python -m pip install -c constraints.txt "
PEERS: dict[str, Peer] = {
    EAGER: Peer(partial(_turn_of, ours), note="`mytorch.train.step`"),
    ONE: Peer(partial(compiled_steps, a_call=1), way_out=COMPILER, slow=True),
    SEVERAL: Peer(partial(compiled_steps, a_call=A_CALL), way_out=COMPILER),
    BARE: Peer(partial(_turn_of, bare), note="the kernels that our step calls, one after the other"),
    **{name: Peer(partial(_pytorch, sgd)) for name, sgd in zip(EAGER_PYTORCH, TORCH_SGD, strict=True)},
    "PyTorch, torch.compile": Peer(peers.torch_compiled, note="around the step with its optimizer", slow=True),
    "PyTorch, torch.compile, torch.func": Peer(peers.torch_functional, note="the step as a pure function", slow=True),
    JAX: Peer(peers.jax_one, "jax", f"{PIP}jax", alone="JAX"),
    SCAN: Peer(peers.jax_scan, "jax", f"{PIP}jax", alone="JAX"),
    "Thinc": Peer(
        peers.thinc_steps,
        "thinc",
        f"{PIP}thinc",
        note="its SGD has no momentum; numpy does it in finish_update",
    ),
    "scikit-learn MLPRegressor": Peer(
        peers.sklearn_steps,
        "sklearn",
        f"{PIP}scikit-learn",
        note="partial_fit, which also checks its input each time; its loss is a half of the sum over outputs",
    ),
    "tinygrad TinyJit": Peer(
        peers.tinygrad_steps,
        "tinygrad",
        f"{PIP}tinygrad; it also needs clang on the path",
        alone="tinygrad",
        note="a kernel is a call to a thread of its own",
    ),
    C: Peer(c_steps, way_out=COMPILER, note="plain loops, sizes known when it is compiled"),
}


def build(names: Sequence[str], sizes: tuple[int, ...], batch_size: int) -> dict[str, Contestant]:
    """The contestants of these names, from the same weights and batch."""
    weights, batch = draw(sizes, batch_size)
    return {name: PEERS[name].build(weights, batch) for name in names}


def _try(name: str, sizes: tuple[int, ...], batch_size: int) -> str | None:
    prepare()
    try:
        require_same_losses(build([BARE], sizes, batch_size) | build([name], sizes, batch_size))
    except Exception as error:  # whatever a peer raises, the others go on
        text = next(iter(str(error).splitlines()), "")
        return " ".join([f"{type(error).__name__}: {text}", *getattr(error, "__notes__", ())])
    return None


def why_missing(name: str, sizes: tuple[int, ...], batch_size: int) -> str | None:
    """Why a contestant cannot take part, with the way out; None if it can, and computes what the others do."""
    if name in (EAGER, BARE, *EAGER_PYTORCH):
        return None
    peer = PEERS[name]
    way_out = f"; way out: {peer.way_out}" if peer.way_out else ""
    if importlib.util.find_spec(peer.module) is None:
        return f"{peer.module} is not installed{way_out}"
    try:
        reason = in_process(_try, name, sizes, batch_size)
    except BrokenProcessPool:
        reason = "its process died"
    return f"{reason}{way_out}" if reason else None


def present(
    names: Sequence[str], sizes: tuple[int, ...], batch_size: int, quick: bool
) -> tuple[list[str], list[Missing]]:
    """Those that can take part, and the others with their reasons."""
    reasons = {name: why_missing(name, sizes, batch_size) for name in names if not (quick and PEERS[name].slow)}
    reasons |= {name: "compiles too long for --quick" for name in names if name not in reasons}
    missing = [Missing(name, reason) for name, reason in reasons.items() if reason]
    return [name for name in names if not reasons[name]], missing


class Meeting:
    """Several contestants at one point, measured in groups that share processes.

    references: those to which ratios are taken; they are measured in every group.
    """

    def __init__(
        self, names: Sequence[str], sizes: tuple[int, ...], batch_size: int, references: Sequence[str], effort: Effort
    ) -> None:
        self.references = [name for name in references if name in names]
        groups: dict[str, list[str]] = {}
        for name in names:
            groups.setdefault(PEERS[name].alone, []).append(name)
        together = [list(dict.fromkeys([*self.references, *members])) for members in groups.values()]
        self.groups = [measure(build, members, sizes, batch_size, effort=effort) for members in together]

    def _of(self, *names: str) -> Measured:
        """The first group in which they met."""
        return next(group for group in self.groups if set(names) <= set(group.processes[0]))

    def ratio(self, name: str, to: str) -> Spread:
        """The time of a contestant in that of another."""
        return self._of(name, to).ratio(name, to)

    def row(self, name: str, at: float | None = None) -> Row:
        """Microseconds a step."""
        figure = self._of(name).seconds(name).scaled(1e6 / STEPS)
        ratios = {to: self.ratio(name, to) for to in self.references if to != name}
        return Row(name, figure, ratios, at, PEERS[name].note)

    def fastest_pytorch(self) -> str:
        """The variant of PyTorch's SGD that takes the least."""
        return self.groups[0].fastest(EAGER_PYTORCH)


def set_up(cache: str) -> None:
    """Caches of this run's own, so that what was compiled before does not count; children inherit them."""
    os.environ.update(MYTORCH_CACHE=f"{cache}/mytorch", TORCHINDUCTOR_CACHE_DIR=f"{cache}/inductor")
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
