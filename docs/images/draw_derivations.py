"""Draws the figures of the pages in docs/backpropagation; every number in them is computed here, by the layers.

python docs/images/draw_derivations.py [FOLDER]
"""

import sys
from pathlib import Path

import torch
from diagram import BACKWARD, FORWARD, GREY, edge, frame, node, number
from matplotlib.figure import Figure

from mytorch.data.palette import BLACK, BLUE, GREEN, VERMILION
from mytorch.nn import RNN, BatchNorm1d, Conv1d, CrossEntropyLoss, MSELoss, Softmax

KERNEL = (BLACK, "-"), (GREEN, "--")
"""The colour and the line of each weight of a kernel."""


def bare(axes, title):
    """A panel for bars: a title and the line of zero."""
    axes.set_title(title, loc="left", size=11)
    axes.axhline(0, color="black", lw=0.8)
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def labelled_bars(axes, places, heights, colour, width):
    """Bars with their numbers."""
    axes.bar(places, heights, color=colour, width=width)
    for place, height in zip(places, heights, strict=True):
        side, align = (3, "bottom") if height >= 0 else (-3, "top")
        offset = {"xytext": (0, side), "textcoords": "offset points"}
        axes.annotate(number(height), (place, height), ha="center", va=align, size=10, **offset)


def draw_softmax(path):
    """Scores, probabilities, the target and the gradient, as bars."""
    z, target = torch.tensor([[1.0, 2.0, 5.0]]).log(), torch.tensor([1])
    loss = CrossEntropyLoss()
    value, saved = loss.forward(z, target)
    d_z = loss.backward(1.0, saved)[0]
    p, q = Softmax(dim=1)(z)[0], torch.nn.functional.one_hot(target[0], 3).float()
    figure = Figure(figsize=(7.2, 3.0), layout="constrained")
    titles = ("1. scores z", "2. p = softmax(z)", "3. target q", "4. d_z = p - q")
    bars = zip(figure.subplots(1, 4), titles, (z[0], p, q, d_z), (GREY, FORWARD, GREY, BACKWARD), strict=True)
    for axes, title, heights, colour in bars:
        bare(axes, title)
        labelled_bars(axes, [0, 1, 2], heights.tolist(), colour, 0.7)
        axes.set_xticks([0, 1, 2])
        axes.set_xlabel("class", size=10)
        top = max(1.0, heights.max().item())
        axes.set_ylim(-0.92 * top, 1.15 * top)
    title = f"The loss is -log {number(p[1])} = {number(value)}: class 1 should get all of the probability"
    figure.suptitle(title, size=11, x=0.01, ha="left")
    figure.savefig(path, dpi=150)


def draw_batch_norm(path):
    """The gradient that arrives, the two parts that are taken out, and what remains."""
    x = torch.tensor([[1.0], [3.0], [4.0], [5.0], [7.0]], dtype=torch.float64)
    d_n = torch.tensor([[1.0], [0.0], [0.0], [0.0], [0.0]], dtype=torch.float64)
    layer = BatchNorm1d(1, eps=1e-12, affine=False).to(torch.float64)
    n, saved = layer.forward(x)
    d_x = layer.backward(d_n, saved)
    shift, stretch = d_n.mean().expand_as(n), n * (d_n * n).mean()
    figure = Figure(figsize=(7.2, 5.8), layout="constrained")
    panels = figure.subplots(4, 1, sharex=True, sharey=True)
    parts = (
        ("1. What arrives, d_n: the loss falls if n of the first row falls", d_n, BACKWARD),
        ("2. Its part that is equal in all rows, mean(d_n): subtracting the mean removes it", shift, GREY),
        ("3. Its part that grows with n, n * mean(d_n * n): dividing by s removes it", stretch, GREY),
        ("4. What remains, divided by s = 2: d_x = (d_n - mean(d_n) - n * mean(d_n * n)) / s", d_x, BACKWARD),
    )
    for axes, (title, heights, colour) in zip(panels, parts, strict=True):
        bare(axes, title)
        labelled_bars(axes, x[:, 0].tolist(), heights[:, 0].tolist(), colour, 0.45)
    panels[0].set_ylim(-0.75, 1.3)
    names = [f"x = {number(a)}\nn = {number(b)}" for a, b in zip(x, n, strict=True)]
    panels[-1].set_xticks(x[:, 0].tolist(), names)
    figure.savefig(path, dpi=150)


