"""Reinforcement learning by policy gradient (REINFORCE), in an environment of this file.

A walker on a field of 6 by 6 squares starts anywhere; an episode ends at the goal in one corner, or in a pit. The
network gives a score to each of four moves, and moves are drawn with the probabilities that these scores mean. Moves
after which more was gained than usual become more likely: the gradient of a move's cross-entropy is multiplied by its
advantage, which is the upstream gradient of a loss without reduction.

    python examples/policy_gradient.py

Result: about 1 in 10 episodes reaches the goal before training, and nearly all of them afterwards.
Source: Williams 1992, "Simple statistical gradient-following algorithms for connectionist reinforcement learning"
"""

import torch
from torch import Tensor

from mytorch.nn import CrossEntropyLoss, Linear, Sequential, Tanh
from mytorch.optim import Adam

SIZE, EPISODES, UPDATES, LONGEST, DISCOUNT = 6, 64, 200, 30, 0.95
MOVES = torch.tensor([[0, 1], [0, -1], [1, 0], [-1, 0]])
GOAL, PIT = torch.tensor([SIZE - 1, SIZE - 1]), torch.tensor([2, 3])


class Field:
    """Many walkers at once; each has an episode of its own."""

    def __init__(self, walkers: int) -> None:
        self.places = torch.randint(SIZE, (walkers, 2))
        self.running = ~(self._at(GOAL) | self._at(PIT))

    def _at(self, place: Tensor) -> Tensor:
        return (self.places == place).all(1)

    def seen(self) -> Tensor:
        """What a walker knows, its row and its column: (walkers, 2 * SIZE), zeros and ones."""
        return torch.nn.functional.one_hot(self.places, SIZE).flatten(1).float()

    def step(self, moves: Tensor) -> Tensor:
        """Move all walkers whose episode goes on. Returns the rewards: 1 at the goal, -1 in the pit, else -0.02."""
        moved = (self.places + MOVES[moves]).clamp(0, SIZE - 1)
        self.places = torch.where(self.running[:, None], moved, self.places)
        goal, pit = self._at(GOAL), self._at(PIT)
        rewards = torch.where(self.running, goal.float() - pit.float() - 0.02, 0.0)
        self.running = self.running & ~goal & ~pit
        return rewards


def play(net, walkers: int) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor], Tensor]:
    """Play episodes to their end. Returns, step by step, what was seen, the moves, the rewards and who still played;
    and who reached the goal.
    """
    field = Field(walkers)
    started = field.running
    seen, moves, rewards, playing = [], [], [], []
    while field.running.any() and len(seen) < LONGEST:
        seen.append(field.seen())
        playing.append(field.running)
        moves.append(torch.multinomial(net(seen[-1]).softmax(1), 1)[:, 0])
        rewards.append(field.step(moves[-1]))
    return seen, moves, rewards, playing, field._at(GOAL)[started]


def advantages(rewards: list[Tensor], playing: Tensor) -> Tensor:
    """For each move the discounted sum of the rewards that follow it, shifted to mean 0 and scaled to deviation 1."""
    following, total = [], torch.zeros_like(rewards[0])
    for reward in reversed(rewards):
        total = reward + DISCOUNT * total
        following.append(total)
    gained = torch.stack(following[::-1])[playing]
    return (gained - gained.mean()) / (gained.std() + 1e-6)


def improve(net, optimizer) -> None:
    """One update from a batch of episodes."""
    seen, moves, rewards, playing, _ = play(net, EPISODES)
    kept = torch.stack(playing)
    loss = CrossEntropyLoss(reduction="none")  # minus the log of the probability of each move that was made
    scores, saved = net.forward(torch.stack(seen)[kept])
    _, saved_by_loss = loss.forward(scores, torch.stack(moves)[kept])
    weights = advantages(rewards, kept) / EPISODES
    net.backward(loss.backward(weights, saved_by_loss), saved)
    optimizer.step()
    optimizer.zero_grad()


def main(seed: int = 0) -> tuple[float, float]:
    """Train. Returns the share of episodes that reach the goal before and afterwards."""
    torch.manual_seed(seed)
    net = Sequential(Linear(2 * SIZE, 32), Tanh(), Linear(32, len(MOVES)))
    optimizer = Adam(net.param(), lr=0.02)
    with torch.inference_mode():
        before = float(play(net, 500)[-1].float().mean())
        for _ in range(UPDATES):
            improve(net, optimizer)
        after = float(play(net, 500)[-1].float().mean())
    print(f"episodes that reach the goal: {before:.0%} before training, {after:.0%} afterwards")
    return before, after


if __name__ == "__main__":
    main()
