"""MultiheadAttention agrees with torch's, by the kernel and by products, and refuses what does not fit."""

import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mytorch.core import ArgumentError, AutogradError, Directions, DtypeError, ShapeError, StateError
from mytorch.nn import MultiheadAttention
from mytorch.testing import check_layer


def pair(**options):
    """A layer and its twin with the same random weights, in float64."""
    ours, twin = MultiheadAttention(6, 2, **options), torch.nn.MultiheadAttention(6, 2, **options)
    ours.double(), twin.double()
    for parameter in twin.parameters():
        torch.nn.init.normal_(parameter)
    ours.load_state_dict(twin.state_dict())
    return ours, twin


def same(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize(
    ("passed", "options"),
    [(passed, {}) for passed in ("x", "x x", "x x x", "x m", "x m m", "x x m", "x m x")]
    + [("x", {"add_bias_kv": True}), ("x m", {"kdim": 4, "vdim": 4}), ("x m m", {"kdim": 4, "vdim": 4})],
)
def test_one_tensor_in_several_places(passed, need_weights, options):
    """However often a tensor comes, each place gets its own gradient, and together they are torch's."""
    ours, twin = pair(**options)
    names = passed.split()
    named = {"x": torch.randn(3, 2, 6).double(), "m": torch.randn(3, 2, options.get("kdim", 6)).double()}
    theirs = {name: value.clone().requires_grad_() for name, value in named.items()}
    full = [*names, *names[-1:] * (3 - len(names))]
    expected, _ = twin(*(theirs[name] for name in full), need_weights=need_weights)
    (output, _), saved = ours.forward(*(named[name] for name in names), need_weights=need_weights)
    same(output, expected.detach())
    d_output = torch.randn_like(output)
    expected.backward(d_output)
    d_inputs = ours.backward((d_output, None), saved)
    sums = dict.fromkeys(names, 0)
    for name, d_input in zip(names, (d_inputs,) if len(names) == 1 else d_inputs, strict=True):
        sums[name] = sums[name] + d_input
    for name, total in sums.items():
        same(total, theirs[name].grad)
    for parameter, its in zip(ours.param(), twin.parameters(), strict=True):
        same(parameter.grad, its.grad)


@pytest.mark.parametrize("need_weights", [True, False])
def test_one_tensor_in_several_places_changes_at_each_as_copies_do(need_weights):
    ours, _ = pair()
    x, d, t_d = (torch.randn(3, 2, 6).double() for _ in range(3))
    t_inputs, found = tuple(torch.randn(3, 2, 6).double() for _ in range(3)), []
    along = Directions({parameter: torch.randn_like(parameter.value) for parameter in ours.param()})
    for given_inputs in ((x, x, x), (x, x.clone(), x.clone())):
        ours.zero_grad()
        _, saved = ours.forward(*given_inputs, need_weights=need_weights)
        t_output, t_saved = ours.tangent(t_inputs, saved, along)
        d_inputs = ours.backward_tangent((d, None), (t_d, None), saved, t_saved, along)
        found.append((t_output, d_inputs, [parameter.grad for parameter in ours.param()]))
    same(found[0], found[1])


@pytest.mark.parametrize("need_weights", [True, False])
def test_a_query_that_may_look_at_no_key_changes_by_the_last_bias_alone(need_weights):
    ours, _ = pair()
    x, t_x, d, t_d = (torch.randn(3, 2, 6).double() for _ in range(4))
    mask = torch.zeros(3, 3, dtype=torch.bool)
    mask[1] = True
    along = Directions({parameter: torch.randn_like(parameter.value) for parameter in ours.param()})
    _, saved = ours.forward(x, attn_mask=mask, need_weights=need_weights)
    (t_y, _), t_saved = ours.tangent(t_x, saved, along)
    same(t_y[1], along[ours.out_proj.bias].expand(2, 6))
    assert t_y.isfinite().all()
    for gradient in ours.backward_tangent((d, None), (t_d, None), saved, t_saved, along):
        assert gradient.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_changes_in_half_precision_where_scores_have_no_room_in_it(dtype):
    """The kernel computes in float32 inside, and so do the changes: scores of up to a million are no matter."""
    torch.manual_seed(0)
    ours, found = MultiheadAttention(6, 2).to(dtype), []
    x, t_x, d, t_d = (scale * torch.randn(3, 2, 6).to(dtype) for scale in (1000, 1, 1, 1))
    moved = {parameter: torch.randn_like(parameter.value) for parameter in ours.param()}
    for wide in (False, True):
        ours.zero_grad()
        if wide:
            x, t_x, d, t_d = (each.double() for each in (x, t_x, d, t_d))
            ours, moved = ours.double(), {parameter: direction.double() for parameter, direction in moved.items()}
        _, saved = ours.forward(x, need_weights=False)
        (t_y, _), t_saved = ours.tangent(t_x, saved, Directions(moved))
        d_x, t_d_x = ours.backward_tangent((d, None), (t_d, None), saved, t_saved, Directions(moved))
        found.append([t_y, d_x, t_d_x, *(parameter.grad for parameter in ours.param())])
    for half, exact in zip(*found, strict=True):
        assert half.dtype is dtype
        torch.testing.assert_close(half.double(), exact, rtol=0, atol=0.05 * float(exact.abs().max()) + 0.05)


@given(data=st.data())
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_kernel_computes_what_the_products_do(dtype, data):
    """Which of them runs depends on whether weights are wanted; also causal, and with rows that see nothing."""
    ours = MultiheadAttention(
        6, data.draw(st.integers(1, 3)) if data.draw(st.booleans()) else 6, add_zero_attn=data.draw(st.booleans())
    ).to(dtype)
    query, memory = torch.randn(4, 2, 6, dtype=dtype), torch.randn(data.draw(st.integers(1, 6)), 2, 6, dtype=dtype)
    options = {"is_causal": data.draw(st.booleans())}
    if data.draw(st.booleans()):
        options["key_padding_mask"] = torch.rand(2, len(memory)) > 0.4
    if data.draw(st.booleans()):
        options["attn_mask"] = torch.rand(4, len(memory)) > 0.4
    d_output, results = torch.randn_like(query), []
    for need_weights in (True, False):
        ours.zero_grad()
        (output, weights), saved = ours.forward(query, memory, need_weights=need_weights, **options)
        assert (weights is not None) is need_weights
        d_inputs = ours.backward((d_output, None), saved)
        results.append([output, *d_inputs, *(parameter.grad for parameter in ours.param())])
    tolerance = {"rtol": 1e-9, "atol": 1e-9} if dtype is torch.float64 else {"rtol": 1e-4, "atol": 1e-5}
    for by_products, by_kernel in zip(*results, strict=True):
        assert by_kernel.isfinite().all()
        torch.testing.assert_close(by_kernel, by_products, **tolerance)


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("given_mask", [True, False])
def test_is_causal(need_weights, padded, given_mask):
    """It hides what comes later, with or without the mask that torch asks for beside it."""
    ours, twin = pair()
    x = torch.randn(5, 2, 6).double()
    later = torch.ones(5, 5, dtype=torch.bool).triu(1)
    options = {"key_padding_mask": torch.tensor([[0, 0, 0, 1, 1], [0] * 5]).bool()} if padded else {}
    expected, weights = twin(x, x, x, attn_mask=later, need_weights=need_weights, **options)
    given_masks = {"attn_mask": later} if given_mask else {}
    (output, its_weights), _ = ours.forward(x, is_causal=True, need_weights=need_weights, **given_masks, **options)
    same(output, expected.detach())
    if need_weights:
        same(its_weights, weights.detach())


@pytest.mark.parametrize("need_weights", [True, False])
def test_extra_keys_are_seen_by_every_query_of_a_causal_layer(need_weights):
    ours, twin = pair(add_bias_kv=True, add_zero_attn=True)
    x = torch.randn(5, 2, 6).double()
    later = torch.ones(5, 5, dtype=torch.bool).triu(1)
    same(
        ours(x, is_causal=True, need_weights=need_weights)[0],
        twin(x, x, x, attn_mask=later, need_weights=need_weights)[0].detach(),
    )


@pytest.mark.parametrize("need_weights", [True, False])
def test_a_query_that_may_look_at_no_key(need_weights):
    """Its output is the bias of the last projection, and no gradient passes through its weights."""
    ours, _ = pair()
    hidden = torch.zeros(3, 3, dtype=torch.bool)
    hidden[1] = True
    x = torch.randn(3, 1, 6).double()
    (output, weights), saved = ours.forward(x, x, x, attn_mask=hidden, need_weights=need_weights)
    same(output[1, 0], ours.out_proj.bias.value)
    if need_weights:
        assert not weights[0, 1].any()
    d_query, _, _ = ours.backward((torch.randn_like(output), None), saved)
    assert not d_query[1].any()
    assert all(parameter.grad.isfinite().all() for parameter in ours.param())


@pytest.mark.parametrize("used", ["output", "weights", "both"])
def test_outputs_that_are_not_used(used):
    ours, twin = pair(add_bias_kv=True)
    x = torch.randn(3, 2, 6).double()
    theirs = x.clone().requires_grad_()
    expected = twin(theirs, theirs, theirs)
    (output, weights), saved = ours.forward(x)
    d_output = torch.randn_like(output) if used != "weights" else None
    d_weights = torch.randn_like(weights) if used != "output" else None
    pairs = [(value, d) for value, d in zip(expected, (d_output, d_weights), strict=True) if d is not None]
    torch.autograd.backward(*zip(*pairs, strict=True))
    same(ours.backward((d_output, d_weights), saved), theirs.grad)
    for parameter, its in zip(ours.param(), twin.parameters(), strict=True):
        same(parameter.grad, torch.zeros_like(its) if its.grad is None else its.grad)


@pytest.mark.parametrize("need_weights", [True, False])
def test_dropout_draws_as_torch(need_weights):
    ours, twin = pair(dropout=0.4)
    x = torch.randn(3, 2, 6).double()
    theirs = x.clone().requires_grad_()
    torch.manual_seed(1)
    expected, its_weights = twin(theirs, theirs, theirs, need_weights=need_weights)
    torch.manual_seed(1)
    (output, weights), saved = ours.forward(x, need_weights=need_weights)
    same(output, expected.detach())
    if need_weights:
        same(weights, its_weights.detach())
    d_output = torch.randn_like(output)
    expected.backward(d_output)
    ours.eval()  # the backward is that of the forward, whatever the mode is by then
    same(ours.backward((d_output, None), saved), theirs.grad)


def test_the_weights_are_drawn_as_torch_draws_them():
    for options in ({}, {"add_bias_kv": True}, {"kdim": 4, "vdim": 3, "bias": False}):
        torch.manual_seed(3)
        ours = MultiheadAttention(6, 2, **options)
        torch.manual_seed(3)
        twin = torch.nn.MultiheadAttention(6, 2, **options)
        state = twin.state_dict()
        assert list(ours.state_dict()) == list(state)
        for name, value in ours.state_dict().items():
            assert torch.equal(value, state[name]), name


@pytest.mark.parametrize("need_weights", [True, False])
def test_half_precision(need_weights):
    layer = MultiheadAttention(8, 2)
    x, d_y = torch.randn(5, 2, 8).bfloat16(), torch.randn(5, 2, 8).bfloat16()
    results = []
    for dtype in (torch.bfloat16, torch.float32):
        layer.to(dtype).zero_grad()
        (y, _), saved = layer.forward(x.to(dtype), need_weights=need_weights)
        d_x = layer.backward((d_y.to(dtype), None), saved)
        assert y.dtype is d_x.dtype is dtype
        results.append([y.float(), d_x.float(), *(parameter.grad.float() for parameter in layer.param())])
    for half, full in zip(*results, strict=True):
        torch.testing.assert_close(half, full, rtol=0.05, atol=0.1)


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize(("queries", "keys", "batch"), [(3, 4, 0), (0, 4, 2), (3, 0, 2)])
def test_nothing(queries, keys, batch, need_weights):
    """No rows, no queries; and no keys, to which nobody attends."""
    layer = MultiheadAttention(6, 2)
    (y, _), saved = layer.forward(
        torch.randn(queries, batch, 6), torch.randn(keys, batch, 6), need_weights=need_weights
    )
    assert y.shape == (queries, batch, 6)
    assert [d.shape for d in layer.backward((torch.randn_like(y), None), saved)] == [
        (queries, batch, 6),
        (keys, batch, 6),
    ]


@pytest.mark.parametrize("need_weights", [True, False])
def test_the_meta_device(need_weights):
    layer = MultiheadAttention(6, 2, device="meta")
    x = torch.empty(3, 2, 6, device="meta")
    (y, _), saved = layer.forward(x, need_weights=need_weights, is_causal=True)
    assert layer.backward((y, None), saved).shape == x.shape


@pytest.mark.parametrize("options", [{}, {"add_bias_kv": True, "add_zero_attn": True}, {"kdim": 3, "vdim": 4}])
@pytest.mark.parametrize("forward", [{"need_weights": False}, {"is_causal": True, "average_attn_weights": False}])
def test_the_contract(options, forward):
    layer = MultiheadAttention(6, 2, **options)
    check_layer(
        lambda: MultiheadAttention(6, 2, **options),
        (3, 2, 6),
        (5, 2, layer.kdim),
        (5, 2, layer.vdim),
        options=forward,
        tags=("sequence_first", "fixed_dimensions"),
        opt_out={"optional_inputs": "a query cannot stand for a key of another size"} if "kdim" in options else {},
    )


def test_the_contract_with_the_batch_first_and_masks():
    check_layer(
        lambda: MultiheadAttention(4, 2, batch_first=True),
        (2, 5, 4),
        options={"key_padding_mask": torch.tensor([[0, 0, 0, 1, 1], [0] * 5]).bool(), "is_causal": True},
        tags=("fixed_dimensions",),
    )


@pytest.mark.parametrize("passed", [1, 2, 3])
def test_input_grad_false(passed):
    layer = MultiheadAttention(6, 2)
    x = torch.randn(3, 2, 6)
    layer.input_grad = False
    (y, _), saved = layer.forward(*(x.clone() for _ in range(passed)))
    assert layer.backward((y, None), saved) is None
    assert all(parameter.grad is not None for parameter in layer.param())


X = torch.zeros(3, 2, 6)
MASK = torch.zeros(3, 3, dtype=torch.bool)


@pytest.mark.parametrize(
    ("inputs", "options", "error", "text"),
    [
        ((X[0, 0],), {}, ShapeError, "query must have 2 or 3 axes, got 1 in (6,)"),
        ((X[..., :4],), {}, ShapeError, "last axis of query must be 6, got 4 in a tensor of (3, 2, 4)"),
        ((X, X[..., :4]), {}, ShapeError, "last axis of key must be 6, got 4"),
        ((X, X[:, 0]), {}, ShapeError, "key must have the batch of query, (3, 2, 6) with the batch as axis 1, got"),
        ((X, X[:, :1]), {}, ShapeError, "key must have the batch of query, (3, 2, 6) with the batch as axis 1, got"),
        ((X, X, X[:2]), {}, ShapeError, "value must have the length and batch of key, (3, 2, 6), got (2, 2, 6)"),
        ((X, None, X), {}, ArgumentError, "key must be given with value, got None"),
        ((X.double(),), {}, DtypeError, "query must have the dtype of the parameters, torch.float32, got torch.floa"),
        ((X, X.long()), {}, DtypeError, "key must have the dtype of the parameters, torch.float32, got torch.int64"),
        ((X.tolist(),), {}, ArgumentError, "query must be a tensor, got a list"),
        ((X, X.numpy()), {}, ArgumentError, "key must be a tensor, got a NumPy array"),
        ((X.clone().requires_grad_(),), {}, AutogradError, "query must not require grad"),
        ((X,), {"attn_mask": MASK[:2]}, ShapeError, "attn_mask must have the shape (3, 3) or (4, 3, 3), got (2, 3)"),
        ((X,), {"attn_mask": MASK.expand(2, 3, 3)}, ShapeError, "attn_mask must have the shape (3, 3) or (4, 3, 3),"),
        (
            (X,),
            {"attn_mask": MASK.long()},
            DtypeError,
            "attn_mask must be Boolean, True where attention is not allowed, or",
        ),
        ((X,), {"attn_mask": [[True]]}, ArgumentError, "attn_mask must be a tensor, got a list"),
        ((X,), {"key_padding_mask": MASK}, ShapeError, "key_padding_mask must have the shape (2, 3), got (3, 3)"),
        ((X[:, 0],), {"key_padding_mask": MASK}, ShapeError, "key_padding_mask must have the shape (3,), got (3, 3)"),
    ],
)
def test_inputs_that_do_not_fit(inputs, options, error, text):
    for need_weights in (True, False):
        with pytest.raises(error) as caught:
            MultiheadAttention(6, 2).forward(*inputs, need_weights=need_weights, **options)
        assert str(caught.value).startswith(f"MultiheadAttention: {text}")


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        ((6, 4), {}, "num_heads must divide embed_dim, 6, got 4"),
        ((6, 0), {}, "num_heads must be a whole number of at least 1, got 0"),
        ((0, 1), {}, "embed_dim must be a whole number of at least 1, got 0"),
        ((6, 2), {"kdim": 0}, "kdim must be a whole number of at least 1, got 0"),
        ((6, 2), {"vdim": 2.0}, "vdim must be a whole number of at least 1, got 2.0"),
        ((6, 2), {"dtype": torch.int64}, "dtype must be floating point"),
    ],
)
def test_arguments_that_do_not_fit(arguments, options, text):
    with pytest.raises(ArgumentError) as caught:
        MultiheadAttention(*arguments, **options)
    assert str(caught.value).startswith(f"MultiheadAttention: {text}")


