"""A training that ends at any batch and is resumed is the one that never ended, to the bit."""

import os
import random
import signal

import numpy
import pytest
import torch
from torch.utils.data import DataLoader
from toy_parts import SGD, Chain, Dense, Noise, Points, Ramp, Rows, SquaredError, StepLR, Table, encoded

from mytorch.core import Buffer, Module, Parameter
from mytorch.plugins import Callback, PluginError
from mytorch.train import EMA, SWA, EarlyStopping, ErrorRate, Interrupted, KeepBest, RunError, fit
from mytorch.train.checkpoint import Keeper
from mytorch.train.compiled import program
from mytorch.train.half_precision import PRECISIONS, loss_scale


class Standardise(Module):
    """y = gain * (x - mean), with the mean of all batches seen so far: a buffer that each forward changes."""

    def __init__(self, columns):
        self.gain, self.mean = Parameter(torch.ones(columns)), Buffer(torch.zeros(columns))

    def forward(self, x):
        if self.training:
            self.mean.value.mul_(0.9).add_(0.1 * x.mean(0))
        centred = x - self.mean.value
        return self.gain.value * centred, centred

    def backward(self, d_y, centred):
        self.gain.accumulate((d_y * centred).sum(0))
        return d_y * self.gain.value


class Draws(Module):
    """y = x + numbers of a generator of its own, of Python and of NumPy."""

    def __init__(self):
        self.generator = torch.Generator().manual_seed(5)

    def forward(self, x):
        noise = torch.randn(x.shape, generator=self.generator)
        return x + 0.01 * noise + random.random() * 0.01 + 0.01 * numpy.random.rand(), None

    def backward(self, d_y, saved):
        return d_y


class Augmented(Table):
    """Rows that are drawn anew whenever they are read."""

    def batch_at(self, indices):
        inputs, targets = super().batch_at(indices)
        return inputs + 0.1 * torch.randn_like(inputs), targets


class Freeze(Callback):
    """Freezes the first weight after the second epoch."""

    def epoch_ended(self, run, epoch):
        run.net.layers[0].weight.trainable = epoch < 2


class StopAt(Callback):
    """Asks the process to end after a batch, as `kill` does."""

    def __init__(self, step, number=signal.SIGTERM):
        self.step, self.number, self.seen = step, number, 0

    def batch_ended(self):
        self.seen += 1
        if self.seen == self.step:
            os.kill(os.getpid(), self.number)


def table(rows=22, kind=Table):
    points = encoded(Points(rows, 3))
    return kind(points.inputs, points.targets)


def begin(case):
    """What `fit` is given, made anew as another process would."""
    torch.manual_seed(3)
    random.seed(1)
    numpy.random.seed(2)
    net = Chain(Dense(2, 4), *case.get("layers", list)(), Dense(4, 2))
    optimizer = SGD(net.param(), 0.05, momentum=0.9)
    data = case.get("data", table)()
    batch_size = None if isinstance(data, DataLoader) else 4
    options = {"schedule": case["schedule"](optimizer)} if "schedule" in case else {}
    options |= {"callbacks": case.get("callbacks", list)(), "batch_size": batch_size, **case.get("options", {})}
    return (net, SquaredError(), optimizer, data), {"epochs": 4, "quiet": True, "metrics": [ErrorRate()], **options}


def end_of(training):
    """All that must be equal."""
    state = training.state_dict(finished=True)
    history = [{name: value for name, value in record.items() if name != "seconds"} for record in training.history]
    notes = {name: value for name, value in training.notes.items() if name != "resumed"}
    kept = {name: state[name] for name in ("net", "optimizer", "schedule", "random", "order", "epoch", "callbacks")}
    return {**kept, "history": history, "notes": notes}


def assert_same(found, expected):
    if isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert_same(found[name], value)
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == expected


def interrupted(case, file, step):
    """Train until a signal comes after so many steps. Returns whether it did."""
    args, options = begin(case)
    options["callbacks"] = [StopAt(step), *options["callbacks"]]
    try:
        fit(*args, checkpoint=file, **options)
    except Interrupted:
        return True
    return False