def draw_convolution(path):
    """Which input meets which output by which weight, forward and backward."""
    layer = Conv1d(1, 1, 2, bias=False)
    layer.weight.value.copy_(torch.tensor([[[2.0, -1.0]]]))
    y, saved = layer.forward(torch.tensor([[[1.0, 3.0, 2.0, 5.0]]]))
    x, d_y = torch.tensor([1.0, 3.0, 2.0, 5.0]), torch.tensor([1.0, 2.0, -1.0])
    d_x = layer.backward(d_y.view(1, 1, 3), saved)
    kernel, d_kernel = layer.weight.value[0, 0], layer.weight.grad[0, 0]
    figure = Figure(figsize=(7.2, 7.0), layout="constrained")
    above, below = figure.subplots(2, 1)
    of_inputs, of_outputs = [(2 * i, 0) for i in range(4)], [(2 * i + 1, 1.7) for i in range(3)]
    for axes, d, bottom, top in ((above, "", x, y[0, 0]), (below, "d_", d_x[0, 0], d_y)):
        colour = BACKWARD if d else FORWARD
        for place, value in enumerate(bottom.tolist()):
            node(axes, of_inputs[place], number(value), colour, f"{d}x[{place}]", below=True)
        for place, value in enumerate(top.tolist()):
            node(axes, of_outputs[place], number(value), colour, f"{d}y[{place}]")
            for k, (of_weight, line) in enumerate(KERNEL):
                ends = [of_inputs[place + k], of_outputs[place]]
                ends = ends[::-1] if d else ends
                edge(axes, *ends, number(kernel[k]), of_weight, line=line, line_colour=of_weight)
    size = (-0.7, 6.7), (-0.8, 2.5)
    frame(above, *size, "Forward: a window of two moves along x; the same two weights at each place")
    first, second = map(number, d_kernel)
    title = "Backward: the same arrows turned around; w[0] met 1, 3, 2 and w[1] met 3, 2, 5:\n"
    title += f"d_w[0] = 1 * 1 + 2 * 3 - 1 * 2 = {first},  d_w[1] = 1 * 3 + 2 * 2 - 1 * 5 = {second}"
    frame(below, *size, title)
    figure.savefig(path, dpi=150)


def draw_recurrence(path):
    """Three unrolled steps, forward and backward, and the gradient along many."""
    layer, loss = RNN(1, 1, nonlinearity="relu", bias=False), MSELoss()
    for parameter, value in zip(layer.param(), (1.0, 0.5), strict=True):
        parameter.value.fill_(value)
    x = torch.tensor([4.0, -1.0, 2.0])
    (y, h_n), saved = layer.forward(x.view(3, 1))
    value, kept = loss.forward(h_n, torch.tensor([[1.5]]))
    d_h = layer.backward((torch.zeros(3, 1), loss.backward(1.0, kept)), saved).flatten()  # d_x, as w = 1
    d_u, d_w = layer.weight_hh_l0.grad, layer.weight_ih_l0.grad
    h = torch.cat([torch.zeros(1), y.flatten()])
    figure = Figure(figsize=(7.2, 8.6), layout="constrained")
    above, below, lowest = figure.subplots(3, 1, height_ratios=(1, 1, 0.95))
    draw_steps(above, "", x, h, h[1:], value)
    draw_steps(below, "d_", x, h, d_h, 1.0)
    frame(above, (-0.6, 9.3), (-1.5, 1.9), "Forward: h[t] = relu(w * x[t] + u * h[t-1]), loss = (h[3] - 1.5)^2")
    title = f"Backward: each step adds its share to d_u = {number(d_u)} and d_w = {number(d_w)}"
    frame(below, (-0.6, 9.3), (-1.5, 1.9), title)
    draw_far_back(lowest)
    figure.savefig(path, dpi=150)


