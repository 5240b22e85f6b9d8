"""A generative adversarial network: two networks and two optimizers that work against each other.

The data are points near a circle. The generator makes points of noise. The discriminator gives a score to each point
and learns to give high ones to points of the data alone; the generator learns to make points with high scores, too.

    python examples/gan.py

Result: 99 % of the points that the generator makes are within 0.2 of the circle, and they lie in every direction.
Source: Goodfellow et al. 2014, "Generative Adversarial Nets"
"""

import math

import torch
from torch import Tensor

from mytorch.nn import BCEWithLogitsLoss, LeakyReLU, Linear, Sequential
from mytorch.optim import Adam

NOISE, HIDDEN, BATCH, STEPS = 4, 64, 128, 3000
SECTORS = 8


def circle(count: int) -> Tensor:
    """Points of the data: (count, 2), at a distance of about 1 from the origin."""
    angle = 2 * math.pi * torch.rand(count)
    return torch.stack((angle.cos(), angle.sin()), 1) * (1 + 0.05 * torch.randn(count, 1))


def network(inputs: int, outputs: int) -> Sequential:
    """Two hidden layers."""
    return Sequential(
        Linear(inputs, HIDDEN), LeakyReLU(0.2), Linear(HIDDEN, HIDDEN), LeakyReLU(0.2), Linear(HIDDEN, outputs)
    )


def train_discriminator(discriminator, optimizer, real: Tensor, made: Tensor) -> float:
    """A step towards 1 for points of the data and 0 for points that were made. Returns the loss."""
    points = torch.cat((real, made))
    wanted = torch.cat((torch.ones(len(real), 1), torch.zeros(len(made), 1)))
    loss = BCEWithLogitsLoss()
    scores, saved = discriminator.forward(points)
    value, saved_by_loss = loss.forward(scores, wanted)
    discriminator.backward(loss.backward(1.0, saved_by_loss), saved)
    optimizer.step()
    optimizer.zero_grad()
    return float(value)


def train_generator(generator, discriminator, optimizer) -> float:
    """A step towards points that the discriminator takes for those of the data. Returns the loss."""
    loss = BCEWithLogitsLoss()
    points, saved = generator.forward(torch.randn(BATCH, NOISE))
    scores, saved_by_discriminator = discriminator.forward(points)
    value, saved_by_loss = loss.forward(scores, torch.ones(BATCH, 1))
    d_points = discriminator.backward(loss.backward(1.0, saved_by_loss), saved_by_discriminator)
    discriminator.zero_grad()  # the backward through it has left gradients that are not for this step
    generator.backward(d_points, saved)
    optimizer.step()
    optimizer.zero_grad()
    return float(value)


def quality(points: Tensor) -> tuple[float, float]:
    """The share of points within 0.2 of the circle, and the share in the emptiest eighth of the directions."""
    near = ((points.norm(dim=1) - 1).abs() < 0.2).float().mean()
    sectors = ((torch.atan2(points[:, 1], points[:, 0]) / (2 * math.pi) + 0.5) * SECTORS).long().clamp(0, SECTORS - 1)
    return float(near), float(torch.bincount(sectors, minlength=SECTORS).min()) / len(points)


def main(seed: int = 0) -> tuple[float, float]:
    """Train both. Returns the quality of the points that the generator makes."""
    torch.manual_seed(seed)
    generator, discriminator = network(NOISE, 2), network(2, 1)
    of_generator = Adam(generator.param(), lr=1e-3, betas=(0.5, 0.999))
    of_discriminator = Adam(discriminator.param(), lr=1e-3, betas=(0.5, 0.999))
    with torch.inference_mode():
        for step in range(1, STEPS + 1):
            made = generator(torch.randn(BATCH, NOISE))
            told_apart = train_discriminator(discriminator, of_discriminator, circle(BATCH), made)
            mistaken = train_generator(generator, discriminator, of_generator)
            if step % 500 == 0:
                print(f"step {step}  loss of the discriminator {told_apart:.3f}, of the generator {mistaken:.3f}")
        near, emptiest = quality(generator(torch.randn(2000, NOISE)))
    print(
        f"{near:.0%} of the points that were made are near the circle, {emptiest:.0%} in the emptiest direction of 8"
    )
    return near, emptiest


if __name__ == "__main__":
    main()
