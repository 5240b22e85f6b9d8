"""The benchmark suite says what it found, names who is missing, and its peers compute what PyTorch computes."""

import json
import re
import shutil
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

HOUSE = Path(__file__).parents[1]
NETWORK = ((2, 7, 5, 3), 19)
"""Sizes and rows that are multiples of nothing."""


@pytest.fixture(scope="module", autouse=True)
def path():
    """The scripts import each other by their bare names."""
    sys.path.insert(0, str(HOUSE / "benchmarks"))
    yield
    sys.path.remove(str(HOUSE / "benchmarks"))


@pytest.fixture(autouse=True)
def numbers_as_before():
    """Measuring counts the smallest numbers as 0, in the whole process and so in later tests."""
    threads = torch.get_num_threads()
    yield
    torch.set_flush_denormal(False)
    torch.set_num_threads(threads)


@pytest.fixture
def found():
    """A section of each sort."""
    from results import Missing, Row, Section
    from side_by_side import Spread, Target

    fast, slow = Spread(9.0, 10.04, 11.0), Spread(1290.0, 1300.4, 1400.0)
    bars = Section("bars", "A step", "What it is.", "microseconds")
    bars.rows = [Row("mytorch", fast), Row("PyTorch", slow, {"mytorch": Spread(120.0, 130.04, 135.0)}, note="its SGD")]
    bars.missing = [Missing("JAX", "jax is not installed; way out: pip install jax")]
    bars.targets = [Target("PyTorch / mytorch", Spread(2.0, 2.5, 3.0), 3.0, at_least=True)]
    lines = Section("lines", "A step over width", "More.", "microseconds", axis="width")
    lines.rows = [Row(name, fast.scaled(at), at=at) for name in ("ours", "theirs") for at in (25, 1024)]
    return [bars, lines, Section("none", "Nothing", "Nobody came.", "MiB")]


def test_both_files_and_the_figures_tell_the_same(found, tmp_path):
    from results import about, number
    from write_results import write

    write(tmp_path, about(), found)
    told = json.loads((tmp_path / "results.json").read_text())
    page = (tmp_path / "results.md").read_text()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")]
    rows = [row for section in told["sections"] for row in section["rows"]]
    assert len(cells) == len(rows) + 2 * 2  # a line of names and one of dashes a table
    for row in rows:
        (line,) = [line for line in cells if row["contestant"] in line and (not row["at"] or f"{row['at']:g}" in line)]
        figures = [row["figure"], *row["ratios"].values()]
        wanted = [" ".join(map(number, (f["median"], f["low"], f["high"]))) for f in figures]
        assert [" ".join(re.findall(r"[\d.]+", cell)) for cell in line if "(" in cell] == wanted
    assert "1300 (1290 to 1400)" in page
    assert "- missing: JAX: jax is not installed; way out: pip install jax" in page
    assert "- MISSED PyTorch / mytorch: 2.50 (2.00 to 3.00), promised at least 3" in page
    assert told["sections"][0]["targets"][0]["met"] is False
    assert told["about"]["versions"]["torch"] == version("torch")
    links = re.findall(r"!\[[^]]*\]\(([^)]+)\)", page)
    assert sorted(links) == sorted(f"performance/{file.name}" for file in (tmp_path / "performance").iterdir())
    assert all((tmp_path / link).read_bytes().startswith(b"\x89PNG") for link in links)


def test_results_are_put_between_their_marks(found, tmp_path):
    from publish import BEGIN, END, PublishError, publish
    from results import about
    from write_results import write

    page = tmp_path / "docs" / "performance.md"
    page.parent.mkdir()
    page.write_text(f"# Speed\n{BEGIN}old\n{END}The end.\n")
    with pytest.raises(PublishError, match=r"must hold results.md; run: python benchmarks/suite.py --output"):
        publish(tmp_path / "run", page)
    write(tmp_path / "run", about(), found)
    for _ in range(2):
        publish(tmp_path / "run", page)
        results = (tmp_path / "run/results.md").read_text()
        assert page.read_text() == f"# Speed\n{BEGIN}{results}{END}The end.\n"
    assert (page.parent / "performance/bars.png").is_file()
    page.write_text("# Speed\n")
    with pytest.raises(PublishError, match="must have the lines"):
        publish(tmp_path / "run", page)