def draw_steps(axes, d, x, h, at_steps, at_end):
    """One direction; at_steps: what stands in the boxes of the three steps, h or d_h."""
    colour, end = BACKWARD if d else FORWARD, (8.7, 1.0)
    node(axes, (0, 1.0), number(h[0]), GREY, "h[0]")
    for t in range(1, 4):
        here, left, under = (2.2 * t, 1.0), (2.2 * (t - 1), 1.0), (2.2 * t, -0.8)
        node(axes, here, number(at_steps[t - 1]), colour, f"{d}h[{t}]")
        node(axes, under, number(x[t - 1]), GREY if d else FORWARD, f"x[{t}]", below=True)
        if d:
            edge(axes, here, left, f"d_u: {number(at_steps[t - 1] * h[t - 1])}", BACKWARD, gaps=(20, 22))
            edge(axes, here, under, f"d_w: {number(at_steps[t - 1] * x[t - 1])}", BACKWARD, gaps=(20, 18))
        else:
            edge(axes, left, here, "u = 0.5", FORWARD, gaps=(22, 20))
            edge(axes, under, here, "w = 1", FORWARD, gaps=(18, 20))
    node(axes, end, number(at_end), colour, f"{d}loss")
    edge(axes, *((end, here) if d else (here, end)), gaps=(22, 18))


def draw_far_back(axes):
    """The gradient of the state over thirty steps."""
    for u, colour, line in ((1.2, VERMILION, "--"), (1.0, BLACK, "-"), (0.9, GREEN, "-."), (0.5, BLUE, ":")):
        axes.semilogy(range(31), [u**k for k in range(31)], color=colour, ls=line, lw=2)
        axes.text(30.4, u**30, f"u = {u:g}", va="center", color=colour, size=11)
    axes.set_xlim(0, 34)
    axes.set_xlabel("steps back in time")
    axes.set_title("Further back: d_h is multiplied by u at each step, and vanishes or explodes", loc="left")
    axes.spines[["top", "right"]].set_visible(False)


def draw_attention(path):
    """One query and two keys, forward and backward."""
    q, k, v = torch.tensor(3.0).log(), torch.tensor([0.0, 1.0]), torch.tensor([8.0, 4.0])
    softmax, d_y = Softmax(dim=0), torch.tensor(1.0)
    s = q * k
    p, saved = softmax.forward(s)
    d_p = d_y * v
    d_s = softmax.backward(d_p, saved)
    forward = {"q": q, "k": k, "v": v, "s": s, "p": p, "y": (p * v).sum()}
    backward = {"q": (d_s * k).sum(), "k": d_s * q, "v": d_y * p, "s": d_s, "p": d_p, "y": d_y}
    figure = Figure(figsize=(7.2, 8.2), layout="constrained")
    above, below = figure.subplots(2, 1)
    draw_lookup(above, "", forward)
    draw_lookup(below, "d_", backward)
    size = (-0.7, 7.8), (-2.3, 2.4)
    frame(above, *size, "Forward: s = q * k, p = softmax(s), y = p[0] * v[0] + p[1] * v[1]")
    mean = number((p * d_p).sum())
    frame(below, *size, f"Backward: d_p = d_y * v, d_s = p * (d_p - m), m = p[0] * d_p[0] + p[1] * d_p[1] = {mean}")
    figure.savefig(path, dpi=150)


def draw_lookup(axes, d, values):
    """One direction."""
    q, y = (0.0, 0.0), (7.3, 0.0)
    node(axes, q, number(values["q"]), BACKWARD if d else FORWARD, f"{d}q")
    node(axes, y, number(values["y"]), BACKWARD if d else FORWARD, f"{d}y")
    columns = {"k": (0.0, 1.6), "s": (2.3, 0.9), "p": (4.6, 0.9), "v": (5.8, 1.7)}
    places = {(name, i): (x, -side if i else side) for name, (x, side) in columns.items() for i in range(2)}
    for (name, i), place in places.items():
        node(axes, place, number(values[name][i]), BACKWARD if d else FORWARD, f"{d}{name}[{i}]", below=bool(i))
    for i in range(2):
        ends = [(places["k", i], places["s", i]), (q, places["s", i]), (places["p", i], y), (places["v", i], y)]
        ends += [(places["s", j], places["p", i]) for j in range(2)]
        for start, end in ends:
            edge(axes, *((end, start) if d else (start, end)), gaps=(22, 22))


def main(folder):
    """Draw all into a folder."""
    draw_softmax(folder / "backpropagation-softmax.png")
    draw_batch_norm(folder / "backpropagation-batch-norm.png")
    draw_convolution(folder / "backpropagation-convolution.png")
    draw_recurrence(folder / "backpropagation-recurrence.png")
    draw_attention(folder / "backpropagation-attention.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
