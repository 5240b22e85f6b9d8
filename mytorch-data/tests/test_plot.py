import sys
from pathlib import Path

import pytest
import torch

from mytorch.core import MytorchError, ShapeError
from mytorch.data import Disk, TensorDataSet
from mytorch.data.plot import _draw, plot_points
from mytorch.plugins import FileError

pytest.importorskip("matplotlib")


def test_draws_both_classes_and_the_true_circle() -> None:
    data = Disk(200, seed=1)
    (axes,) = _draw(data, None).axes
    inside, outside = int(data.targets.sum()), int((1 - data.targets).sum())
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == [f"outside ({outside})", f"inside ({inside})", "true boundary"]
    assert [len(points.get_offsets()) for points in axes.collections] == [outside, inside]
    (circle,) = axes.lines
    distance = (torch.tensor(circle.get_xydata()) - 0.5).norm(dim=1)
    torch.testing.assert_close(distance, torch.full_like(distance, Disk.radius))
    assert axes.get_aspect() == 1.0
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title(loc="left")) == ("x", "y", "Disk: 200 points")


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_writes_the_formats(tmp_path: Path, suffix: str, start: bytes) -> None:
    path = plot_points(Disk(20), tmp_path / f"disk{suffix}")
    assert path.read_bytes().startswith(start)
    assert list(tmp_path.iterdir()) == [path]


def test_any_data_set_with_two_columns(tmp_path: Path) -> None:
    data = TensorDataSet(torch.rand(9, 2), torch.arange(9) % 3)
    (axes,) = _draw(data, "mine").axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [f"class {i} (3)" for i in range(3)]
    assert len(axes.lines) == 0


def test_what_cannot_be_drawn_raises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    with pytest.raises(ShapeError, match=r"plot_points: points must have two columns, got inputs of \(4, 3\)"):
        plot_points(TensorDataSet(torch.zeros(4, 3), torch.zeros(4, dtype=torch.int64)), path)
    with pytest.raises(ShapeError, match="plot_points: targets must be class indices"):
        plot_points(TensorDataSet(torch.zeros(4, 2), torch.zeros(4)), path)
    with pytest.raises(FileError, match=r"a\.txt: name must end in \.png or \.svg or \.pdf, got \.txt"):
        plot_points(Disk(3), tmp_path / "a.txt")
    path.write_text("mine")
    with pytest.raises(MytorchError, match="must be a new file, got one that exists"):
        plot_points(Disk(3), path)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(
        MytorchError, match=r"matplotlib is not installed\. Install: python -m pip install '\./mytorch-da"
    ):
        plot_points(Disk(3), tmp_path / "b.png")


def test_needs_no_pyplot(tmp_path: Path) -> None:
    import subprocess

    code = "import sys; from mytorch.data import Disk; from mytorch.data.plot import plot_points; "
    code += "plot_points(Disk(5), sys.argv[1]); print('matplotlib.pyplot' in sys.modules)"
    command = [sys.executable, "-c", code, str(tmp_path / "a.png")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"