@pytest.mark.parametrize("need_weights", [True, False])
def test_upstream_gradients_that_do_not_fit(need_weights):
    layer = MultiheadAttention(6, 2)
    (y, weights), saved = layer.forward(X, need_weights=need_weights)
    for d_y in (y[:2], y[0], y.mT, 1.0):
        with pytest.raises(ShapeError, match="MultiheadAttention: d_attn_output must have the shape of the output"):
            layer.backward((d_y, None), saved)
    with pytest.raises(ShapeError, match="MultiheadAttention: d_output must be a tuple of two, the gradients of attn"):
        layer.backward(y, saved)
    with pytest.raises(DtypeError, match="MultiheadAttention: d_attn_output must have the dtype of the parameters"):
        layer.backward((y.double(), None), saved)
    if need_weights:
        with pytest.raises(ShapeError, match="MultiheadAttention: d_attn_weights must have the shape of the output"):
            layer.backward((y, weights[:, :2]), saved)
    else:
        with pytest.raises(ArgumentError, match="d_attn_weights must be None without need_weights, got a gradient"):
            layer.backward((y, torch.zeros(2, 3, 3)), saved)


@pytest.mark.parametrize(
    "other",
    [
        lambda: MultiheadAttention(4, 2),
        lambda: MultiheadAttention(6, 3),
        lambda: MultiheadAttention(6, 2, add_bias_kv=True),
        lambda: MultiheadAttention(6, 2, add_zero_attn=True),
        lambda: MultiheadAttention(6, 2, batch_first=True),
    ],
)
def test_the_saved_value_of_another_layer(other):
    (y, _), saved = other().forward(torch.zeros(3, 2, other().embed_dim))
    with pytest.raises(ArgumentError, match="MultiheadAttention: saved must be that of a layer with the same embed"):
        MultiheadAttention(6, 2).backward((y, None), saved)
    with pytest.raises(ArgumentError, match="MultiheadAttention: saved must be a Saved, as its own forward returned"):
        MultiheadAttention(6, 2).backward((y, None), y)


