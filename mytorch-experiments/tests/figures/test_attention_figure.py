"""The figure of which steps look at which."""

import pytest
import torch
from toy_parts import Dense, Table

from mytorch.core import Detail, Module
from mytorch.experiments.figures import attention_figure
from mytorch.experiments.figures.attention_figure import draw_attention
from mytorch.nn import Embedding, Sequential, TransformerEncoderLayer


@pytest.fixture
def drawn(monkeypatch):
    """The figures in place of their files."""
    found = []
    monkeypatch.setattr(attention_figure, "save", lambda figure, path: found.append(figure) or path)
    return found


def of_tokens(length):
    data = Table(torch.arange(3 * length).reshape(3, length) % 7, torch.zeros(3, length))
    data.tokens = tuple("abcdefg")
    return data


def test_each_layer_has_a_row_and_each_head_a_picture(tmp_path, drawn):
    layers = [TransformerEncoderLayer(8, heads, 16, batch_first=True, is_causal=True) for heads in (2, 4)]
    net = Sequential(Embedding(7, 8), *layers)
    path = draw_attention(net, of_tokens(5), tmp_path / "a.png", "a title")
    (figure,) = drawn
    assert path == tmp_path / "a.png"
    assert [axes.get_title() for axes in figure.axes] == [
        "1.self_attn, head 0", "1.self_attn, head 1", "", "", *(f"2.self_attn, head {head}" for head in range(4))
    ]  # fmt: skip
    first = figure.axes[0]
    assert [text.get_text() for text in first.get_yticklabels()] == [*"abcde"]
    x = net[0](torch.arange(5)[None])
    layers[0].eval()
    (_, weights), _ = layers[0].self_attn.forward(x, is_causal=True, average_attn_weights=False)
    torch.testing.assert_close(torch.from_numpy(first.images[0].get_array().data).float(), weights[0, 0])
    assert net.training
    assert "forward" not in vars(layers[0].self_attn)


def test_a_long_sequence_is_cut_and_a_file_is_written(tmp_path):
    net = Sequential(Embedding(7, 8), TransformerEncoderLayer(8, 2, 16, batch_first=True))
    draw_attention(net, of_tokens(50), tmp_path / "a.png", "a title")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


class Looking(Module):
    """A stranger's layer that tells of steps without heads, and of other things."""

    def forward(self, x):
        return x, None

    def forward_details(self, inputs, output, saved):
        yield Detail("gates", torch.rand(2, 3), ("gate", "step"))
        yield Detail("a text", text=("nothing",))
        yield Detail("looks", torch.rand(2, 3), ("from step", "to step"))


class Failing(Looking):
    def forward_details(self, inputs, output, saved):
        raise RuntimeError("needs two rows")


def test_a_layer_that_cannot_tell_leaves_the_figure_to_the_others(tmp_path, drawn):
    data = Table(torch.randn(4, 3), torch.zeros(4, 1))
    assert draw_attention(Sequential(Failing(), Looking()), data, tmp_path / "a.png", "a title") is not None
    assert len(drawn[0].axes) == 1
    assert draw_attention(Failing(), data, tmp_path / "b.png", "a title") is None


def test_a_stranger_s_layer_is_drawn_and_others_are_not(tmp_path, drawn):
    data = Table(torch.randn(4, 3), torch.zeros(4, 1))
    assert draw_attention(Looking(), data, tmp_path / "a.png", "a title") is not None
    (figure,) = drawn
    assert "from step down, to step to the right" in figure.get_suptitle()
    assert len(figure.axes) == 1
    assert draw_attention(Dense(3, 1), data, tmp_path / "a.png", "a title") is None