def test_results_of_some_sections_take_the_place_of_these_alone(tmp_path):
    from publish import BEGIN, END, publish

    page, run = tmp_path / "docs" / "performance.md", tmp_path / "run"
    (page.parent / "performance").mkdir(parents=True)
    (page.parent / "performance" / "b.png").write_bytes(b"old b")
    (page.parent / "performance" / "a.png").write_bytes(b"old a")
    page.write_text(f"# Speed\n{BEGIN}On Monday.\n\n### A\nold a\n\n### B\nold b\n{END}The end.\n")
    (run / "performance").mkdir(parents=True)
    (run / "performance" / "a.png").write_bytes(b"new a")
    (run / "results.md").write_text("On Friday.\n\n### A\nnew a\n\n### C\nnew c\n")
    for _ in range(2):
        publish(run, page)
        merged = "### A\nOn Friday.\n\nnew a\n\n### C\nOn Friday.\n\nnew c\n\n### B\nold b\n"
        assert page.read_text() == f"# Speed\n{BEGIN}On Monday.\n\n{merged}{END}The end.\n"
    assert {file.name: file.read_bytes() for file in (page.parent / "performance").iterdir()} == {
        "a.png": b"new a",
        "b.png": b"old b",
    }


def test_a_peer_that_is_not_there_or_fails_is_named_with_the_way_out(monkeypatch):
    import contestants

    absent = contestants.Peer(contestants.PEERS[contestants.C].build, "no_such_module", "pip install it")
    broken = contestants.Peer(not_today, way_out="try tomorrow")
    monkeypatch.setattr(contestants, "in_process", lambda function, *arguments: function(*arguments))
    monkeypatch.setattr(contestants, "prepare", lambda: None)
    monkeypatch.setattr(
        contestants, "PEERS", contestants.PEERS | {"Absent": absent, "Broken": broken, "Wrong": wrong()}
    )
    names, missing = contestants.present([contestants.EAGER, "Absent", "Broken", "Wrong"], *NETWORK, quick=True)
    assert names == [contestants.EAGER]
    reasons = {one.contestant: one.reason for one in missing}
    assert reasons["Absent"] == "no_such_module is not installed; way out: pip install it"
    assert reasons["Broken"] == "RuntimeError: not today; way out: try tomorrow"
    assert "The losses of Wrong differ from those of the first contestant" in reasons["Wrong"]


def not_today(weights, batch):
    raise RuntimeError("not today")


def wrong():
    """Our own step with another batch."""
    import contestants
    from networks import ours, turn

    return contestants.Peer(lambda weights, batch: turn(ours(weights, (batch[0] + 1, batch[1]))))


def test_the_readme_lists_every_section_and_its_file():
    from suite import SECTIONS

    lines = (HOUSE / "benchmarks" / "README.md").read_text().splitlines()
    rows = [line.split(" | ") for line in lines[lines.index("| Section | In | Measures |") + 2 :]]
    table = rows[: rows.index([""])]
    assert [len(row) for row in table] == [3] * len(SECTIONS)
    written = {row[0]: row[1] for row in table}
    assert written == {f"| `{name}`": f"`{function.__module__}.py`" for name, function in SECTIONS.items()}


def test_every_layer_is_measured_and_both_sides_compute_the_same():
    from layers import build, installed
    from side_by_side import require_same_losses

    names = installed([])
    assert {"Linear", "Conv2d", "CrossEntropyLoss"} <= set(names)
    for name in names:
        require_same_losses(build(name, "small"))
    assert installed(["Linear"]) == ["Linear"]


def test_a_name_that_is_not_measured_is_told_with_those_that_are():
    from gpu import NETWORKS
    from layers import installed
    from side_by_side import require_known

    with pytest.raises(SystemExit, match=r"^part must be one of .*, got linaer\. Nearest: .*Linear"):
        installed(["Linear", "linaer"])
    with pytest.raises(SystemExit, match=r"got no such part\. Known: AdaptiveAvgPool1d, .* and \d+ more\.$"):
        installed(["no such part"])
    with pytest.raises(SystemExit, match=r"^Sequential has no figures of its own: it is its layers$"):
        installed(["Sequential"])
    require_known(["GPT", "MLP, width 256"], NETWORKS, "network", beginnings=True)
    with pytest.raises(SystemExit, match=r"^network must be one of .*, got LSTM\. Known: GPT, 12"):
        require_known(["LSTM"], NETWORKS, "network", beginnings=True)