@pytest.mark.parametrize("options", [{}, {"dropout": 0.5}, {"add_bias_kv": True, "batch_first": True}])
@pytest.mark.parametrize("need_weights", [True, False])
def test_a_backward_after_the_gradients_of_samples_is_that_of_its_own_d_output(need_weights, options):
    layer, x = pair(**options)[0], torch.randn(3, 2, 6).double()
    torch.manual_seed(0)
    output, _ = layer.forward(x, need_weights=need_weights)
    of_one, of_other = (tuple(None if y is None else torch.randn_like(y) for y in output) for _ in range(2))

    def found(asked, answered):
        torch.manual_seed(0)  # so that dropout draws the same
        layer.zero_grad()
        _, saved = layer.forward(x, need_weights=need_weights)
        if asked is not None:
            layer.sample_gradients(asked, saved, 0 if layer.batch_first else 1)
        return layer.backward(answered, saved), {name: p.grad.clone() for name, p in layer.named_param()}

    same(found(of_one, of_one), found(None, of_one))
    same(found(of_other, of_one), found(None, of_one))


@pytest.mark.parametrize("need_weights", [True, False])
def test_a_saved_value_that_is_used_twice(need_weights):
    layer = MultiheadAttention(6, 2)
    (y, _), saved = layer.forward(X, need_weights=need_weights)
    layer.backward((y, None), saved)
    with pytest.raises(
        StateError, match="MultiheadAttention: saved must be that of a forward that no backward has an"
    ):
        layer.backward((y, None), saved)