CASES = {
    "plain": {},
    "buffers and noise": {"layers": lambda: [Standardise(4), Noise()]},
    "generators": {"layers": lambda: [Draws()]},
    "by batch": {"schedule": lambda one: Ramp(one, 24)},
    "by epoch": {"schedule": lambda one: StepLR(one, 2)},
    "accumulated": {"options": {"accumulate": 2}},
    "in order": {"options": {"shuffle": False, "drop_last": True}},
    "average": {"callbacks": lambda: [EMA(0.9, use_buffers=True)], "layers": lambda: [Standardise(4)]},
    "average of epochs": {"callbacks": lambda: [SWA(0.5)], "layers": lambda: [Standardise(4)]},
    "best": {
        "callbacks": lambda: [KeepBest(), EarlyStopping(patience=2)],
        "options": {"validation": table(9), "evaluate_every": 2},
    },
    "frozen": {"callbacks": lambda: [Freeze()]},
    "augmented": {"data": lambda: table(kind=Augmented), "layers": lambda: [Noise()]},
    "loader": {
        "data": lambda: DataLoader(Rows(table(kind=Augmented)), batch_size=4, shuffle=True),
        "layers": lambda: [Noise()],
    },
    **{
        name: {
            "layers": lambda: [Standardise(4), Noise()],
            "schedule": lambda one: Ramp(one, 24),
            "callbacks": lambda: [EMA(0.9)],
            "options": {"precision": name},
        }
        for name in PRECISIONS
    },
    "loader with a generator": {
        "data": lambda: DataLoader(
            Rows(table()), batch_size=4, shuffle=True, generator=torch.Generator().manual_seed(4)
        ),
    },
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_the_same_to_the_bit(name, tmp_path):
    case = CASES[name]
    args, options = begin(case)
    expected = end_of(fit(*args, **options))
    steps = 0
    for step in (1, 4, 5, 6, 7, 9, 12, 13, 18, 20, 22, 99):
        file = tmp_path / f"{step}.safetensors"
        if not interrupted(case, file, step):
            break
        args, options = begin(case)
        options["callbacks"] = [StopAt(0), *options["callbacks"]]
        torch.manual_seed(step)  # what the new process has drawn does not matter
        random.seed(step)
        numpy.random.seed(step)
        training = fit(*args, resume=file, **options)
        assert_same(end_of(training), expected)
        steps = step
    assert steps >= 9


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine with one core
@pytest.mark.parametrize("seed", [None, 4], ids=["global generator", "own generator"])
def test_workers_of_a_loader_give_the_same_rows_again(seed, tmp_path):
    def load():
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        return DataLoader(Rows(table(kind=Augmented)), batch_size=4, shuffle=True, num_workers=2, generator=generator)

    case = {"data": load, "options": {"metrics": [], "epochs": 2}}
    args, options = begin(case)
    expected = end_of(fit(*args, **options))
    args, options = begin(case)
    assert_same(end_of(fit(*args, **options)), expected)
    for step in (3, 6, 8):  # within an epoch, between two, and within the last
        file = tmp_path / f"{step}.safetensors"
        assert interrupted(case, file, step)
        args, options = begin(case)
        torch.manual_seed(step)
        assert_same(end_of(fit(*args, resume=file, **options | {"callbacks": [StopAt(0)]})), expected)


def test_twice_in_one_run_and_from_between_two_epochs(tmp_path):
    case, file = CASES["buffers and noise"], tmp_path / "kept.safetensors"
    args, options = begin(case)
    expected = end_of(fit(*args, **options))
    assert interrupted(case, file, 7)
    args, options = begin(case)
    with pytest.raises(Interrupted):
        fit(*args, checkpoint=file, resume=file, **options | {"callbacks": [StopAt(5)]})
    args, options = begin(case)
    training = fit(*args, checkpoint=file, resume=file, **options)
    assert_same(end_of(training), expected)
    assert training.notes["resumed"] == [{"epoch": 1, "batch": 1}, {"epoch": 1, "batch": 6}]
    args, options = begin(case)
    longer = end_of(fit(*args, **options | {"epochs": 6}))
    args, options = begin(case)
    assert_same(end_of(fit(*args, resume=file, **options | {"epochs": 6})), longer)


@pytest.mark.parametrize(("step", "complete"), [(2, 0), (6, 0), (11, 1), (13, 2), (24, 3)])
def test_only_epochs_that_were_trained_to_the_end_count_as_complete(tmp_path, step, complete):
    """As callbacks see it that write something down when a run is taken up within an epoch."""
    case, file, seen = CASES["plain"], tmp_path / "kept.safetensors", []
    assert interrupted(case, file, step)

    class Look(Callback):
        def training_resumed(self, run):
            seen.append((run.complete_epochs, run.state_dict()["epoch"], len(run.history)))

        def epoch_trained(self, run):
            seen.append(run.complete_epochs)

    args, options = begin(case)
    fit(*args, resume=file, **options | {"callbacks": [Look()]})
    assert seen == [(complete, complete, complete), *range(complete + 1, 5)]


class Keeps(Callback):
    """Keeps every checkpoint of a run that writes one as often as it can."""

    def __init__(self, folder):
        self.folder, self.files = folder, []

    def training_started(self, run):
        files, folder = self.files, self.folder

        class Copies(Keeper):
            def keep(self, state_of, wait=False):
                super().keep(state_of, wait=True)
                files.append(folder / f"{len(files)}.safetensors")
                files[-1].write_bytes(self.path.read_bytes())

        run.checkpoint = Copies(folder / "kept.safetensors", every=0)


def test_a_checkpoint_of_any_batch_resumes_the_run(tmp_path):
    """Not only one that a signal asked for: the process may be killed at any moment."""
    case, keeps = CASES["buffers and noise"], Keeps(tmp_path)
    args, options = begin(case)
    expected = end_of(fit(*args, **options | {"callbacks": [keeps]}))
    kept = keeps.files
    assert len(kept) == 4 * 6 + 4
    for file in kept[:-1]:
        args, options = begin(case)
        assert_same(end_of(fit(*args, resume=file, **options)), expected)
    args, options = begin(case)
    with pytest.raises(RunError, match=r"must have epochs left to be resumed, got one that is finished after 4 of 4"):
        fit(*args, resume=kept[-1], **options)


@pytest.mark.parametrize("prompt", [False, True])
def test_the_compiled_engine(compiles, tmp_path, prompt, monkeypatch):
    monkeypatch.setattr(program, "UNROLLED", 2)  # which compiles in a quarter of the time of ten
    callbacks = (lambda: [EMA(0.9)]) if prompt else list
    case = {
        "layers": lambda: [Standardise(4), Noise()],
        "schedule": lambda one: Ramp(one, 100),
        "callbacks": callbacks,
    }
    case["options"] = {"engine": "compiled"}
    case["data"] = lambda: table(4 * 14 + 2)
    args, options = begin(case)
    expected = end_of(fit(*args, **options))
    for step in (2, 16) if prompt else (1, 5, 15, 30):
        file = tmp_path / f"{step}.safetensors"
        args, options = begin(case)
        stop = StopAt(step)
        stop.may_lag = True
        with pytest.raises(Interrupted):
            fit(*args, checkpoint=file, **options | {"callbacks": [stop, *options["callbacks"]]})
        args, options = begin(case)
        stop = StopAt(0)
        stop.may_lag = True
        training = fit(*args, resume=file, **options | {"callbacks": [stop, *options["callbacks"]]})
        assert_same(end_of(training), expected)


@pytest.mark.numbers
def test_rows_that_are_drawn_for_compiled_steps_that_do_not_fill_a_call(interpreted, tmp_path, monkeypatch):
    """All of them are drawn before the first of these steps, so a checkpoint waits until the last."""
    monkeypatch.setattr(program, "UNROLLED", 4)
    case = {"data": lambda: table(24, Augmented), "options": {"engine": "compiled", "epochs": 2}}
    keeps = Keeps(tmp_path)
    keeps.may_lag = True
    args, options = begin(case)
    whole = fit(*args, **options | {"callbacks": [keeps]})
    assert [made.steps for made in whole.engine.programs.values()] == [3]
    for file in keeps.files[:-1]:
        args, options = begin(case)
        assert_same(end_of(fit(*args, resume=file, **options)), end_of(whole))


@pytest.mark.parametrize("precision", ["bfloat16", "float16-mixed"])
def test_the_compiled_engine_in_half_precision(compiles, tmp_path, precision, monkeypatch):
    monkeypatch.setattr(loss_scale, "INTERVAL", 2)  # so that the scale changes, and updates are left out
    monkeypatch.setattr(program, "UNROLLED", 2)  # which compiles in a quarter of the time of ten
    case = {"layers": lambda: [Standardise(4), Noise()], "data": lambda: table(4 * 14 + 2)}
    case["schedule"] = lambda one: Ramp(one, 100)
    case["options"] = {"engine": "compiled", "precision": precision}
    keeps = Keeps(tmp_path)
    args, options = begin(case)
    whole = fit(*args, **options | {"callbacks": [keeps]})
    assert [(made.steps, made.checked) for made in whole.engine.programs.values()] == [(2, True)]
    expected = end_of(whole)
    for file in random.Random(precision).sample(keeps.files[:-1], 8):
        args, options = begin(case)
        training = fit(*args, resume=file, **options)
        assert_same(end_of(training), expected)
        assert training.setup.precision.state_dict() == whole.setup.precision.state_dict()
    assert len(compiles) == 1


def refused(tmp_path, case=None, change=None, **options):
    """What is said of resuming another training than the one that was kept."""
    file = tmp_path / "kept.safetensors"
    if not file.exists():
        assert interrupted(CASES["best"], file, 8)
    args, given = begin(case or CASES["best"])
    if change is not None:
        args = change(*args)
    before = [value.clone() for value in args[0].state_dict().values()]
    with pytest.raises((RunError, PluginError)) as info:
        fit(*args, resume=file, **given | options)
    assert all(map(torch.equal, before, args[0].state_dict().values())) or isinstance(info.value, PluginError)
    return str(info.value)


def test_another_setup_is_refused(tmp_path):
    assert "batch_size must be 4, got 5" in refused(tmp_path, batch_size=5)
    assert "seed must be 0, got 1; " in refused(tmp_path, seed=1) + "; "
    assert "optimizer must be SGD, got Other" in refused(
        tmp_path, change=lambda net, loss, _, data: (net, loss, type("Other", (SGD,), {})(net.param()), data)
    )
    assert "callbacks with a state must be those of the run that is resumed" in refused(
        tmp_path, callbacks=[KeepBest()]
    )


def test_other_conditions_are_refused_unless_they_are_accepted(tmp_path):
    def other_rows(net, loss, optimizer, _data):
        data = table()
        data.inputs[3, 1] += 1
        return net, loss, optimizer, data

    text = refused(tmp_path, change=other_rows, evaluate_every=1)
    assert "evaluate_every must be 2, got 1" in text
    assert "training data must be 22 rows, " in text
    assert "accept_differences=True" in text
    args, options = begin(CASES["best"])
    training = fit(
        *other_rows(*args),
        resume=tmp_path / "kept.safetensors",
        accept_differences=True,
        **options | {"evaluate_every": 1},
    )
    (note,) = training.notes["resumed"]
    assert [text.partition(" must")[0] for text in note["differences"]] == ["evaluate_every", "training data"]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        assert f"threads must be {threads}, got {threads + 1}" in refused(tmp_path)
    finally:
        torch.set_num_threads(threads)
    assert "engine must be eager, got compiled" in refused(tmp_path, engine="compiled")


def test_a_second_signal_ends_at_once_and_others_are_left_alone(tmp_path):
    file = tmp_path / "kept.safetensors"
    seen = []

    class Twice(Callback):
        must_succeed = True

        def batch_ended(self):
            seen.append(1)
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)

    args, options = begin({"callbacks": lambda: [Twice()]})
    with pytest.raises(KeyboardInterrupt):
        fit(*args, checkpoint=file, **options)
    assert len(seen) == 1
    assert not file.exists()
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
    try:
        assert not interrupted({}, file, 3)
        assert heard == [1]
    finally:
        signal.signal(signal.SIGTERM, before)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_without_a_checkpoint_ctrl_c_is_as_ever():
    args, options = begin({})
    with pytest.raises(KeyboardInterrupt) as info:
        fit(*args, **options | {"callbacks": [StopAt(3, signal.SIGINT)]})
    assert not isinstance(info.value, Interrupted)


def test_a_callback_whose_state_cannot_be_had_does_not_end_the_run(tmp_path):
    class Odd(Callback):
        def batch_ended(self):
            pass

        def state_dict(self):
            return {"rule": abs} if self.late else {}["none"]

    args, options = begin({"callbacks": lambda: [Odd()]})
    Odd.late = False
    with pytest.warns(match=r"hook plugin 'Odd' failed in state_dict \(KeyError: 'none'\); training goes on"):
        fit(*args, checkpoint=tmp_path / "kept.safetensors", **options)
