"""Word vectors with negative sampling: words that stand in the same company get vectors of the same direction.

The text is made up: sentences such as "the cat eats the fish", with words drawn from groups. For each pair of a word
and a word near it, the product of their vectors is trained to be large, and those with a few random words to be small.
The two tables of vectors are two embeddings; the backward of the product is written out below.

    python examples/word_vectors.py

Result: for all 20 words of the groups the nearest other word is one of its own group.
Source: Mikolov et al. 2013, "Distributed representations of words and phrases and their compositionality"
"""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mytorch.nn import BCEWithLogitsLoss, Embedding
from mytorch.optim import Adam

GROUPS = {
    "animal": ("cat", "dog", "fox", "owl", "hen"),
    "food": ("fish", "corn", "bread", "seeds", "meat"),
    "vehicle": ("car", "bus", "train", "ship", "bike"),
    "place": ("harbour", "station", "street", "bridge", "city"),
}
SENTENCES = (("animal", "eats", "food"), ("vehicle", "reaches", "place"))
WORDS = [*(word for group in GROUPS.values() for word in group), "the", "eats", "reaches"]
INDEX = {word: place for place, word in enumerate(WORDS)}
DIM, WINDOW, NEGATIVES, BATCH, EPOCHS = 16, 3, 5, 256, 10


def text(sentences: int) -> list[list[int]]:
    """Sentences as the indices of their words."""
    found = []
    for _ in range(sentences):
        first, verb, last = SENTENCES[int(torch.randint(len(SENTENCES), ()))]
        subject, thing = (GROUPS[group][int(torch.randint(5, ()))] for group in (first, last))
        found.append([INDEX[word] for word in ("the", subject, verb, "the", thing)])
    return found


def pairs(sentences: list[list[int]]) -> Tensor:
    """Each word with each word near it: (pairs, 2)."""
    return torch.tensor(
        [
            (word, sentence[near])
            for sentence in sentences
            for place, word in enumerate(sentence)
            for near in range(max(0, place - WINDOW), min(len(sentence), place + WINDOW + 1))
            if near != place
        ]
    )


def train_step(centres: Embedding, contexts: Embedding, optimizer, words: Tensor, near: Tensor) -> float:
    """One step: the word near it first, and random words beside it. Returns the loss."""
    others = torch.randint(len(WORDS), (len(words), NEGATIVES))
    wanted = torch.cat((torch.ones(len(words), 1), torch.zeros(len(words), NEGATIVES)), 1)
    loss = BCEWithLogitsLoss()
    u, saved_by_centres = centres.forward(words)  # (batch, dim)
    v, saved_by_contexts = contexts.forward(torch.cat((near[:, None], others), 1))  # (batch, 1 + negatives, dim)
    scores = (v @ u[:, :, None])[:, :, 0]  # scores[i, j] = sum over d of v[i, j, d] * u[i, d]
    value, saved_by_loss = loss.forward(scores, wanted)
    d_scores = loss.backward(len(words), saved_by_loss)  # a sum over the pairs, since each word is in few of them
    contexts.backward(d_scores[:, :, None] * u[:, None, :], saved_by_contexts)
    centres.backward((d_scores[:, None, :] @ v)[:, 0, :], saved_by_centres)
    optimizer.step()
    optimizer.zero_grad()
    return float(value)


def nearest(vectors: Tensor) -> dict[str, str]:
    """For each word of a group the word whose vector has the most similar direction."""
    grouped = sum(map(len, GROUPS.values()))
    directions = normalize(vectors[:grouped])
    similar = (directions @ directions.T).fill_diagonal_(-1.0)
    return {WORDS[place]: WORDS[int(best)] for place, best in enumerate(similar.argmax(1))}


def main(seed: int = 0) -> float:
    """Train. Returns the share of words whose nearest word is of their own group."""
    torch.manual_seed(seed)
    centres, contexts = Embedding(len(WORDS), DIM), Embedding(len(WORDS), DIM)
    optimizer = Adam([*centres.param(), *contexts.param()], lr=0.01)
    company = pairs(text(3000))
    with torch.inference_mode():
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(company)).split(BATCH):
                value = train_step(centres, contexts, optimizer, *company[rows].T)
        found = nearest(centres.weight.value)
    group_of = {word: group for group, words in GROUPS.items() for word in words}
    right = sum(group_of[word] == group_of[other] for word, other in found.items()) / len(found)
    print(f"loss {value:.3f};  " + ", ".join(f"{word}: {found[word]}" for word in ("cat", "bread", "ship", "city")))
    print(f"{right:.0%} of the words have a nearest word of their own group")
    return right


if __name__ == "__main__":
    main()
