"""What layers save is stored between the passes: exactly on disk, nearly in fewer bits."""

import weakref

import pytest
import torch
from sharing_nets import Again, Detour
from toy_parts import SGD, Chain, Dense, Noise, Rectify, SquaredError, Table

from mytorch.core import ArgumentError, Module
from mytorch.plugins import FileError
from mytorch.train import fit, step
from mytorch.train.memory.saved_step import LEAST, SavedStep, Storing
from mytorch.train.memory.stored import Bfloat16, Disk, Int8
from mytorch.train.observe import intercept
from mytorch.train.quantities.structure import tensors

pytestmark = pytest.mark.numbers
ROWS = 64  # times 32 columns are twice LEAST


class Strange(Module):
    """y = x, which saves tensors that lie in memory in every way, and finds them as they were."""

    def forward(self, x):
        every = [x.t(), x[:, ::2], x[0].expand(ROWS, 32), x.flatten(), x[:2], x.long(), x > 0, x.to(torch.complex64)]
        return x + 0, {"every": tuple(every), "strides": [value.stride() for value in every], "x": x.clone()}

    def backward(self, d_y, saved):
        x = saved["x"]
        again = [x.t(), x[:, ::2], x[0].expand(ROWS, 32), x.flatten(), x[:2], x.long(), x > 0, x.to(torch.complex64)]
        for value, same in zip(saved["every"], again, strict=True):
            assert torch.equal(value, same)
        assert [value.stride() for value in saved["every"]] == saved["strides"]
        return d_y


def network():
    torch.manual_seed(3)
    inner = Detour(Chain(Dense(32, 32), Noise(), Rectify()))
    return Chain(Dense(3, 32), Rectify(), Noise(), inner, Chain(Dense(32, 32), Rectify()), Dense(32, 2))


def table():
    generator = torch.Generator().manual_seed(2)
    return Table(torch.randn(200, 3, generator=generator), torch.randn(200, 2, generator=generator))


def trained(**options):
    net = network()
    optimizer, given = SGD(net.param(), lr=0.05), {"epochs": 2, "batch_size": ROWS, "quiet": True, **options}
    return net, fit(net, SquaredError(), optimizer, table(), **given)


@pytest.mark.parametrize(
    "options", [{}, {"accumulate": 2}, {"optimizer_in_backward": True}, {"clip_grad_norm": 0.1}], ids=str
)
def test_disk_changes_nothing(options):
    net, training = trained(**options)
    other, other_training = trained(saved="disk", **options)
    for (name, value), again in zip(net.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(value, again), name
    store = other_training.setup.step.store
    assert store._file is None  # the room is given back
    assert "saved" not in other_training.setup.step.keywords
    assert training.history[-1]["train_loss"] == other_training.history[-1]["train_loss"]


@pytest.mark.parametrize(("saved", "bound"), [("bfloat16", 5e-3), ("int8", 3e-2)])
def test_fewer_bits_change_gradients_a_little(saved, bound):
    def update(**given):
        net, _ = trained(epochs=1, **given)
        changes = [after - before for after, before in zip(_values(net), _values(network()), strict=True)]
        return torch.cat([change.flatten() for change in changes])

    exact, near = update(), update(saved=saved)
    error = float((near - exact).norm() / exact.norm())
    assert 1e-5 < error < bound


def _values(net):
    return [parameter.value for parameter in net.param()]


@pytest.mark.parametrize("store", [Disk, Bfloat16, Int8])
def test_only_what_is_worth_it_is_stored_and_shared_tensors_once(store):
    class Counting:
        def __init__(self):
            self.inner, self.sizes = store(), []

        def put(self, flat):
            self.sizes.append(flat.numel())
            return self.inner.put(flat)

        def restart(self):
            self.inner.restart()

    net, x = Chain(Dense(3, 32), Rectify(), Dense(32, 32), Rectify(), Dense(32, 2)), torch.randn(ROWS, 3)
    counting = Counting()
    storing = Storing(net, counting, {x.untyped_storage().data_ptr()})
    with intercept(net.named_modules(), storing.around):
        y, saved = net.forward(x)
        assert counting.sizes == [ROWS * 32] * 2  # of each Rectify, whose output the next Dense saves too
        assert [value is x for value in tensors(saved)] == [True]  # which is alive anyway
        net.backward(torch.randn_like(y), saved)
    assert LEAST < ROWS * 32


def test_what_is_dropped_in_the_forward_is_held_by_nobody():
    class Watched(Bfloat16):
        alive = 0

        def put(self, flat):
            stored = flat.to(torch.bfloat16)
            Watched.alive += 1
            weakref.finalize(stored, self.freed)
            return lambda: stored.float()

        def freed(self):
            Watched.alive -= 1

    net, x = Chain(Again(Chain(Rectify(), Rectify())), Dense(32, 2)), torch.randn(ROWS, 32)
    storing = Storing(net, Watched(), {x.untyped_storage().data_ptr()})
    with intercept(net.named_modules(), storing.around):
        y, saved = net.forward(x)
        assert Watched.alive == 1  # the input of the Dense; x is alive anyway
        net.backward(y, saved)
        assert Watched.alive == 0


def test_tensors_lie_as_they_lay():
    net, x = Chain(Strange(), Rectify()), torch.randn(ROWS, 32)
    storing = Storing(net, Disk(), set())
    with intercept(net.named_modules(), storing.around):
        y, saved = net.forward(x)
        assert torch.equal(net.backward(y, saved), y * (y > 0))


def test_a_full_disk_ends_the_training_with_a_clear_error(monkeypatch):
    def full(self, flat):
        raise FileError("saved: the disk of /tmp must have room for what layers save")

    monkeypatch.setattr(Disk, "put", full)
    with pytest.raises(FileError, match="must have room"):
        trained(saved="disk")


def test_a_run_with_fewer_bits_is_not_resumed_as_one_without(tmp_path):
    trained(saved="int8", checkpoint=tmp_path / "state", epochs=1)
    with pytest.raises(Exception, match="saved='int8'"):
        trained(resume=tmp_path / "state", epochs=2)
    trained(saved="int8", resume=tmp_path / "state", epochs=2)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"saved": "float8"}, "saved: must be one of bfloat16, int8, disk, got 'float8'. Nearest:"),
        (
            {"saved": "int8", "engine": "auto"},
            "saved: must be left out with an engine that compiles steps \\(Auto\\)",
        ),
        ({"saved": "int8", "precision": "bfloat16"}, "saved: must be left out with precision = 'bfloat16', whose"),
        ({"saved": "int8", "clip_sample_norm": 1.0}, "saved: must be left out with clip_sample_norm = 1.0, which"),
        ({"saved": "disk", "step": step}, "saved: must be left out with a step of your own \\(step\\), which"),
        ({"saved": "disk", "memory": "1 GiB"}, "memory: must be left out with saved = 'disk', which"),
    ],
)
def test_what_does_not_go_together_is_refused(options, text):
    with pytest.raises(ArgumentError, match=text):
        trained(**options)


def test_the_step_alone():
    results = []
    for take in (step, SavedStep(step, "disk")):
        net, x, targets = network(), torch.ones(ROWS, 3), torch.ones(ROWS, 2)
        with torch.inference_mode():
            torch.manual_seed(1)
            value, _ = take(net, SquaredError(), SGD(net.param(), lr=0.1), x, targets)
        results.append([value, *_values(net)])
    assert all(map(torch.equal, *results))
