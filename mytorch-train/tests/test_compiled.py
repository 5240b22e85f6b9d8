"""The compiled engine: equal to eager, from a cache, and eager where it cannot be had.

Compiling takes many seconds, so only one step is compiled; other tests run the traced graph by torch's interpreter.
"""

import shutil
import warnings

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from toy_parts import SGD, Chain, Dense, Noise, Ramp, Rectify, Rows, SquaredError, Table

from mytorch.core import ArgumentError, Buffer, Module
from mytorch.plugins import StopTraining, hookimpl
from mytorch.train import NotFiniteError, fit
from mytorch.train.compiled import EngineWarning, program
from mytorch.train.compiled.cache import open_package
from mytorch.train.compiled.key import key_of

pytestmark = pytest.mark.filterwarnings("error::mytorch.train.compiled.EngineWarning")
real_compile = program.compile_package


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """Where the tests of this file keep what they compiled, to be taken again by others."""
    return tmp_path_factory.mktemp("packages")


@pytest.fixture(autouse=True)
def compiles(packages, tmp_path, monkeypatch):
    """An empty cache. Returns the keys compiled so far; what an earlier test compiled is copied and not compiled."""
    keys = []

    def compile_once(graph, examples, path, metadata):
        key = metadata["mytorch_key"]
        keys.append(key)
        if not (packages / key).exists():
            real_compile(graph, examples, path, metadata)
            shutil.copy(path, packages / key)
        shutil.copy(packages / key, path)

    monkeypatch.setenv("MYTORCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(program, "compile_package", compile_once)
    return keys


class Interpreted:
    """Stands for a loaded package: runs the graph operation by operation."""

    def __init__(self, graph):
        self.graph = graph

    def run(self, tensors):
        with torch.inference_mode(False), torch.no_grad():
            return self.graph(*tensors)


@pytest.fixture
def interpreted(monkeypatch):
    """Nothing is compiled. Returns the keys of the steps that would be."""
    graphs = {}

    def remember(graph, _examples, _path, metadata):
        graphs[metadata["mytorch_key"]] = graph

    def fetch(key, compile_to):
        compile_to(None)
        return Interpreted(graphs[key])

    monkeypatch.setattr(program, "compile_package", remember)
    monkeypatch.setattr(program, "fetch", fetch)
    return graphs


def table(rows=46, dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(rows, 3, generator=generator, dtype=dtype)
    return Table(x, x[:, :2] * x[:, 1:])


def train(
    engine, *, data=None, epochs=4, lr=0.05, middle=None, optimizer=SGD, scheduled=True, hooks=(), batch_size=10
):
    """A run of 4 full batches and a smaller one; with random numbers, a buffer and a schedule by batch."""
    torch.manual_seed(5)
    net = Chain(Dense(3, 4), Rectify(), middle or Noise(), Dense(4, 2)).to(torch.float64)
    made = optimizer(net.param(), lr=lr, momentum=0.9)
    schedule = Ramp(made, total_steps=5 * epochs) if scheduled else None
    options = {"epochs": epochs, "batch_size": batch_size, "schedule": schedule, "hooks": hooks, "quiet": True}
    data = data or table()
    return fit(net, SquaredError(), made, data, test=table(20), engine=engine, **options)


def require_equal(run, eager):
    assert len(run.history) == len(eager.history)
    for mine, other in zip(run.history, eager.history, strict=True):
        for name in ("epoch", "lr", "train_loss", "test_loss"):
            assert mine[name] == pytest.approx(other[name], rel=0, abs=1e-10), name
    require_equal_state(run, eager)


def require_equal_state(run, eager):
    state = eager.net.state_dict()
    for name, value in run.net.state_dict().items():
        torch.testing.assert_close(value, state[name], rtol=1e-10, atol=1e-10, msg=name)
    for mine, other in zip(run.optimizer.state.values(), eager.optimizer.state.values(), strict=True):
        torch.testing.assert_close(mine["momentum_buffer"], other["momentum_buffer"], rtol=1e-10, atol=1e-10)


def was_compiled(run):
    return not run.engine.refused and any(made.checked for made in run.engine.programs.values())


def test_a_run_equals_eager_and_the_second_takes_the_step_from_the_cache(compiles):
    eager, run = train("eager"), train("compiled")
    require_equal(run, eager)
    assert was_compiled(run)
    assert [made.steps for made in run.engine.programs.values()] == [4]
    assert run.net.state_dict()["2.seen"] == 20
    assert len(compiles) == 1
    again = train("compiled", lr=0.02)  # another learning rate is the same step
    require_equal(again, train("eager", lr=0.02))
    assert was_compiled(again)
    assert len(compiles) == 1
    torch.add(run.net.param()[0].value, 1)  # outside inference mode


class Watch:
    """Notes the weights after every batch."""

    def __init__(self, stop_at=None):
        self.seen, self.stop_at = [], stop_at

    @hookimpl
    def batch_ended(self, run, epoch, batch, loss):
        self.seen.append((epoch, batch, float(loss), [p.value.clone() for p in run.net.param()]))
        if (epoch, batch) == self.stop_at:
            raise StopTraining


def test_a_hook_on_each_batch_gets_one_step_a_call_and_the_weights_of_that_moment(interpreted):
    mine, other = Watch(stop_at=(3, 2)), Watch(stop_at=(3, 2))
    run, eager = (train(engine, hooks=[hook]) for engine, hook in (("compiled", mine), ("eager", other)))
    assert [made.steps for made in run.engine.programs.values()] == [1]
    require_equal(run, eager)
    assert len(mine.seen) == len(other.seen) == 12
    for (*where, loss, values), (*place, expected, others) in zip(mine.seen, other.seen, strict=True):
        assert where == place
        assert loss == pytest.approx(expected, abs=1e-10)
        torch.testing.assert_close(values, others, rtol=1e-10, atol=1e-10)


class Freeze:
    """Freezes a weight after the second epoch and changes the momentum, which no schedule does, after the fourth."""

    @hookimpl
    def epoch_ended(self, run, epoch):
        if epoch == 2:
            run.net.layers[0].weight.trainable = False
        if epoch == 4:
            run.optimizer.param_groups[0]["momentum"] = 0.5


def test_a_model_that_becomes_another_during_the_run_is_compiled_anew(interpreted):
    run, eager = (train(engine, hooks=[Freeze()], epochs=7, scheduled=False) for engine in ("compiled", "eager"))
    require_equal(run, eager)
    assert was_compiled(run)
    assert len(interpreted) == 3


class Breaks(Table):
    """Rows of which the last are not finite from the third epoch on, or stop the run."""

    def __init__(self, how):
        super().__init__(table().inputs, table().targets)
        self.how, self.calls = how, 0

    def __getitems__(self, indices):
        self.calls += 1
        inputs, targets = super().__getitems__(indices)
        if self.calls > 6:
            if self.how is KeyboardInterrupt:
                raise KeyboardInterrupt
            inputs = torch.where(indices[:, None] == 7, torch.inf, inputs)
        return inputs, targets


@pytest.mark.parametrize("how", [KeyboardInterrupt, NotFiniteError])
def test_what_was_trained_is_kept_when_a_run_breaks_off(how, interpreted):
    ends = []
    for engine in ("compiled", "eager"):
        kept = []

        class Last:
            @hookimpl
            def training_failed(self, run, kept=kept):
                kept.append(run)

        with pytest.raises(how) as error:
            train(engine, data=Breaks(how), hooks=[Last()], epochs=6)
        ends.append((kept[0], str(error.value)))
    (run, said), (eager, expected) = ends
    require_equal_state(run, eager)
    assert said == expected
    assert was_compiled(run)


def test_batches_of_changing_shape(interpreted):
    class Sizes:
        """Batches of 10, for a while of 7, and of two sizes in turn."""

        def __iter__(self):
            sizes = [10] * 20 + [7] * 20 + [3, 4] * 4
            return iter([list(range(at % 20, at % 20 + size)) for at, size in enumerate(sizes)])

        def __len__(self):
            return 48

    def loader():
        return torch.utils.data.DataLoader(Rows(table()), batch_sampler=Sizes())

    run, eager = (train(e, data=loader(), batch_size=None, scheduled=False, lr=0.002) for e in ("compiled", "eager"))
    require_equal(run, eager)
    assert [made.checked for made in run.engine.programs.values()] == [True, True]


# Going on eagerly


def warned(text, **options):
    """A compiled run that must warn once, with this text, and equal the eager one."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = train("compiled", **options)
    said = [str(warning.message) for warning in caught if warning.category is EngineWarning]
    assert len(said) == 1
    assert text in said[0]
    assert "\n" not in said[0]
    require_equal(run, train("eager", **options))
    return run


class Decides(Module):
    """y = x, and Python looks at the values."""

    def __init__(self):
        self.offset = Buffer(torch.zeros(()))

    def forward(self, x):
        return (x if x.sum() > 0 else x * 1), None

    def backward(self, d_y, saved):
        return d_y


class Counting(SGD):
    """Counts its steps in Python."""

    def update(self, parameters, group):
        for parameter in parameters:
            self.state[parameter]["step"] = self.state[parameter].get("step", 0) + 1
        super().update(parameters, group)


def test_a_step_that_cannot_be_traced_goes_on_eagerly():
    run = warned("Python decides by the value of a tensor, in layer '2' (Decides) of Chain", middle=Decides())
    assert not run.engine.programs
    warned("Counting: state 'step' must be a tensor from the first step on, got 2 after 1", optimizer=Counting)


def test_without_a_compiler_training_goes_on_eagerly(monkeypatch):
    from torch._inductor import cpp_builder
    from torch._inductor.exc import InvalidCxxCompiler

    def none():
        raise InvalidCxxCompiler

    monkeypatch.setattr(program, "compile_package", real_compile)
    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    warned("a C++ compiler is needed and none was found; install g++ or clang, or name one in CXX", batch_size=9)


def test_a_killed_compiler_leaves_the_run_eager(monkeypatch):
    def killed(*_args):
        raise RuntimeError("Command g++ died with SIGKILL\nand a long log")

    monkeypatch.setattr(program, "compile_package", killed)
    warned(
        "the training step cannot be compiled (RuntimeError: Command g++ died with SIGKILL); training goes on eagerly"
    )


def test_results_that_are_not_those_of_eager_steps_are_refused(interpreted, monkeypatch):
    honest = program.Program.run

    def wrong(self, *given):
        flats, losses = honest(self, *given)
        return [flats[0] * (1 + 1e-6), *flats[1:]], losses

    monkeypatch.setattr(program.Program, "run", wrong)
    warned("its first results are not those of eager steps: they differ by")


# The cache


@pytest.fixture
def kept(tmp_path, compiles):
    """The entry of a finished run."""
    train("compiled")
    (entry,) = (tmp_path / "cache" / "steps").iterdir()
    assert entry.name == f"{compiles[0]}.pt2"
    return entry


def damage(entry, how):
    content = entry.read_bytes()
    if how == "cut short":
        entry.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        entry.write_bytes(b"")
    elif how == "a bit":
        middle = len(content) // 2
        entry.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])


@pytest.mark.parametrize("how", ["cut short", "empty", "a bit"])
def test_a_damaged_entry_is_compiled_again(kept, how, compiles):
    damage(kept, how)
    assert was_compiled(warned("cannot be used"))
    assert len(compiles) == 2
    assert was_compiled(train("compiled"))
    assert len(compiles) == 2


def test_an_entry_of_another_step_is_not_used(kept, compiles):
    with pytest.raises(ValueError, match=f"it must be the step {'0' * 40}, got {compiles[0]}"):
        open_package(kept, "0" * 40)


def test_whatever_decides_the_machine_code_decides_the_name(monkeypatch):
    x, constant = torch.ones(2, 3), torch.ones(3)
    graph = make_fx(lambda x: x * 2 + constant, tracing_mode="fake", _allow_non_fake_inputs=True)

    def keys():
        other = make_fx(lambda x: x * 3 + constant, tracing_mode="fake", _allow_non_fake_inputs=True)
        return [key_of(graph(x), 1), key_of(graph(x), 2), key_of(graph(x.double()), 1), key_of(other(x), 1)]

    before = keys()
    assert before == keys()
    constant[1] = 2
    monkeypatch.setattr("torch.__version__", "2.99")
    assert len({*before, *keys()}) == 8


def test_a_cache_folder_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MYTORCH_CACHE", str(tmp_path / "file" / "cache"))
    assert was_compiled(warned("the cache folder cannot be written"))


def test_a_full_cache_folder_is_done_without(monkeypatch, tmp_path):
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("mytorch.train.compiled.cache.copyfile", full)
        assert was_compiled(warned("No space left on device"))
    assert list((tmp_path / "cache" / "steps").iterdir()) == []


def test_an_unknown_engine_is_refused():
    with pytest.raises(
        ArgumentError, match=r"engine: must be one of eager, compiled, got 'compile'. Nearest: compiled"
    ):
        train("compile")
