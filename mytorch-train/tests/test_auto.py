"""The engine that changes over by itself: when it does, what it says, and that it never stands in the way."""

import math

import pytest
import torch
from compiled_runs import Interpreted, require_equal, table, train
from toy_parts import SGD, Chain, Dense, Noise, Rectify, SquaredError

from mytorch.plugins import Callback
from mytorch.train import RunError, auto, fit
from mytorch.train.auto import Auto
from mytorch.train.checkpoint.keeper import Keeper
from mytorch.train.compiled import engine, in_background
from mytorch.train.compiled.cache import admit
from mytorch.train.compiled.compile_order import Order
from mytorch.train.compiled.engine import seconds_of

pytestmark = [pytest.mark.numbers, pytest.mark.filterwarnings("error::mytorch.train.compiled.EngineWarning")]


class Process:
    """Stands for the process that compiles: it has ended when it was asked so many times."""

    made: list
    asked = 6
    seconds = 21.4
    why = None
    package = "somewhere"

    def __init__(self, plan):
        self.loader, self.open = Interpreted(plan.graph()), True
        self.made.append(self)

    def ended(self):
        self.asked -= 1
        return self.asked <= 0

    def obstacle(self):
        return self.why

    def close(self):
        self.open = False


@pytest.fixture
def processes(monkeypatch):
    """Every run is worth it, looks are taken after each step, and compiled steps are fast. Returns the processes."""
    Process.made = []
    for name in ("WORTH_TRACING", "WORTH_COMPILING", "LOOK"):
        monkeypatch.setattr(auto, name, 0.0)
    monkeypatch.setattr(auto, "SLOW_OPERATION", math.inf)
    monkeypatch.setattr(in_background, "CompilerProcess", Process)
    monkeypatch.setattr(in_background, "find", lambda *_: None)
    monkeypatch.setattr(in_background, "admit", lambda *_: Process.made[-1].loader)
    monkeypatch.setattr(engine, "seconds_of", lambda *_: 1e-9)
    return Process.made


@pytest.fixture
def said(monkeypatch):
    """The lines that the engine says."""
    lines = []
    monkeypatch.setattr("mytorch.train.make_engine.Auto", lambda _say: Auto(lines.append))
    return lines


def note(run):
    return run.notes["auto_engine"]


def test_it_changes_over_within_an_epoch_and_says_so(processes, said):
    run = train("auto")
    require_equal(run, train("eager"))
    assert [program.checked for program in run.engine._compiled.programs.values()] == [True]
    (process,) = processes
    assert not process.open
    first = note(run)["compiled_from"]
    assert 5 < first < 20
    assert note(run)["step"] == "compiled in 21 s"
    assert said[0] == "compiling 4 training steps a call in a process beside this one; training goes on"
    assert said[1].startswith(f"compiled in 21 s; from step {first} of 20 on, ")
    assert said[1].endswith(" times as fast as before")
    assert len(said) == 2


def test_a_step_that_is_in_the_cache_is_used_at_once(processes, monkeypatch):
    train("auto")
    loader = processes[-1].loader
    monkeypatch.setattr(in_background, "find", lambda *_: loader)
    run = train("auto")
    assert len(processes) == 1
    assert note(run)["step"] == "found in the cache"
    require_equal(run, train("eager"))


def same_to_the_bit(run, eager):
    return all(map(torch.equal, run.net.state_dict().values(), eager.net.state_dict().values()))


def test_a_short_run_compiles_nothing(monkeypatch):
    def forbidden(*_args):
        raise AssertionError("a step was traced")

    monkeypatch.setattr(in_background.Compiled, "plan", forbidden)
    run = train("auto")
    assert same_to_the_bit(run, train("eager"))
    assert run.notes == {}


@pytest.mark.parametrize("left", [10.0, 30.0, 90.0])
def test_what_is_left_of_a_run_decides(processes, monkeypatch, left):
    """A clock by which every step takes a second, less those that are left out."""
    monkeypatch.setattr(auto, "WORTH_TRACING", 20.0)
    monkeypatch.setattr(auto, "WORTH_COMPILING", 60.0)
    moments = iter(range(10**6))
    monkeypatch.setattr(auto, "perf_counter", lambda: float(next(moments)))
    traced = []
    plan = in_background.Compiled.plan
    monkeypatch.setattr(in_background.Compiled, "plan", lambda *args: traced.append(1) or plan(*args))
    monkeypatch.setattr("mytorch.train.compiled.cache.is_empty", lambda: False)
    epochs = int(left) // 5 + 2
    run = train("auto", epochs=epochs)
    assert (len(traced), len(processes)) == {10.0: (0, 0), 30.0: (1, 0), 90.0: (1, 1)}[left]
    require_equal(run, train("eager", epochs=epochs))


