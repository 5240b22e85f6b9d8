"""A step of small networks of each kind beside other libraries and their compilers: sections of the suite."""

from __future__ import annotations

import importlib.util
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import torch
from compiled_step import program_of
from contestants import COMPILER, PIP
from models import BARE, NETWORKS, OURS, batch_of, build, with_weights
from network_peers import JAX_NETWORKS, jax_steps, torch_compiled
from networks import TORCH_SGD
from results import Missing, Row, Section
from side_by_side import Contestant, Effort, Measured, Target, in_process, measure, prepare, require_same_losses

EAGER, COMPILED = "mytorch, eager", "mytorch, compiled"
TORCH_COMPILE, JAX = "PyTorch, torch.compile", "JAX jit, equinox"
WAYS_OUT = {COMPILED: COMPILER, TORCH_COMPILE: COMPILER, JAX: f"{PIP}jax equinox"}
FULL, QUICK = Effort(processes=3, rounds=12, seconds=0.05), Effort(processes=1, rounds=3, seconds=0.02)
TEXT = (
    "One training step (cross entropy, SGD with momentum), float32, one thread, from the same weights on the same "
    "batch; the first losses of all are equal. The bare kernels are the torch kernels that the eager step calls, one "
    "after the other, which is the bound for whoever uses them. JAX starts threads, so it runs in processes of its "
    "own, with mytorch's eager step beside it."
)


def sections(quick: bool) -> list[Section]:
    """A section for each network."""
    return [_section(name, quick) for name in JAX_NETWORKS]


def _section(name: str, quick: bool) -> Section:
    title, effort = f"{name.split(',')[0]}: a training step", QUICK if quick else FULL
    key = name.split()[0].strip(",").lower()
    section = Section(key, title, f"{name}. {TEXT}", "milliseconds a step")
    wanted = [other for other in WAYS_OUT if not quick or other == JAX]
    reasons = {other: _why_missing(other, name) for other in wanted}
    reasons |= {other: "compiles too long for --quick" for other in WAYS_OUT if other not in wanted}
    section.missing = [Missing(other, reason) for other, reason in reasons.items() if reason]
    compiled = [other for other in (COMPILED, TORCH_COMPILE) if not reasons[other]]
    main = measure(eager_and, name, compiled, effort=effort)
    section.rows = _rows(main, [EAGER, *compiled, BARE])
    fastest = main.fastest([f"PyTorch, {sgd}" for sgd in TORCH_SGD])
    section.rows.append(replace(_row(main, fastest), note="the fastest of its ways to run SGD"))
    section.targets.append(Target(f"{fastest} / {EAGER}", main.ratio(fastest, EAGER), 1.0, True, True))
    if set(compiled) == {COMPILED, TORCH_COMPILE}:
        ratio = main.ratio(TORCH_COMPILE, COMPILED)
        section.targets.append(Target(f"{TORCH_COMPILE} / {COMPILED}", ratio, 1.0, True, True))
    if not reasons[JAX]:
        section.rows.append(_row(measure(beside_eager, name, JAX, effort=effort), JAX))
    section.rows.sort(key=lambda row: row.figure.median)
    return section


def _rows(measured: Measured, names: list[str]) -> list[Row]:
    return [_row(measured, name) for name in names]


def _row(measured: Measured, name: str) -> Row:
    ratios = {} if name == EAGER else {EAGER: measured.ratio(name, EAGER)}
    return Row(name, measured.seconds(name).scaled(1e3), ratios)


def eager_and(name: str, others: list[str]) -> dict[str, Contestant]:
    """Ours, its bare kernels, PyTorch's with each SGD, and others that run in the same process."""
    contestants = build(name)
    contestants = {EAGER: contestants.pop(OURS), **contestants}
    return contestants | {other: _other(other, name) for other in others}


def beside_eager(name: str, other: str) -> dict[str, Contestant]:
    """Our eager step and one other."""
    return {EAGER: build(name)[OURS], other: _other(other, name)}


def _other(other: str, name: str) -> Contestant:
    """Another contestant, from the weights and on the batch that `build` draws."""
    make, _ = NETWORKS[name]
    torch.manual_seed(0)
    first = make(torch.nn)
    inputs, targets = batch_of(name)
    if other == COMPILED:
        return program_of(*with_weights(name, first), (inputs, targets))
    if other == TORCH_COMPILE:
        return torch_compiled(first, inputs, targets)
    return jax_steps(name, first.state_dict(), inputs, targets)


def _why_missing(other: str, name: str) -> str | None:
    """Why a contestant cannot take part, with the way out; None if it can, and computes what ours does."""
    if other == JAX and (absent := [each for each in ("jax", "equinox") if not importlib.util.find_spec(each)]):
        return f"{' and '.join(absent)} not installed; way out: {WAYS_OUT[JAX]}"
    try:
        reason = in_process(_try, other, name)
    except BrokenProcessPool:
        reason = "its process died"
    return f"{reason}; way out: {WAYS_OUT[other]}" if reason else None


def _try(other: str, name: str) -> str | None:
    prepare()
    try:
        require_same_losses(beside_eager(name, other))
    except Exception as error:  # whatever a peer raises, the others go on
        text = next(iter(str(error).splitlines()), "")
        return " ".join([f"{type(error).__name__}: {text}", *getattr(error, "__notes__", ())])
    return None
