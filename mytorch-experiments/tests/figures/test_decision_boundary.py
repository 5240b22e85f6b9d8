"""The figure of a decision boundary, and its animation."""

import pytest
import torch
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.image import imread
from PIL import Image
from toy_parts import Dense, Line, Points, Table

from mytorch.core import Module, ShapeError
from mytorch.data.palette import BLUE, GREEN, ORANGE
from mytorch.data.plot import _draw
from mytorch.experiments import draw_decision_boundary
from mytorch.experiments.figures import decision_boundary as implementation
from mytorch.experiments.figures.decision_boundary import animate_decision_boundary
from mytorch.experiments.figures.plane import Plane
from mytorch.plugins import FileError


class Stripes(Module):
    """Scores of so many classes, each best in a stripe of the first column."""

    def __init__(self, classes):
        self.centres = torch.arange(float(classes))

    def forward(self, x):
        return -(x[:, :1] - self.centres).abs(), None


@pytest.fixture
def figure(monkeypatch):
    """Returns a function that draws and gives the figure instead of writing it."""
    monkeypatch.setattr(implementation, "save", lambda drawn, _path: drawn)

    def draw(net, data, **options):
        drawn = draw_decision_boundary(net, data, "unused.png", **options)
        return drawn.axes[0]

    return draw


def stripes(classes, rows=60):
    targets = torch.arange(rows) % classes
    places = torch.stack((targets + 0.4 * torch.rand(rows) - 0.2, torch.rand(rows)), 1)
    return Table(places, targets)


def test_a_picture_whose_regions_have_colours(tmp_path):
    path = draw_decision_boundary(Stripes(3), stripes(3), tmp_path / "boundary.png")
    picture = imread(path)
    row = picture[len(picture) // 2]
    colours = {tuple(int(255 * channel) for channel in pixel[:3]) for pixel in row}
    shades = [(191, 219, 236), (247, 230, 191), (191, 230, 220)]  # a quarter of blue, orange and green on white
    for shade in shades:
        assert any(max(abs(a - b) for a, b in zip(shade, colour, strict=True)) <= 2 for colour in colours), shade
    assert list(tmp_path.iterdir()) == [path]


def test_title_axes_and_legend(figure):
    train, test = Points(100), Points(30, seed=1)
    axes = figure(Dense(2, 2), train, test=test)
    assert axes.get_title().startswith("Decision boundary: test error rate 0.")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "y")
    assert [text.get_text() for text in axes.get_legend().get_texts()][:3] == ["below", "above", "test"]
    axes = figure(Stripes(4), stripes(4))
    assert axes.get_title() == "Decision boundary: train error rate 0"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [f"class {index}" for index in range(4)]


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 1, 0)])
def test_a_class_has_one_colour_whatever_the_order_of_the_classes(figure, order):
    classes = tuple(("outside", "inside", "edge")[number] for number in order)
    data = Table(torch.rand(60, 2), torch.arange(60) % 3)
    data.classes, data.columns = classes, ("x", "y")
    wanted = {"edge": BLUE, "inside": ORANGE, "outside": GREEN}
    axes = figure(Stripes(3), data, test=data)
    points = [drawn for drawn in axes.collections if isinstance(drawn, PathCollection)]
    found = [(drawn.get_label(), to_hex(drawn.get_facecolor()[0]).upper()) for drawn in points]
    assert dict(found[:3]) == wanted
    assert [colour for _, colour in found[3:6]] == [wanted[name] for name in classes]  # the test points
    labels = {drawn.get_label().split(" (")[0]: drawn for drawn in _draw(data, None).axes[0].collections}
    assert {name: to_hex(drawn.get_facecolor()[0]).upper() for name, drawn in labels.items()} == wanted


def test_points_of_another_class_are_crossed_out(figure):
    class Half(Module):
        def forward(self, x):
            return torch.stack((0.5 - x[:, 0], x[:, 0] - 0.5), 1), None

    def points(*xs):
        return Table(torch.tensor([[x, 0.5] for x in xs]), torch.tensor([0] * len(xs)))

    axes = figure(Half(), points(0.1, 0.9, 0.2), test=points(0.3, 0.8, 0.7), title="disk-1")
    assert axes.get_title() == "Decision boundary: test error rate 0.6667"
    label = "wrong (1 train, 2 test)"
    assert axes.get_legend().get_texts()[-1].get_text() == label
    (crosses,) = (drawn for drawn in axes.collections if drawn.get_label() == label)
    torch.testing.assert_close(torch.tensor(crosses.get_offsets()[:, 0]).float(), torch.tensor([0.9, 0.8, 0.7]))
    assert axes.figure.get_suptitle() == "disk-1"
    axes = figure(Half(), points(0.1, 0.2))
    assert not any(text.get_text().startswith("wrong") for text in axes.get_legend().get_texts())


def test_axes_are_equal_unless_the_columns_are_of_other_units(figure):
    assert figure(Dense(2, 2), Points(50)).get_aspect() == 1
    wide = Table(torch.randn(50, 2) * torch.tensor([1000.0, 1.0]), torch.arange(50) % 2)
    assert figure(Dense(2, 2), wide).get_aspect() == "auto"


def test_one_class_everywhere(figure):
    net = Dense(2, 2)
    net.weight.value.zero_()
    net.bias.value.copy_(torch.tensor([1.0, 0.0]))
    axes = figure(net, Points(20))
    assert axes.get_title().startswith("Decision boundary: train error rate ")


def test_scores_that_are_not_finite(figure):
    net = Dense(2, 2)
    net.bias.value[1] = torch.inf
    figure(net, Points(20))


def test_more_classes_than_colours(figure):
    axes = figure(Stripes(11), stripes(11, rows=200))
    assert len(axes.get_legend().get_texts()) == 11


def test_what_has_no_boundary(tmp_path):
    with pytest.raises(
        ShapeError, match=r"draw_decision_boundary: data must have two input columns and classes, got inputs of \(1,\)"
    ):
        draw_decision_boundary(Dense(1, 1), Line(5), tmp_path / "boundary.png")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(FileError, match=r"boundary.png: must be writable"):
        draw_decision_boundary(Dense(2, 2), Points(5), tmp_path / "none" / "boundary.png")


def test_an_animation(tmp_path):
    plane = Plane.of(stripes(3))
    frames = [(f"epoch {index}", plane.margins(Stripes(classes))) for index, classes in enumerate((2, 3, 4, 3))]
    path = animate_decision_boundary(plane, frames, tmp_path / "boundary.gif")
    with Image.open(path) as picture:
        assert picture.n_frames == 4
        assert picture.info["loop"] == 0
        durations, seen = [], []
        for index in range(4):
            picture.seek(index)
            durations.append(picture.info["duration"])
            seen.append(picture.convert("RGB").tobytes())
    assert durations == [100, 100, 100, 2000]
    assert len(set(seen)) == 4  # one and three differ in their titles
    assert path.stat().st_size < 200_000
    assert list(tmp_path.iterdir()) == [path]