STRANGE = """
import itertools
import torch
from mytorch.nn import MultiheadAttention

def upstreams(shape):
    one, two, three = shape
    yield torch.randn(shape)
    yield torch.randn(1, 1, three).expand(shape)
    yield torch.randn(1, 1, 1).expand(shape)
    yield torch.randn(two, one, three).transpose(0, 1)
    yield torch.randn(three, two, one).permute(2, 1, 0)
    yield torch.randn(one, two, 2 * three)[:, :, ::2]

for weights, first, extra, batch in itertools.product((False, True), (False, True), (False, True), (0, 1, 3)):
    torch.manual_seed(0)
    layer = MultiheadAttention(8, 2, batch_first=first, add_bias_kv=extra, add_zero_attn=extra)
    shape = (batch, 5, 8) if first else (5, batch, 8)
    x = torch.randn(shape)
    for d in upstreams(shape):
        found = []
        for d_output, samples in (((d, None), False), ((d.clone(), None), True)):
            _, saved = layer.forward(x, need_weights=weights)
            if samples:
                layer.sample_gradients(d_output, saved, 0 if first else 1)
            d_x = layer.backward(d_output, saved)
            found.append((d_x, {name: parameter.grad for name, parameter in layer.named_param()}))
            layer.zero_grad()
        _, saved = layer.forward(x, need_weights=weights)
        stated = layer.sample_gradients((d, None), saved, 0 if first else 1)
        torch.testing.assert_close(found[1], found[0])
        for name, each in stated.items():
            values = each.each()
            assert len(values) == batch and len(each.squared_norms()) == batch
            torch.testing.assert_close(values.sum(0), found[0][1][name], rtol=1e-4, atol=1e-5)
print("all")
"""


def test_gradients_of_samples_for_upstreams_of_any_strides_and_no_rows():
    """In a process that a kernel may end; the backward after them, which computes nothing again, gives the same."""
    process = subprocess.run([sys.executable, "-c", STRANGE], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout) == (0, "all\n"), process.stderr[-2000:]
