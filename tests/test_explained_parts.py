"""The layers and losses of mytorch.nn, explained; and the figures of the pages on backpropagation."""

import re
import runpy
from pathlib import Path

import pytest
import torch

import mytorch.nn as nn
from mytorch.core import Module
from mytorch.plugins import catalogue
from mytorch.train import explain
from mytorch.train.explain.formula import formula_of

HOUSE = Path(__file__).parents[1]
WITHOUT_FORWARD = {"ModuleDict", "ModuleList"}


@pytest.mark.parametrize("kind", ["layer", "loss"])
def test_every_part_states_its_formulas(kind):
    parts = [part for part in catalogue().of_kind(kind) if part.distribution == "mytorch-nn"]
    assert len(parts) >= 3
    for part in parts:
        cls = catalogue().load(kind, part.name)
        for method in ("forward", "backward") if part.name not in WITHOUT_FORWARD else ():
            assert formula_of(cls, method), f"{part.name} must have a line for its {method}"


def test_the_target_of_cross_entropy_is_part_of_its_formula():
    assert any(line.startswith("q = weight * ") for line in formula_of(nn.CrossEntropyLoss, "forward"))


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 0.5])), torch.tensor([0, 2, 1, 1])),
        (nn.BCEWithLogitsLoss(), torch.rand(4, 3)),
        (nn.MSELoss("sum"), torch.randn(4, 3)),
    ],
)
def test_a_net_of_many_layers(loss, target):
    norm, generator = nn.BatchNorm1d(5), torch.Generator().manual_seed(3)
    net = nn.Sequential(
        nn.Flatten(),
        nn.Linear(6, 5),
        norm,
        nn.Residual(nn.Sequential(nn.Linear(5, 5, bias=False), nn.Tanh(), nn.Dropout(0.5, generator=generator))),
        nn.Sigmoid(),
        nn.Identity(),
        nn.Linear(5, 3),
    )
    net.eval()
    before, drawn = {name: value.clone() for name, value in net.state_dict().items()}, generator.get_state()
    found = explain(net, loss, torch.randn(4, 2, 3), target)
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    assert torch.equal(generator.get_state(), drawn)
    assert norm.training is False
    paths = ["", "0", "1", "2", "3", "3.inner", "3.inner.0", "3.inner.1", "3.inner.2", "4", "5", "6"]
    assert [step.path for step in found.of("forward")] == paths
    back = ["loss", "", "6", "5", "4", "3", "3.inner", "3.inner.2", "3.inner.1", "3.inner.0", "2", "1", "0"]
    assert [step.path for step in found.of("backward")] == back
    assert [step.path for step in found.steps if step.passes_on and step.phase == "forward"] == ["", "3.inner"]
    kept = {step.path: step.saved_bytes for step in found.of("forward")}
    assert kept["1"] == 4 * 6 * 4
    assert kept["3.inner.2"] == 4 * 5 * 4  # a mask
    assert kept["5"] == 0
    assert all(len(line) <= 80 for line in str(found).splitlines())


class Held(Module):
    """Calls what it holds in a list and in a dict, the first of the list twice."""

    def __init__(self):
        shared = nn.Linear(3, 3)
        self.blocks = nn.ModuleList([shared, nn.Tanh(), shared])
        self.heads = nn.ModuleDict({"out": nn.Linear(3, 1)})

    def forward(self, x):
        saved = []
        for layer in (*self.blocks, self.heads["out"]):
            x, kept = layer.forward(x)
            saved.append(kept)
        return x, saved

    def backward(self, d_y, saved):
        for layer in reversed([*self.blocks, self.heads["out"]]):
            d_y = layer.backward(d_y, saved.pop())
        return d_y


def test_children_in_lists_and_dicts_are_named_as_in_the_state():
    found = explain(Held(), nn.MSELoss(), torch.randn(4, 3), torch.randn(4, 1))
    assert [step.path for step in found.of("forward")] == ["", "blocks.0", "blocks.1", "blocks.2", "heads.out"]
    assert [step.path for step in found.of("backward")] == [
        "loss",
        "",
        "heads.out",
        "blocks.2",
        "blocks.1",
        "blocks.0",
    ]


def test_the_figures_of_the_pages_are_drawn(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(HOUSE / "docs/images")
    for script in ("draw_backpropagation.py", "draw_derivations.py"):
        runpy.run_path(str(HOUSE / "docs/images" / script))["main"](tmp_path)
    pages = [HOUSE / "docs/backpropagation.md", *(HOUSE / "docs/backpropagation").glob("*.md")]
    shown = [name for page in pages for name in re.findall(r"images/([\w-]+\.png)\)", page.read_text())]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(shown)
    for path in tmp_path.iterdir():
        assert path.read_bytes().startswith(b"\x89PNG")
        assert (HOUSE / "docs/images" / path.name).is_file()


@pytest.mark.numbers
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_layers_tell_of_themselves(dtype):
    net = nn.Sequential(
        nn.Conv1d(3, 8, 3, padding=1),
        nn.Permute([0, 2, 1]),
        nn.LSTM(8, 8, batch_first=True),
        nn.Take(0),
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, is_causal=True),
        nn.Permute([1, 0, 2]),
        nn.GRU(8, 4, num_layers=2, bidirectional=True),
        nn.Take(0),
        nn.Select(0, -1),
        nn.Linear(8, 1),
    ).to(dtype)
    x, t = torch.randn(2, 3, 11, dtype=dtype), torch.randn(2, 1, dtype=dtype)
    found = explain(net, nn.MSELoss(), x, t, tokens=[*"eleven more"])
    told = {(step.phase, step.layer): step.details for step in found.steps if step.details}
    assert {key: len(details) for key, details in told.items()} == {
        ("forward", "Conv1d"): 1,
        ("forward", "LSTM"): 1,
        ("forward", "MultiheadAttention"): 1,
        ("forward", "GRU"): 2,
        ("backward", "GRU"): 2,
        ("backward", "LSTM"): 1,
    }
    assert not any("could not be made" in line for details in told.values() for each in details for line in each.text)
    (weights,) = told["forward", "MultiheadAttention"]
    assert [picture.what for picture in weights.pictures] == ["head 0", "head 1"]
    assert weights.pictures[0].rows == tuple("eleven more")
    assert all(len(line) <= 80 for line in str(found).splitlines())
