"""What is tried for a setting, as a user writes it."""

import pytest

from mytorch.experiments import ExperimentError, parse_over
from mytorch.experiments.search.space import Choice, Range


@pytest.mark.parametrize(
    ("text", "keys", "space"),
    [
        ("optimizer.lr=log:1e-4..1e-1", ("optimizer.lr",), Range(1e-4, 1e-1, log=True)),
        ("optimizer.momentum=0.0..0.9", ("optimizer.momentum",), Range(0.0, 0.9)),
        ("batch_size=8..64", ("batch_size",), Range(8, 64)),
        ("optimizer.lr=-1..1.5", ("optimizer.lr",), Range(-1, 1.5)),
        ("a.out_features, b.in_features = 8,16", ("a.out_features", "b.in_features"), Choice((8, 16))),
        ("model.layers.1.type=ReLU,Tanh", ("model.layers.1.type",), Choice(("ReLU", "Tanh"))),
        ("shuffle=true,false", ("shuffle",), Choice((True, False))),
        ("x=[[1, 2], [3]]", ("x",), Choice(([1, 2], [3]))),
    ],
)
def test_what_is_tried_is_read(text, keys, space):
    assert parse_over(text) == (keys, space)


@pytest.mark.parametrize(
    ("space", "shares"),
    [
        (Range(1e-4, 1e-2, log=True), [1e-4, 1e-3, 1e-2]),
        (Range(-1, 1.5), [-1, 0.25, 1.5]),
        (Range(8, 64), [8, 36, 64]),
        (Choice(("a", "b", "c")), ["a", "b", "c"]),
    ],
)
def test_values_on_the_way_from_the_first_to_the_last(space, shares):
    assert [space.at(share) for share in (0.0, 0.5, 1.0)] == pytest.approx(shares)
    assert all(space.at(share) in space for share in (0.0, 0.3, 0.5, 1.0))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (3, "--over: must look like optimizer.lr=log:1e-4..1e-1, got 3"),
        (None, "--over: must look like optimizer.lr=log:1e-4..1e-1, got None"),
        ("optimizer.lr", "--over: must look like optimizer.lr=log:1e-4..1e-1, got 'optimizer.lr'"),
        ("=1,2", "--over: must look like"),
        ("a,,b=1,2", "--over: must look like"),
        ("lr=0.1", "there must be two values or more, each once"),
        ("lr=0.1,0.1", "there must be two values or more, each once"),
        ("lr=1..1", "a range must go from a number to a larger one"),
        ("lr=2..1", "a range must go from a number to a larger one"),
        ("lr=a..b", "a range must go from a number to a larger one"),
        ("lr=true..2", "a range must go from a number to a larger one"),
        ("lr=0..inf", "a range must go from a number to a larger one"),
        ("lr=log:0..1", "a range with log: must begin above 0"),
        ("lr=log:1,2", "--over lr: must be what is tried"),
        ("lr=[1, 2", "--over lr: must be what is tried"),
        ("lr=" + "9" * 5000, "there must be two values or more"),
    ],
)
def test_what_is_none_is_refused_in_a_line(text, told):
    with pytest.raises(ExperimentError) as error:
        parse_over(text)
    assert told in str(error.value)
    assert len(str(error.value)) < 400


def test_membership_is_strict_about_kinds():
    assert 8 in Range(8, 64)
    assert 8.0 not in Range(8, 64)
    assert True not in Range(0, 1)
    assert 0.5 in Range(0, 1.0)
    assert True in Choice((True, False))
    assert 1 not in Choice((True, False))
