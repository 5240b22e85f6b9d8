"""Draws the figures of docs/backpropagation.md; every number in them is computed here.

python docs/images/draw_backpropagation.py [FOLDER]
"""

import sys
from pathlib import Path

import torch
from diagram import BACKWARD, FORWARD, GREY, edge, frame, node
from matplotlib.figure import Figure

from mytorch.nn import Linear, MSELoss, ReLU, Sequential
from mytorch.optim import SGD
from mytorch.train import explain

COLUMNS = {"x": 0.0, "h": 1.9, "y": 3.7, "loss": 5.1}
PLACES = {("x", 0): 1.0, ("x", 1): -1.0, ("h", 0): 1.0, ("h", 1): -1.0, ("y", 0): 0.0, ("loss", 0): 0.0}
WIDTH, HEIGHT = (-0.5, 5.6), (-1.9, 1.9)


def net_of_the_page():
    """The 2-2-1 net, its row and its target."""
    net = Sequential(Linear(2, 2), ReLU(), Linear(2, 1))
    for parameter, numbers in zip(net.param(), ([[1, -1], [2, 0.5]], [0, -5], [[2, 3]], [1]), strict=True):
        parameter.value.copy_(torch.tensor(numbers))
    return net, torch.tensor([[2.0, 1.0]]), torch.tensor([[1.0]])


def draw_net(path):
    """The net twice: values on the way forward, gradients on the way back."""
    net, x, t = net_of_the_page()
    steps = explain(net, MSELoss(), x, t).steps
    held = {
        (step.phase, step.path, tensor.name): tensor.values
        for step in steps
        for tensor in (*step.inputs, *step.outputs, *step.parameters, *step.gradients)
    }
    figure = Figure(figsize=(7.2, 7.4), layout="constrained")
    above, below = figure.subplots(2, 1)
    for axes, phase, d in ((above, "forward", ""), (below, "backward", "d_")):
        last = "y" if phase == "forward" else "d_y"
        values = {
            "x": held[phase, "0", f"{d}x"][0],
            "z": held[phase, "0", f"{d}y"][0],
            "h": held[phase, "2", f"{d}x"][0],
            "y": held[phase, "2", last][0],
            "loss": [held["loss", "loss", "value"]] if phase == "forward" else [held["backward", "loss", "d_value"]],
        }
        weights = [held[phase, layer, f"{d}{name}"] for layer in "02" for name in ("weight", "bias")]
        draw_pass(axes, values, weights, d)
    frame(above, WIDTH, HEIGHT, "Forward: values in the circles, weights on the arrows")
    frame(below, WIDTH, HEIGHT, "Backward: the gradient of the loss with respect to each of them")
    figure.savefig(path, dpi=150)


def draw_pass(axes, values, weights, d):
    """One direction."""
    colour = BACKWARD if d else FORWARD
    first, first_bias, second, second_bias = weights
    for unit in range(2):
        for source in range(2):
            arrow(axes, ("x", source), ("h", unit), f"{first[unit][source]:g}", d, at=0.3)
        arrow(axes, ("h", unit), ("y", 0), f"{second[0][unit]:g}", d, at=0.45)
    arrow(axes, ("y", 0), ("loss", 0), "", d, at=0.5)
    for unit in range(2):
        circle(axes, ("x", unit), f"{d}x{unit + 1}", [values["x"][unit]], colour)
        both = [values["z"][unit], values["h"][unit]]
        dead = values["z" if d else "h"][unit] == 0
        name = f"{d}z{unit + 1} | {d}h{unit + 1}\n({d}bias {first_bias[unit]:g})"
        circle(axes, ("h", unit), name, both, GREY if dead else colour)
    circle(axes, ("y", 0), f"{d}y\n({d}bias {second_bias[0]:g})", values["y"], colour)
    circle(axes, ("loss", 0), "d_loss" if d else "loss\n(target 1)", values["loss"], colour)


def circle(axes, unit, name, numbers, colour):
    """A unit with its numbers in it and its name beside it, away from the arrows."""
    place = COLUMNS[unit[0]], PLACES[unit]
    node(axes, place, "  |  ".join(f"{number:g}" for number in numbers), colour, name, below=place[1] < 0)


def arrow(axes, source, target, text, d, at):
    """An edge, against its direction on the way back."""
    ends = [(COLUMNS[unit[0]], PLACES[unit]) for unit in (source, target)]
    gaps = (30 if source[0] == "h" else 18, 34 if target[0] == "h" else 18)
    if d:
        edge(axes, *ends[::-1], text, BACKWARD, at=1 - at, gaps=gaps[::-1])
    else:
        edge(axes, *ends, text, FORWARD, at=at, gaps=gaps)


def descent(momentum, steps=30):
    """The path of two weights down a ravine: loss = (w1^2 + 25 w2^2) / 2."""
    net, loss = Linear(2, 1, bias=False), MSELoss()
    x, t = torch.tensor([[1.0, 0.0], [0.0, 5.0]]), torch.zeros(2, 1)
    net.weight.value.copy_(torch.tensor([[-9.0, 1.5]]))
    optimizer = SGD(net.param(), lr=0.07, momentum=momentum)
    path = [net.weight.value[0].tolist()]
    for _ in range(steps):
        y, saved = net.forward(x)
        _, kept = loss.forward(y, t)
        net.backward(loss.backward(1.0, kept), saved)
        optimizer.step()
        optimizer.zero_grad()
        path.append(net.weight.value[0].tolist())
    return path


def draw_momentum(path):
    """Both paths over the contours of the loss."""
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    w1, w2 = torch.meshgrid(torch.linspace(-10, 4, 200), torch.linspace(-2.2, 2.2, 200), indexing="xy")
    heights = (w1**2 + 25 * w2**2) / 2
    panels = zip(figure.subplots(2, 1, sharex=True), (0.0, 0.5), (FORWARD, BACKWARD), strict=True)
    for axes, momentum, colour in panels:
        axes.contour(w1, w2, heights, levels=[0.5, 2, 5, 10, 20, 35, 55, 80], colors=GREY, linewidths=0.6)
        walked = descent(momentum)
        axes.plot(*zip(*walked, strict=True), marker="o", ms=3.5, lw=1.2, color=colour)
        axes.plot(0, 0, marker="+", ms=12, mew=2, color="black")
        end = (walked[-1][0] ** 2 + 25 * walked[-1][1] ** 2) / 2
        axes.set_title(f"momentum {momentum:g}: loss {end:.2g} after 30 steps", loc="left", size=11)
        axes.set_ylabel("w2")
        axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("w1")
    figure.savefig(path, dpi=150)


def main(folder):
    """Draw both into a folder."""
    draw_net(folder / "backpropagation-net.png")
    draw_momentum(folder / "backpropagation-momentum.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
