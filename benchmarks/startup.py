"""How long things take from the start of a new process, beside `import torch`: commands, and first training steps.

A compiled step is taken by fit, with an empty cache and with the one that it left. PyTorch's compiled one likewise.
Exits with status 1 if a command is above LIMIT times the median of `import torch`.
"""

import sys
import tempfile
from pathlib import Path

from alone import run_alone
from commands import MYTORCH, in_turn, seconds
from results import Missing, Row, Section, rows_of
from side_by_side import Spread, Target

LIMIT = 0.12
IMPORT = "import torch"
THEIRS = """import torch
net = torch.nn.Sequential(torch.nn.Linear(2, 25), torch.nn.ReLU(), torch.nn.Linear(25, 2))
optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
inputs, targets = torch.rand(100, 2), torch.rand(100, 2)
def step():
    optimizer.zero_grad()
    torch.nn.functional.mse_loss(net(inputs), targets).backward()
    optimizer.step()
"""
OURS = """import torch
from mytorch.nn import Linear, MSELoss, ReLU, Sequential
from mytorch.optim import SGD
net = Sequential(Linear(2, 25), ReLU(), Linear(25, 2))
loss, optimizer = MSELoss(), SGD(net.param(), lr=0.01, momentum=0.9)
inputs, targets = torch.rand(1100, 2), torch.rand(1100, 2)
"""
EAGER = "from mytorch.train import step\nstep(net, loss, optimizer, inputs[:100], targets[:100])"
COMPILED = """from mytorch.data import TensorDataSet
from mytorch.train import fit
fit(net, loss, optimizer, TensorDataSet(inputs, targets), epochs=1, batch_size=100, engine="compiled", quiet=True)"""
THEIRS_COMPILED = "import logging\nlogging.getLogger('torch._dynamo').setLevel(logging.ERROR)\ntorch.compile(step)()"
QUICK_COMMANDS = {
    'python -c "pass"': ["pass"],
    IMPORT: [IMPORT],
    "mytorch --help": [MYTORCH, "--help"],
    "mytorch plugins list": [MYTORCH, "plugins", "list"],
    "mytorch train --help": [MYTORCH, "train", "--help"],
    "PyTorch: first step": [f"{THEIRS}step()"],
    "mytorch: first step": [f"{OURS}{EAGER}"],
}
COMPILING = {
    "PyTorch: first torch.compile step": [f"{THEIRS}{THEIRS_COMPILED}"],
    "mytorch: first compiled step": [f"{OURS}{COMPILED}"],
}
LIMITED = ("mytorch --help", "mytorch plugins list")
TEXT = (
    "The wall time of a whole process, from the interpreter's start to its end. First steps are of 2-25-2, batch 100. "
    "mytorch's compiled steps are taken by fit, whose first call checks them against eager ones."
)


def sections(quick: bool) -> list[Section]:
    """Everything beside import torch."""
    measured = in_turn({name: (command, {}) for name, command in QUICK_COMMANDS.items()}, 2 if quick else 9)
    section = Section("startup", "From the start of a process", TEXT, "milliseconds")
    section.rows = rows_of(measured, IMPORT, 1e3)
    if quick:
        section.missing = [Missing(name, "compiles too long for --quick") for name in COMPILING]
    else:
        section.rows += _compiled(2, measured.seconds(IMPORT).median)
    for name in LIMITED:
        section.targets.append(Target(f"{name} / {IMPORT}", measured.ratio(name, IMPORT), LIMIT, at_least=False))
    return [section]


def _compiled(rounds: int, importing: float) -> list[Row]:
    """First compiled steps with a cache that is empty, and with what they left in it."""
    taken: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, command in COMPILING.items():
            with tempfile.TemporaryDirectory() as folder:
                caches = {"MYTORCH_CACHE": f"{folder}/mytorch", "TORCHINDUCTOR_CACHE_DIR": f"{folder}/inductor"}
                for state in ("cold", "warm"):
                    taken.setdefault(f"{name}, {state} cache", []).append(seconds(command, **caches))
                assert any(Path(folder).rglob("*.so" if "PyTorch" in name else "*")), "nothing was compiled"
    spreads = {name: Spread.of(values) for name, values in taken.items()}
    return [Row(n, s.scaled(1e3), {IMPORT: s.scaled(1 / importing)}) for n, s in spreads.items()]


if __name__ == "__main__":
    sys.exit(run_alone(sections, __doc__))