@pytest.mark.parametrize("how", ["compiler", "no process", "not traced", "wrong", "slow", "own step"])
def test_whatever_stands_in_the_way_training_goes_on_eagerly_with_one_note(processes, said, monkeypatch, how):
    options = {}
    if how == "compiler":
        monkeypatch.setattr(Process, "why", "a C++ compiler is needed")
    elif how == "no process":
        monkeypatch.setattr(in_background, "CompilerProcess", lambda _plan: exec("raise OSError(28, 'No space left')"))
    elif how == "not traced":
        options["middle"] = Decides()
    elif how == "wrong":
        monkeypatch.setattr(Interpreted, "run", lambda self, tensors: [one * 1.1 for one in self.graph(*tensors)])
    elif how == "slow":
        monkeypatch.setattr(engine, "seconds_of", lambda *_: 1e9)
    run, eager = ((own_step if how == "own step" else train)(engine, **options) for engine in ("auto", "eager"))
    assert same_to_the_bit(run, eager)
    reason = note(run)["eager_because"]
    assert said[-1] == f"training goes on eagerly: {reason}"
    assert sum("goes on eagerly" in line for line in said) == 1
    assert not any(process.open for process in processes)
    expected = {
        "compiler": "a C++ compiler is needed",
        "no process": "No space left",
        "not traced": "Python decides by the value of a tensor",
        "wrong": "its first results are not those of eager steps",
        "slow": "times as long as an eager one",
        "own step": "it is one of your own, mine",
    }
    assert expected[how] in reason


class Decides(Rectify):
    def forward(self, x):
        return super().forward(x if x.sum() > 0 else x * 1)


def mine(net, loss, optimizer, inputs, targets):
    optimizer.zero_grad()
    prediction, saved = net.forward(inputs)
    value, kept = loss.forward(prediction, targets)
    net.backward(loss.backward(1.0, kept), saved)
    optimizer.step()
    return value


def own_step(engine):
    torch.manual_seed(5)
    net = Chain(Dense(3, 2)).to(torch.float64)
    optimizer = SGD(net.param(), lr=0.05)
    options = {"epochs": 4, "batch_size": 10, "step": mine, "quiet": True}
    return fit(net, SquaredError(), optimizer, table(), engine=engine, **options)


class Freeze(Callback):
    """Freezes a weight after the second epoch."""

    def epoch_ended(self, run, epoch):
        if epoch == 2:
            run.net.layers[0].weight.trainable = False


@pytest.mark.parametrize("asked", [3, 10])
def test_a_model_that_becomes_another_is_compiled_anew(processes, monkeypatch, asked):
    """While the first step is compiled, or after it was."""
    monkeypatch.setattr(Process, "asked", asked)
    run, eager = (train(engine, callbacks=[Freeze()], epochs=9) for engine in ("auto", "eager"))
    require_equal(run, eager)
    assert len(processes) == 2
    assert note(run)["compiled_from"] > 10


def test_batches_of_changing_shapes_are_not_compiled(processes):
    rows = table(40)
    sizes = [4, 1, 3, 2, 4, 2, 1, 3, 4]
    batches = [list(range(4 * at, 4 * at + size)) for at, size in enumerate(sizes)]
    loader = torch.utils.data.DataLoader(rows, batch_sampler=batches)
    torch.manual_seed(5)
    net = Chain(Dense(3, 2)).to(torch.float64)
    run = fit(net, SquaredError(), SGD(net.param(), lr=0.05), loader, epochs=3, engine="auto", quiet=True)
    assert not processes
    assert run.notes == {}


def test_epochs_of_two_full_batches_and_a_smaller_one_are_compiled(processes):
    run, eager = (train(engine, data=table(25), epochs=12, scheduled=False) for engine in ("auto", "eager"))
    require_equal(run, eager)
    assert len(processes) == 1
    assert "compiled_from" in note(run)


def test_batches_of_which_no_shape_is_that_of_most_are_not_looked_at_after_each_step(processes, monkeypatch):
    looks, is_worth_it = [], Auto._is_worth_it

    def counted(*given):
        looks.append(given)
        if len(looks) == auto.IN_A_ROW - 1:
            monkeypatch.setattr(auto, "LOOK", 1e9)
        return is_worth_it(*given)

    monkeypatch.setattr(Auto, "_is_worth_it", counted)
    train("auto", data=table(15), epochs=20, scheduled=False)  # a full batch and a smaller one in turn
    assert len(looks) == auto.IN_A_ROW
    assert not processes


