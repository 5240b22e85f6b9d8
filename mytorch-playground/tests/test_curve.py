import math

from mytorch.playground.curve import POINTS, Curve


def test_a_long_training_is_thinned_out_and_keeps_its_mean():
    curve = Curve()
    steps = 5 * POINTS
    for step in range(1, steps + 1):
        curve.add(step, float(step))
    assert len(curve.points) < POINTS
    width = curve.points[1][0] - curve.points[0][0]
    assert all(later - step == width for (step, _), (later, _) in zip(curve.points, curve.points[1:], strict=False))
    assert all(loss == step - (width - 1) / 2 for step, loss in curve.points)


def test_the_mean_since_the_last_picture_stays_where_nothing_came():
    curve = Curve()
    assert math.isnan(curve.take())
    curve.add(1, 2.0)
    assert (curve.take(), curve.take()) == (2.0, 2.0)