def test_networks_of_both_sides_give_the_same_losses():
    import models
    from side_by_side import require_same_losses

    for name in models.NETWORKS:
        if "ResNet" not in name:  # which takes too long
            require_same_losses(models.build(name))


def test_memory_is_promised_at_every_point(monkeypatch):
    import memory_sweep
    from memory import OURS, OURS_IN_BACKWARD, THEIRS, THEIRS_IN_BACKWARD

    theirs = dict(zip(THEIRS, (3000, 2000, 4000), strict=True)) | {THEIRS_IN_BACKWARD: 1}
    ours = {(2, 256): 2000, (16, 256): 2001, (3, 64): 1000}

    def held(_function, layers, width, _rows):
        return {OURS: ours[layers, width], OURS_IN_BACKWARD: 1} | theirs

    monkeypatch.setattr(memory_sweep, "in_process", held)
    targets = [target for section in memory_sweep.sections(quick=True) for target in section.targets]
    assert [(target.what, target.met) for target in targets] == [
        (f"linear layers 2: mytorch / {memory_sweep.LEANEST}", True),
        (f"linear layers 16: mytorch / {memory_sweep.LEANEST}", False),
        (f"width of the layers 64: mytorch / {memory_sweep.LEANEST}", True),
    ]


def test_a_missing_compiler_is_told(monkeypatch):
    from networks import draw
    from reference import NoCompilerError, Reference

    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(NoCompilerError, match=r"must be compiled, got no 'cc' on the path; install gcc or clang"):
        Reference(*draw(*NETWORK))


@pytest.mark.skipif(not shutil.which("cc"), reason="the reference is compiled by cc")
@pytest.mark.parametrize(("sizes", "rows"), [NETWORK, ((4, 1), 1), ((3, 20, 20, 20, 20, 2), 100)])
def test_c_trains_as_pytorch_does(sizes, rows):
    from networks import LR, MOMENTUM, Plain, draw
    from reference import Reference

    weights, (inputs, targets) = draw(sizes, rows)
    c, net = Reference(weights, (inputs, targets)), Plain(weights)
    optimizer = torch.optim.SGD(net.parameters(), lr=LR, momentum=MOMENTUM)
    for _ in range(7):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(net(inputs), targets)
        loss.backward()
        optimizer.step()
        assert c.train(1) == pytest.approx(loss.item(), rel=1e-4)
    for found, expected in zip(c.tensors(), net.parameters(), strict=True):
        torch.testing.assert_close(torch.from_numpy(found), expected.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "module"), [("sklearn_steps", "sklearn"), ("thinc_steps", "thinc")])
def test_a_peer_computes_what_we_do(name, module):
    pytest.importorskip(module)
    import peers
    from networks import BATCH, REFERENCE, bare, draw, turn
    from side_by_side import require_same_losses

    weights, batch = draw(REFERENCE, BATCH)
    require_same_losses({"bare": turn(bare(weights, batch)), name: getattr(peers, name)(weights, batch)})


@pytest.mark.parametrize(
    "name", ["LeNet, batch 32", "LSTM, 32 steps, batch 32", "GPT of four layers, 64 steps, batch 8"]
)
def test_a_network_of_equinox_computes_what_ours_does(name):
    pytest.importorskip("equinox")
    from side_by_side import require_same_losses
    from whole_networks import JAX, beside_eager

    require_same_losses(beside_eager(name, JAX))


def test_a_network_whose_peer_is_not_installed_is_told_with_the_way_out(monkeypatch):
    import whole_networks

    monkeypatch.setattr(whole_networks.importlib.util, "find_spec", lambda name: None)
    reason = whole_networks._why_missing(whole_networks.JAX, "LeNet, batch 32")
    assert reason == ("jax and equinox not installed; way out: python -m pip install -c constraints.txt jax equinox")