class Toggle(Callback):
    """Freezes a weight, or lets it be trained again, after every fourth epoch."""

    def epoch_ended(self, run, epoch):
        if epoch % 4 == 0:
            weight = run.net.layers[0].weight
            weight.trainable = not weight.trainable


def test_a_model_that_becomes_another_again_and_again_is_compiled_three_times(processes, said):
    run, eager = (train(engine, callbacks=[Toggle()], epochs=24, scheduled=False) for engine in ("auto", "eager"))
    require_equal(run, eager)
    assert len(processes) == 3
    assert note(run)["eager_because"] == "what is compiled in has changed after each of 3 steps that were traced"
    assert sum("goes on eagerly: " in line for line in said) == 1


class Relay(Callback):
    """Lays a weight out in another way within an epoch."""

    may_lag = True

    def batch_ended(self, run, epoch, batch):
        if batch == 100:
            weight = run.net.layers[0].weight
            weight.value = weight.value.t().contiguous().t()


@pytest.mark.parametrize("asked", [6, math.inf])
def test_a_compiled_step_that_is_lost_within_an_epoch_is_compiled_anew_within_it(processes, said, monkeypatch, asked):
    def started(self, plan):
        self.asked = asked if processes else 6
        start(self, plan)

    start = Process.__init__
    monkeypatch.setattr(Process, "__init__", started)
    options = {"data": table(1500), "epochs": 1, "scheduled": False, "callbacks": [Relay()]}
    run = train("auto", **options)
    require_equal(run, train("eager", **options))
    assert len(processes) == 2
    lost = next(line for line in said if line.startswith("training goes on eagerly from step 1"))
    if asked == 6:
        assert note(run)["compiled_from"] > 100
        assert "compiled_to" not in note(run)
        assert run.engine._compiled.has_programs
    else:
        assert note(run)["compiled_from"] < 20
        assert f"step {note(run)['compiled_to'] + 1} on" in lost


def test_a_run_that_was_too_short_is_compiled_when_it_is_resumed_with_more_epochs(processes, monkeypatch, tmp_path):
    file = tmp_path / "kept.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(auto, "WORTH_COMPILING", 1e9)
        patch.setattr("mytorch.train.compiled.cache.is_empty", lambda: False)
        assert train("auto", checkpoint=file, scheduled=False).engine._attempts == 1
    assert not processes
    run = train("auto", epochs=12, resume=file, scheduled=False)
    assert len(processes) == 1
    assert note(run)["compiled_from"] > 20


def test_an_attempt_that_ended_with_the_process_does_not_count(processes, tmp_path, monkeypatch):
    monkeypatch.setattr(Process, "asked", 1000)
    keeps = Keeps(tmp_path)
    resumed(callbacks=[keeps])
    assert len(processes) == 1
    assert {state["attempts"] for state in keeps.engines} == {0}


def test_a_cache_folder_that_cannot_be_written_is_told_in_a_line(processes, said, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(in_background, "admit", admit)
    monkeypatch.setattr("mytorch.train.compiled.cache.keep", full)
    monkeypatch.setattr("mytorch.train.compiled.cache.open_package", lambda _path, _key: processes[-1].loader)
    assert "compiled_from" in note(train("auto"))
    assert sum("the cache folder cannot be written" in line for line in said) == 1


def test_the_settings_of_its_steps_are_part_of_the_time_of_a_compiled_step(processes, monkeypatch):
    now, settings_of = [0.0], engine.settings_of

    def slow(*given):
        now[0] += 1e6
        return settings_of(*given)

    monkeypatch.setattr(engine, "seconds_of", seconds_of)
    monkeypatch.setattr(engine, "settings_of", slow)
    monkeypatch.setattr(engine, "perf_counter", lambda: now[0])
    run = train("auto")
    assert "times as long as an eager one" in note(run)["eager_because"]
    assert same_to_the_bit(run, train("eager"))  # with a schedule that moves by batch


class Break(Callback):
    must_succeed = True

    def __init__(self, error):
        self.error = error

    def epoch_ended(self, epoch):
        if epoch == 3:
            raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("mine"), None])
def test_no_process_is_left_when_training_ends(processes, monkeypatch, error):
    monkeypatch.setattr(Process, "asked", 1000)
    if error is None:
        train("auto")
    else:
        with pytest.raises(type(error)):
            train("auto", callbacks=[Break(error)])
    assert [process.open for process in processes] == [False]


