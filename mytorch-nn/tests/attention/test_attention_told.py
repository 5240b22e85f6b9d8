"""The weights that attention shows."""

import pytest
import torch

from mytorch.nn import MultiheadAttention

pytestmark = pytest.mark.numbers
HIDDEN = torch.tensor([[False] * 5 + [True], [False] * 6])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"is_causal": True},
        {"key_padding_mask": HIDDEN},
        {"key_padding_mask": HIDDEN, "is_causal": True},
        {"attn_mask": torch.randn(8, 6, 6)},
        {"attn_mask": torch.ones(6, 6, dtype=torch.bool)},
    ],
    ids=["plain", "causal", "padding", "both", "numbers", "all_hidden"],
)
@pytest.mark.parametrize("need_weights", [True, False])
def test_they_are_those_of_the_forward_also_where_the_kernel_holds_none(options, need_weights):
    attention, x = MultiheadAttention(8, 4, batch_first=True, add_zero_attn="both" in options), torch.randn(2, 6, 8)
    output, saved = attention.forward(x, need_weights=need_weights, **options)
    (detail,) = attention.forward_details({"query": x}, output, saved)
    (_, weights), _ = attention.forward(x, average_attn_weights=False, **options)
    torch.testing.assert_close(detail.values, weights[0])
    assert detail.axes == ("head", "query step", "key step")
    key = int(weights[0, 2, -1].argmax())
    assert not weights[0, 2, -1, key] or detail.text[2].startswith(
        f"head 2: query 5 looks most at the keys {key} ({weights[0, 2, -1, key]:.2g})"
    )


def test_extra_keys_and_a_sequence_without_a_batch():
    attention = MultiheadAttention(4, 2, add_bias_kv=True, add_zero_attn=True)
    x = torch.randn(3, 4)
    output, saved = attention.forward(x, need_weights=False)
    (detail,) = attention.forward_details({"query": x}, output, saved)
    assert detail.values.shape == (2, 3, 5)
    torch.testing.assert_close(detail.values.sum(-1), torch.ones(2, 3))


@pytest.mark.parametrize("shape", [(4, 0, 4), (0, 2, 4)])
def test_nothing_to_attend_to_tells_nothing(shape):
    attention, x = MultiheadAttention(4, 2), torch.zeros(shape)
    output, saved = attention.forward(x)
    assert list(attention.forward_details({"query": x}, output, saved)) == []
