import pytest
import torch

from mytorch.core import ArgumentError, DtypeError, ShapeError
from mytorch.nn import CosineSimilarity, PairwiseDistance
from mytorch.testing import check_layer

each_layer = pytest.mark.parametrize("layer", [PairwiseDistance, CosineSimilarity], ids=lambda layer: layer.__name__)


@pytest.mark.parametrize("p", [0.0, 0.5, 1.0, 2.0, 3.0, float("inf")])
def test_the_distance_of_equal_vectors_as_torch(agree, p):
    x = torch.randn(4, 3)
    other = x.clone()
    other[1:, 1] += 1.0
    agree(PairwiseDistance(p, eps=0.0), torch.nn.PairwiseDistance(p, eps=0.0), x, other)


def test_equal_largest_differences_share_the_gradient(agree):
    x1, x2 = torch.tensor([[2.0, -2.0, 1.0]]), torch.zeros(1, 3)
    agree(PairwiseDistance(float("inf"), eps=0.0), torch.nn.PairwiseDistance(float("inf"), eps=0.0), x1, x2)


def test_the_cosine_of_a_vector_of_zeros(agree):
    x1, x2 = torch.randn(3, 4), torch.randn(3, 4)
    x1[0] = x2[1] = 0
    agree(CosineSimilarity(), torch.nn.CosineSimilarity(), x1, x2)


@pytest.mark.parametrize("p", [1.0, 1.5, 3.0, float("inf")])
def test_the_contract_of_distances(p):
    check_layer(lambda: PairwiseDistance(p, keepdim=True), (4, 3), (4, 3))


def test_the_contract_of_short_vectors():
    """Lengths below eps count as constants: the derivative of the formula, where torch's differs."""
    short = 0.1 * torch.rand(4, 3)
    check_layer(lambda: CosineSimilarity(eps=1.0), short, (4, 3), tags=("fixed_dimensions",))


@each_layer
@pytest.mark.parametrize("shapes", [((5, 3), (4, 3)), ((5, 3), (5, 2)), ((), ())], ids=str)
def test_shapes_that_do_not_fit(layer, shapes):
    with pytest.raises(
        ShapeError, match=f"{layer.__name__}: x2 must have the shape of x1 or one that broadcasts with it"
    ):
        layer().forward(*map(torch.randn, shapes))


@each_layer
def test_dtypes_that_do_not_fit(layer):
    x, name = torch.ones(2, 3), layer.__name__
    with pytest.raises(DtypeError, match=f"{name}: x1 must be floating point, got torch.int64"):
        layer().forward(x.long(), x)
    with pytest.raises(DtypeError, match=f"{name}: x2 must have the dtype of x1, torch.float32, got torch.float64"):
        layer().forward(x, x.double())
    y, saved = layer().forward(x, x)
    with pytest.raises(DtypeError, match=f"{name}: d_y must have the dtype"):
        layer().backward(y.double(), saved)


@each_layer
def test_an_upstream_gradient_of_another_shape(layer):
    _, saved = layer().forward(torch.randn(5, 3), torch.randn(5, 3))
    for wrong in [(), (1,), (5, 1), (4,)]:
        with pytest.raises(ShapeError, match=f"{layer.__name__}: d_y must have the shape of the output"):
            layer().backward(torch.randn(wrong), saved)


@each_layer
def test_without_input_gradients(layer):
    model = layer()
    model.input_grad = False
    y, saved = model.forward(torch.randn(5, 3), torch.randn(5, 3))
    assert model.backward(y, saved) == (None, None)


@pytest.mark.parametrize("shapes", [((0,), (0,)), ((2, 0), (2, 1)), ((0, 3, 0), (3, 0))], ids=str)
def test_vectors_without_numbers(agree, shapes):
    for p in (0.0, 0.5, 2.0):
        agree(PairwiseDistance(p), torch.nn.PairwiseDistance(p), *map(torch.randn, shapes))
    for p in (float("inf"), -1.0, -float("inf")):
        text = f"PairwiseDistance: x1 and x2 must have a number in their last axis for p = {p:g}, got "
        with pytest.raises(
            ShapeError, match=f"^{text}.*; without numbers, the distance is 0 for a finite p of at lea"
        ):
            PairwiseDistance(p).forward(*map(torch.randn, shapes))


def test_an_axis_that_is_not_there():
    with pytest.raises(ShapeError, match=r"CosineSimilarity: x1 and x2 must have an axis 2, got \(5, 3\) of both"):
        CosineSimilarity(2).forward(torch.randn(5, 3), torch.randn(5, 3))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: PairwiseDistance("2"), "PairwiseDistance: p must be a number, got '2'"),
        (lambda: PairwiseDistance(float("nan")), "PairwiseDistance: p must be at least -inf, got nan"),
        (lambda: PairwiseDistance(eps=None), "PairwiseDistance: eps must be a number, got None"),
        (lambda: CosineSimilarity(1.0), "CosineSimilarity: dim must be a whole number, got 1.0"),
        (lambda: CosineSimilarity(eps=-1.0), "CosineSimilarity: eps must be at least 0, got -1.0"),
    ],
)
def test_arguments_that_do_not_fit(make, text):
    with pytest.raises(ArgumentError) as caught:
        make()
    assert str(caught.value) == text


def test_the_saved_value_of_another_layer():
    y, saved = PairwiseDistance(1.0).forward(torch.randn(5, 3), torch.randn(5, 3))
    with pytest.raises(ArgumentError, match=r"PairwiseDistance: saved must be that of a layer with p 2\.0, got"):
        PairwiseDistance().backward(y, saved)
    y, saved = CosineSimilarity(0).forward(torch.randn(3, 3), torch.randn(3, 3))
    with pytest.raises(ArgumentError, match="CosineSimilarity: saved must be that of a layer with dim -1, got"):
        CosineSimilarity(1).backward(y, saved)
