"""The plan is the cheapest of all that stay within the budget, as trying all of them shows."""

import random
from itertools import product

import pytest

from mytorch.core import Module
from mytorch.train.memory import Layer, Measured, choose_plan, least_bytes
from mytorch.train.memory.plan import peak_of

pytestmark = pytest.mark.numbers


def drawn(seed, count):
    """Layers that save own blocks, their inputs, their outputs, and some of what others save."""
    draw = random.Random(seed)
    sizes = {block: draw.choice([0, 1, draw.randrange(2, 50)]) for block in range(2 * count + 1)}
    layers = []
    for at in range(count):
        saved = {count + 1 + at} | {block for block in (at, at + 1) if draw.random() < 0.6}
        if draw.random() < 0.2:
            saved.add(draw.randrange(2 * count + 1))
        layer = Layer(
            str(at),
            Module(),
            frozenset(saved),
            frozenset({at}),
            draw.choice([0, 0, 7]),
            draw.choice([0.0, draw.random()]),
            at > 0 and draw.random() < 0.85,
            draw.random() < 0.1,
        )
        layers.append(layer)
    return Measured(tuple(layers), sizes, frozenset({draw.randrange(count)} if draw.random() < 0.3 else ()))


def all_plans(layers):
    """Every choice of runs: each layer is kept, begins a run or goes on with one."""
    for choice in product("kbg", repeat=len(layers)):
        runs, valid = [], True
        for at, (kind, layer) in enumerate(zip(choice, layers, strict=True)):
            if kind == "b":
                runs.append((at, at + 1))
                valid &= not layer.fixed
            elif kind == "g":
                valid &= bool(runs) and runs[-1][1] == at and layer.linked and not layer.fixed
                if not valid:
                    break
                runs[-1] = (runs[-1][0], at + 1)
        if valid:
            yield tuple(runs)


def time_of(measured, runs):
    return sum(layer.seconds for begin, end in runs for layer in measured.layers[begin:end])


@pytest.mark.parametrize("seed", range(40))
def test_it_is_the_cheapest_of_all(seed):
    measured = drawn(seed, 1 + seed % 7)
    found = [(peak_of(measured, runs), time_of(measured, runs)) for runs in all_plans(measured.layers)]
    least = min(peak for peak, _ in found)
    assert least_bytes(measured) == least
    for budget in sorted({peak for peak, _ in found} | {least - 1, 10**6}):
        within = [seconds for peak, seconds in found if peak <= budget]
        plan = choose_plan(measured, budget)
        if not within:
            assert plan is None
        else:
            assert plan.peak == peak_of(measured, plan.runs) <= budget
            assert plan.seconds == pytest.approx(min(within), abs=1e-12)
            assert plan.runs in set(all_plans(measured.layers))


def test_the_peak_by_hand():
    def layer(name, seconds, *saved, at):
        return Layer(name, Module(), frozenset(saved), frozenset({f"x{at}"}), 0, seconds, at > 0)

    sizes = {"x0": 0, "x1": 10, "x2": 10, "x3": 10, "a": 100, "b": 200, "c": 50}
    layers = (layer("a", 1, "a", "x1", at=0), layer("b", 1, "b", "x1", at=1), layer("c", 1, "c", at=2))
    measured = Measured(layers, sizes)
    assert peak_of(measured, ()) == 100 + 10 + 200 + 50
    assert peak_of(measured, ((1, 2),)) == 100 + 10 + 200  # when b is computed again, c is answered
    assert peak_of(measured, ((0, 1), (1, 3))) == 10 + 200 + 50  # from x1 on; before that x0, which takes nothing
    assert str(choose_plan(measured, 310)) == (
        "of 3 layers, 2 are computed again in the backward pass; layers save at most 310 bytes in place of 360 bytes, "
        "and forward passes take 33% longer"
    )
    assert (
        str(choose_plan(measured, 360))
        == "nothing is computed twice; layers save at most 360 bytes for the backward pass"
    )


def test_many_layers_take_little_time_and_stay_within_the_budget():
    layers = [
        Layer(str(at), Module(), frozenset({2 * at, 2 * at + 1}), frozenset({2 * at}), 0, 1.0 + at % 5, at > 0)
        for at in range(150)
    ]
    measured = Measured(tuple(layers), {block: 100 + block * 37 % 101 for block in range(300)})
    least = least_bytes(measured)
    assert choose_plan(measured, least - 1) is None
    costs = [choose_plan(measured, budget).seconds for budget in (least, 2 * least, 4 * least)]
    assert sorted(costs, reverse=True) == costs
    assert costs[-1] > 0
