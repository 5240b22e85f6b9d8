"""Text from a run, token by token."""

import pytest
import torch

from mytorch.core import ArgumentError, Module, ShapeError
from mytorch.data import TextFile
from mytorch.experiments import Run, RunError, sample
from mytorch.train import NotFiniteError

TEXT = "abcdefgh é日\n" * 9


class Next(Module):
    """Scores by which each token is followed by the next of the vocabulary; it remembers what it saw."""

    def __init__(self, tokens, sharpness=50.0):
        self.tokens, self.sharpness, self.seen = tokens, sharpness, []

    def forward(self, x):
        self.seen.append(x)
        behind = (x + 1) % self.tokens
        return self.sharpness * torch.nn.functional.one_hot(behind, self.tokens).movedim(-1, 1).float(), None


@pytest.fixture
def made(tmp_path):
    """A run of a text whose model is of the test's making."""

    def make(net=None, **options):
        (tmp_path / "text.txt").write_text(TEXT)
        data = TextFile(tmp_path / "text.txt", 5, **options)
        net = Next(len(data.classes)) if net is None else net
        return Run(tmp_path, net.eval(), None, [], {"outputs": "softmax"}, {"preparation": data.preparation})

    return make


def test_each_token_follows_from_the_last_block_and_is_written_at_once(made):
    run, pieces = made(), []
    characters = TextFile.vocabulary(run.data["preparation"]).characters
    text = sample(run, "ab", 15, write=lambda piece: pieces.append((piece, len(run.net.seen))))
    begin = characters.index("a")
    assert text == "".join(characters[(begin + at) % len(characters)] for at in range(17))
    assert pieces == [("ab", 0), *((letter, calls) for calls, letter in enumerate(text[2:], 1))]
    assert [tuple(x.shape) for x in run.net.seen[:5]] == [(1, 2), (1, 3), (1, 4), (1, 5), (1, 5)]
    assert run.net.seen[-1].tolist() == [TextFile.vocabulary(run.data["preparation"]).encode(text)[-6:-1].tolist()]


@pytest.mark.parametrize("tokens", ["bytes", "byte-pairs"])
def test_characters_of_several_tokens_come_whole(made, tokens):
    if tokens == "byte-pairs":
        pytest.importorskip("tokenizers", reason="tokenizers comes with mytorch-data[text]")
    run, pieces = made(tokens=tokens), []
    vocabulary = TextFile.vocabulary(run.data["preparation"])
    wanted = vocabulary.encode("a日é\nb").tolist()

    class Told(Module):
        def forward(self, x):
            self.at = getattr(self, "at", 0) + 1
            scores = torch.zeros(1, len(vocabulary.names), x.shape[1])
            scores[0, wanted[self.at % len(wanted)], -1] = 99.0
            return scores, None

    run = made(Told(), tokens=tokens)
    text = sample(run, "a", len(wanted) - 1, write=pieces.append)
    assert text == "a日é\nb"
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)
    assert "\ufffd" in sample(made(Told(), tokens="bytes"), "a", 1)  # what is left of a character at the end


def test_temperature_top_k_and_seed_decide_what_is_drawn(made):
    scores = torch.tensor([0.0, 1.0, 2.0, 0.5, 1.5, -1.0, 0.0, 0.2, 0.3, 0.1, 0.0, 3.0])

    class Fixed(Module):
        def forward(self, x):
            return scores.reshape(1, -1, 1).expand(1, 12, x.shape[1]), None

    run = made(Fixed())
    characters = TextFile.vocabulary(run.data["preparation"]).characters

    def shares(**options):
        text = sample(run, "a", 3000, **options)[1:]
        return torch.tensor([text.count(letter) / 3000 for letter in characters])

    torch.testing.assert_close(shares(), scores.softmax(0), rtol=0, atol=0.03)
    torch.testing.assert_close(shares(temperature=0.5, seed=7), (2 * scores).softmax(0), rtol=0, atol=0.03)
    likeliest = scores.where(scores >= 1.5, -torch.inf)
    torch.testing.assert_close(shares(top_k=3), likeliest.softmax(0), rtol=0, atol=0.03)
    assert (
        sample(run, "a", 20, temperature=0.0) == sample(run, "a", 20, temperature=1e-300) == "a" + 20 * characters[11]
    )
    assert sample(run, "a", 20, top_k=10**6, seed=4) == sample(run, "a", 20, seed=4) != sample(run, "a", 20, seed=5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": ""}, "sample: prompt must be a text of at least one character, got ''"),
        ({"prompt": None}, "sample: prompt must be a text of at least one character, got None"),
        (
            {"prompt": "abXXñ"},
            "sample: prompt must be made of the 12 characters of the text of the training, got 2 that are not: 'X'",
        ),
        ({"length": 0}, "sample: length must be a whole number of at least 1, got 0"),
        ({"length": True}, "sample: length must be a whole number of at least 1, got True"),
        ({"temperature": -0.1}, r"sample: temperature must be finite and at least 0, got -0\.1"),
        ({"temperature": float("nan")}, "sample: temperature must be finite and at least 0, got nan"),
        ({"temperature": "hot"}, "sample: temperature must be a number, got 'hot'"),
        ({"top_k": 0}, "sample: top_k must be a whole number of at least 1, got 0"),
        ({"seed": -1}, "sample: seed must be a whole number from 0"),
    ],
)
def test_what_it_refuses(made, arguments, message):
    with pytest.raises(ArgumentError, match=message):
        sample(made(), **{"prompt": "ab", **arguments})


def test_what_is_no_run_of_a_text_is_refused(run, made):
    text = (
        r"must be a run of a text to write one, got a run of a table; mytorch train text-gpt --set data.train.path=FI"
    )
    with pytest.raises(RunError, match=text):
        sample(run, "ab")
    with pytest.raises(RunError, match="must be the folder of a run"):
        sample(run.path.parent, "ab")


def test_outputs_that_are_no_scores_are_told(made):
    class Odd(Module):
        def __init__(self, output):
            self.output = output

        def forward(self, x):
            return self.output, None

    text = (
        r"sample: the model's output must be scores of \(batch, tokens, positions\), \(1, tokens, 2\), got a tensor o"
    )
    with pytest.raises(ShapeError, match=text):
        sample(made(Odd(torch.zeros(1, 12))), "ab")
    with pytest.raises(NotFiniteError, match="sample: every score must be finite, got one that is not"):
        sample(made(Odd(torch.full((1, 12, 2), torch.nan))), "ab")
