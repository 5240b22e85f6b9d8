"""The compiled engine with the real layers: within rounding of eager, random zeros and running statistics included."""

import pytest
import torch

from mytorch.data import TensorDataSet
from mytorch.experiments.parity.lockstep import relative_difference
from mytorch.nn import BatchNorm1d, CrossEntropyLoss, Dropout, Linear, ReLU, Sequential
from mytorch.optim import SGD, OneCycleLR
from mytorch.train import Batches, Setup
from mytorch.train.compiled import Compiled
from mytorch.train.training import Training


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYTORCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def training(engine=None):
    torch.manual_seed(2)
    net = Sequential(Linear(2, 8), BatchNorm1d(8), ReLU(), Dropout(0.3), Linear(8, 3))
    x = torch.randn(20, 2)
    data = TensorDataSet(x, (x.sum(1) > 0).long() + (x[:, 0] > 1).long())
    optimizer = SGD(net.param(), lr=0.1, momentum=0.9, weight_decay=1e-3, nesterov=True)
    schedule = OneCycleLR(optimizer, max_lr=0.1, total_steps=2 * 50)
    batches = Batches(data, 10, shuffle=True)
    return Training(Setup(net, CrossEntropyLoss(), optimizer, batches, schedule), epochs=50, engine=engine)


def test_float32_is_within_the_rule_of_parity_after_every_call():
    """Each epoch is one call of two steps; after it, eager goes on from the weights of the compiled run."""
    compiled, eager = training(Compiled()), training()
    random = torch.get_rng_state()
    for epoch in range(1, 51):
        values = {}
        for run in (eager, compiled):
            torch.set_rng_state(random)
            run.epochs = epoch
            run.run()
            values[run] = run.net.state_dict()
        random = torch.get_rng_state()
        mine, other = values[compiled], values[eager]
        assert compiled.history[-1]["train_loss"] == pytest.approx(eager.history[-1]["train_loss"], rel=2e-5)
        assert max(relative_difference(mine[name], other[name]) for name in mine) < 2e-5
        eager.net.load_state_dict(mine)
        eager.optimizer.load_state_dict(compiled.optimizer.state_dict())
    assert not compiled.engine.refused
    assert [(made.steps, made.checked) for made in compiled.engine.programs.values()] == [(2, True)]
    assert int(mine["1.num_batches_tracked"]) == 100