class Keeps(Callback):
    """Keeps every checkpoint of a run that writes one as often as it can."""

    may_lag = True

    def __init__(self, folder):
        self.folder, self.files, self.engines = folder, [], []

    def training_started(self, run):
        files, engines, folder = self.files, self.engines, self.folder

        class Copies(Keeper):
            def keep(self, state_of, wait=False):
                super().keep(state_of, wait=True)
                files.append(folder / f"{len(files)}.safetensors")
                files[-1].write_bytes(self.path.read_bytes())
                engines.append(run.engine.state_dict())

        run.checkpoint = Copies(folder / "kept.safetensors", every=0)


def resumed(file=None, callbacks=(), **options):
    """A run with random numbers and a buffer."""
    torch.manual_seed(5)
    net = Chain(Dense(3, 4), Noise(), Dense(4, 2)).to(torch.float64)
    optimizer = SGD(net.param(), lr=0.05, momentum=0.9)
    options = {"epochs": 5, "batch_size": 10, "callbacks": callbacks, "quiet": True, "resume": file, **options}
    return fit(net, SquaredError(), optimizer, table(), engine="auto", **options)


def test_a_run_that_was_compiled_is_resumed_to_the_bit_and_others_begin_eagerly(processes, monkeypatch, tmp_path):
    keeps = Keeps(tmp_path)
    whole = resumed(callbacks=[keeps])
    graphs = processes[0].loader.graph
    monkeypatch.setattr("mytorch.train.compiled.program.fetch", lambda _key, _compile: Interpreted(graphs))
    compiled = [state["compiled"] is not None for state in keeps.engines]
    assert compiled == sorted(compiled)
    assert {True, False} == set(compiled)
    first = compiled.index(True)
    for file, state in list(zip(keeps.files[:-1], keeps.engines, strict=False))[first - 2 : first + 8]:
        before = len(processes)
        run = resumed(file)  # at the first of them, the program is not checked yet
        assert len(run.history) == 5
        if state["compiled"] is None:
            assert len(processes) == before + 1
            for mine, other in zip(run.net.param(), whole.net.param(), strict=True):
                torch.testing.assert_close(mine.value, other.value, rtol=1e-10, atol=1e-10)
        else:
            assert len(processes) == before
            assert same_to_the_bit(run, whole)
            assert note(run)["compiled_from"] == note(whole)["compiled_from"]


def test_a_run_that_gave_up_does_not_try_again_when_it_is_resumed(processes, monkeypatch, tmp_path):
    monkeypatch.setattr(Process, "why", "a C++ compiler is needed")
    keeps = Keeps(tmp_path)
    whole = resumed(callbacks=[keeps])
    run = resumed(keeps.files[-3])
    assert len(processes) == 1
    assert same_to_the_bit(run, whole)
    assert note(run) == {"eager_because": "a C++ compiler is needed"}


@pytest.mark.parametrize(
    ("before", "after"),
    [("eager", "auto"), ("auto", "eager"), ("eager", "compiled"), ("auto", "compiled"), ("compiled", "auto")],
)
def test_a_run_goes_on_by_another_engine_if_that_is_accepted(processes, interpreted, tmp_path, before, after):
    file = tmp_path / "kept.safetensors"
    train(before, checkpoint=file, scheduled=False)
    options = {"epochs": 6, "resume": file, "scheduled": False}
    with pytest.raises(RunError, match=f"engine must be {before}, got {after}"):
        train(after, **options)
    run = train(after, **options, accept_differences=True)
    assert len(run.history) == 6


def test_an_engine_that_is_no_name(processes):
    with pytest.raises(ValueError, match="engine: must be one of eager, compiled, auto, got 'atuo'"):
        train("atuo")


def test_the_process_is_told_the_strides_of_tensors(interpreted):
    setup = train("eager", middle=Rectify()).setup
    weight = setup.net.layers[0].weight
    weight.value = weight.value.t().contiguous().t()
    plan = in_background.Compiled().plan(setup, next(iter(setup.batches)), promptly=False)
    order = Order.unpacked(Order.of(plan).packed())
    assert [one.stride() for one in order.examples()] == [one.stride() for one in plan.arguments()]
    assert (order.key, order.threads, order.dtype) == (plan.key, torch.get_num_threads(), torch.get_default_dtype())
    given = [torch.ones_like(one) for one in plan.arguments()]
    with torch.no_grad():
        copies = [one.clone() for one in given]
        for mine, other in zip(order.graph(*given), plan.graph()(*copies), strict=True):
            assert torch.equal(mine, other)