def test_every_kind_of_optimizer_can_be_tried_on_a_problem():
    import optimizer_choice
    from optimizer_choice import Problem, mlp, optimizers, run, shown, standardised, state_of

    from mytorch.nn import MSELoss
    from mytorch.optim import LBFGS, SGD, Adam, Muon

    def problem(seed):
        x = torch.randn(60, 3, generator=torch.Generator().manual_seed(seed))
        return Problem(mlp(3, 1, seed), MSELoss(), *standardised(x, x.sum(1, keepdim=True), seed), 20, 10)

    for cls in (Adam, LBFGS, Muon):
        for find in (False, True):
            assert 0 < run(cls, problem, 0, find=find) < 1000
    assert [state_of(cls) for cls in (SGD, Adam, Muon)] == ["0", "2", "1"]
    assert [shown(12.34), shown(float("inf"))] == ["12.3", "diverges"]
    page = optimizer_choice.PAGE.read_text()
    table = page.partition(optimizer_choice.BEGIN)[2].partition(optimizer_choice.END)[0]
    assert re.findall(r"^\| `(\w+)`", table, re.M) == [cls.__name__ for cls in optimizers()]


def test_no_layer_takes_more_memory_than_that_of_torch():
    """In a new process: once torch.compile has failed in one, Python holds a call's arguments until it returns."""
    from layers import peaks_here
    from side_by_side import in_process

    small = ["RNN", "LSTM", "GRU", "RNNCell", "GRUCell", "LSTMCell", "Bilinear", "CrossMapLRN2d"]
    large = ["PairwiseDistance", "RMSNorm", "Transformer", "CosineEmbeddingLoss", "TripletMarginLoss"]
    large.append("TripletMarginWithDistanceLoss")
    peaks = in_process(peaks_here, [(name, "small") for name in small] + [(name, "large") for name in large])
    assert {case: peak for case, peak in peaks.items() if peak > 1} == {}


def test_half_precision_is_measured_on_every_problem_and_network():
    import precision

    page = precision.PAGE.read_text()
    tables = page.partition(precision.BEGIN)[2].partition(precision.END)[0]
    of_engines = [f"{precision.REFERENCE}, {engine}" for engine in precision.ENGINES]
    for name in (*precision.PROBLEMS, *precision.NETWORKS, *of_engines):
        assert f"| {name} |" in tables
    assert all(f" {name} |" in tables for name in precision.NAMES)
    network = lambda: (precision.Linear(8, 8), precision.MSELoss(), torch.randn(4, 8), torch.randn(4, 8))  # noqa: E731
    assert precision.seconds(network, 2).keys() == precision.NAMES.keys()
    assert all(precision.memory(network, name) > 0 for name in precision.NAMES)
    assert precision.seconds_of_reference("bfloat16", "eager", 2) > 0


def test_every_table_is_compared_in_the_documentation():
    pytest.importorskip("pandas")
    import tables

    page = tables.PAGE.read_text()
    between = page.partition(tables.BEGIN)[2].partition(tables.END)[0]
    assert re.findall(r"^\| (\w+) \| \d+, \d+ \|", between, re.M) == list(tables.TABLES)


def test_a_row_of_the_documentation_has_the_medians_of_each_side(monkeypatch):
    pytest.importorskip("pandas")
    import tables
    from side_by_side import Spread

    monkeypatch.setitem(tables.TABLES, "made", lambda: (tables.pd.DataFrame({"a": [1, 2], "y": [0, 1]}), "y"))
    spread = {"score": Spread(0.1, 0.5, 0.6), "log loss": Spread(0, 0.25, 1), "seconds": Spread(0, 0.125, 9)}
    sides = dict.fromkeys((tables.OURS, tables.THEIRS, tables.LINEAR, tables.CONSTANT), spread)
    sides[tables.THEIRS] = {"score": Spread(0.2, 0.75, 1), "seconds": Spread(1, 2, 3)}
    wanted = "| made | 2, 1 | 0.500 / 0.250 | R2 0.750 | 0.500 / 0.250 | 0.500 / 0.250 | 0.12, 2.00 |"
    assert tables._row("made", sides) == wanted


def test_text_is_put_between_markers_of_a_page_that_has_several(tmp_path):
    from publish import PublishError, put_between

    page = tmp_path / "page.md"
    page.write_text("<!-- a -->\nold\n<!-- end -->\n<!-- b -->\nkept\n<!-- end -->\n")
    put_between(page, "<!-- a -->\n", "<!-- end -->\n", "new\n")
    assert page.read_text() == "<!-- a -->\nnew\n<!-- end -->\n<!-- b -->\nkept\n<!-- end -->\n"
    with pytest.raises(PublishError, match="must have the lines '<!-- c -->' and '<!-- end -->' once"):
        put_between(page, "<!-- c -->\n", "<!-- end -->\n", "new\n")
