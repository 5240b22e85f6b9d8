"""One training step of whole networks beside PyTorch's fastest variant, on one thread.

LeNet and a ResNet-18 for images of 32 by 32, a U-Net that gives each of their pixels a class, classifiers of sequences
by an LSTM and a GRU, a transformer encoder of two layers and a GPT of four, each as its users would write it in both,
from the same weights; cross entropy, SGD with momentum. PyTorch runs its SGD in three ways, of which the fastest
counts. The bound is our step as the bare kernels that it calls, without modules and checks (replay.py). All must first
give the same losses for five steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from networks import MOMENTUM, TORCH_SGD
from replay import replayed
from side_by_side import Contestant, Effort, Report, Target, arguments, measure
from torch import Tensor

from mytorch import nn, optim
from mytorch.core import Module
from mytorch.train import step

OURS, BARE = "mytorch", "bare kernels"
LR = 1e-4
"""Small, so that the losses can be compared: in a deep network, rounding grows with every step that changes much."""
CLASSES = 10
FULL = Effort(processes=5, rounds=12, seconds=0.05)
QUICK = Effort(processes=2, rounds=4, seconds=0.02)


def lenet(kit: Any) -> Any:
    """LeCun et al. 1998, with ReLU and maximum pooling."""
    return kit.Sequential(
        *(kit.Conv2d(3, 6, 5), kit.ReLU(), kit.MaxPool2d(2)),
        *(kit.Conv2d(6, 16, 5), kit.ReLU(), kit.MaxPool2d(2), kit.Flatten()),
        *(kit.Linear(400, 120), kit.ReLU(), kit.Linear(120, 84), kit.ReLU(), kit.Linear(84, CLASSES)),
    )


def resnet(kit: Any) -> Any:
    """He et al. 2015, ResNet-18 with the stem for small images."""
    layers = [kit.Conv2d(3, 64, 3, padding=1, bias=False), kit.BatchNorm2d(64), kit.ReLU()]
    for before, channels, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        layers += [_block(kit, before, channels, stride), kit.ReLU(), _block(kit, channels, channels, 1), kit.ReLU()]
    return kit.Sequential(*layers, kit.AdaptiveAvgPool2d(1), kit.Flatten(), kit.Linear(512, CLASSES))


def _block(kit: Any, before: int, channels: int, stride: int) -> Any:
    """Two convolutions, and a way around them."""
    way = kit.Sequential(
        kit.Conv2d(before, channels, 3, stride, padding=1, bias=False),
        kit.BatchNorm2d(channels),
        kit.ReLU(),
        kit.Conv2d(channels, channels, 3, padding=1, bias=False),
        kit.BatchNorm2d(channels),
    )
    short = kit.Identity()
    if stride > 1:
        short = kit.Sequential(kit.Conv2d(before, channels, 1, stride, bias=False), kit.BatchNorm2d(channels))
    return nn.Add(way, short) if kit is nn else _Sum(way, short)


class _Sum(torch.nn.Module):
    """The sum of two ways, as torch's users write it."""

    def __init__(self, way: torch.nn.Module, short: torch.nn.Module) -> None:
        super().__init__()
        self.way, self.short = way, short

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.way(x) + self.short(x)
        return y


class OfLastStep(Module):
    """The scores of a recurrent layer's last output."""

    def __init__(self, layer: Module, head: Module) -> None:
        self.layer, self.head = layer, head

    def forward(self, x: Tensor) -> tuple[Tensor, Any]:
        (y, _), kept = self.layer.forward(x)
        scores, kept_of_head = self.head.forward(y[:, -1])
        return scores, (y.shape, kept, kept_of_head)

    def backward(self, d_scores: Tensor, saved: Any) -> Any:
        shape, kept, kept_of_head = saved
        d_y = d_scores.new_zeros(shape)
        d_y[:, -1] = self.head.backward(d_scores, kept_of_head)
        return self.layer.backward((d_y, None), kept)


class OfMean(Module):
    """The scores of the average over the steps."""

    def __init__(self, layer: Module, head: Module) -> None:
        self.layer, self.head = layer, head

    def forward(self, x: Tensor) -> tuple[Tensor, Any]:
        y, kept = self.layer.forward(x)
        scores, kept_of_head = self.head.forward(y.mean(1))
        return scores, (y.shape, kept, kept_of_head)

    def backward(self, d_scores: Tensor, saved: Any) -> Any:
        shape, kept, kept_of_head = saved
        d_mean = self.head.backward(d_scores, kept_of_head)
        return self.layer.backward((d_mean / shape[1]).unsqueeze(1).expand(shape), kept)


class TorchOfLastStep(torch.nn.Module):
    """The same in torch's words."""

    def __init__(self, layer: torch.nn.Module, head: torch.nn.Module) -> None:
        super().__init__()
        self.layer, self.head = layer, head

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.layer(x)[0][:, -1])
        return scores


class TorchOfMean(TorchOfLastStep):
    """The same in torch's words."""

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.layer(x).mean(1))
        return scores


def recurrent(name: str) -> Callable[[Any], Any]:
    """A classifier by a recurrent layer of 64 units."""

    def build(kit: Any) -> Any:
        layer, head = getattr(kit, name)(32, 64, batch_first=True), kit.Linear(64, CLASSES)
        return OfLastStep(layer, head) if kit is nn else TorchOfLastStep(layer, head)

    return build


def transformer(kit: Any) -> Any:
    """An encoder of two layers of 64 features and four heads, without dropout."""
    layer = kit.TransformerEncoderLayer(64, 4, 256, dropout=0.0, batch_first=True)
    encoder, head = kit.TransformerEncoder(layer, 2), kit.Linear(64, CLASSES)
    return OfMean(encoder, head) if kit is nn else TorchOfMean(encoder, head)


def unet(kit: Any) -> Any:
    """Ronneberger et al. 2015 with two floors, padding and batch normalisation."""
    floor = _around(kit, _twice(kit, 16, 32), 16)
    return kit.Sequential(_twice(kit, 3, 16), floor, _twice(kit, 32, 16), kit.Conv2d(16, CLASSES, 1))


def _around(kit: Any, below: Any, channels: int) -> Any:
    """Half the size and twice the channels and back again, beside what comes in."""
    way = kit.Sequential(kit.MaxPool2d(2), below, kit.ConvTranspose2d(2 * channels, channels, 2, 2))
    return nn.Concatenate(kit.Identity(), way) if kit is nn else _Beside(kit.Identity(), way)


def _twice(kit: Any, before: int, channels: int) -> Any:
    layers = []
    for given in (before, channels):
        layers += [kit.Conv2d(given, channels, 3, padding=1, bias=False), kit.BatchNorm2d(channels), kit.ReLU()]
    return kit.Sequential(*layers)


class _Beside(_Sum):
    """The channels of two ways, one after the other."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.way(x), self.short(x)], 1)


class GPT(Module):
    """Scores of each next token: embeddings of token and place, layers that look back only, and a head."""

    def __init__(self, layers: Module) -> None:
        self.token, self.place = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(STEPS, WIDTH)
        self.layers, self.head = layers, nn.Linear(WIDTH, VOCABULARY)

    def forward(self, x: Tensor) -> tuple[Tensor, Any]:
        token, of_token = self.token.forward(x)
        place, of_place = self.place.forward(torch.arange(STEPS))
        h, of_layers = self.layers.forward(token + place)
        scores, of_head = self.head.forward(h)
        return scores.transpose(1, 2), (of_token, of_place, of_layers, of_head)

    def backward(self, d_scores: Tensor, saved: Any) -> None:
        of_token, of_place, of_layers, of_head = saved
        d_h = self.layers.backward(self.head.backward(d_scores.transpose(1, 2), of_head), of_layers)
        self.place.backward(d_h.sum(0), of_place)
        self.token.backward(d_h, of_token)


class TorchGPT(torch.nn.Module):
    """The same in torch's words."""

    def __init__(self, layers: torch.nn.Module) -> None:
        super().__init__()
        self.token, self.place = torch.nn.Embedding(VOCABULARY, WIDTH), torch.nn.Embedding(STEPS, WIDTH)
        self.layers, self.head = layers, torch.nn.Linear(WIDTH, VOCABULARY)
        self.mask = torch.nn.Transformer.generate_square_subsequent_mask(STEPS)

    def forward(self, x: Tensor) -> Tensor:
        h = self.layers(self.token(x) + self.place(torch.arange(STEPS)), mask=self.mask, is_causal=True)
        scores: Tensor = self.head(h)
        return scores.transpose(1, 2)


def gpt(kit: Any) -> Any:
    """Radford et al. 2019 with four layers of 64 features and four heads, without dropout."""
    causal, more = ({"is_causal": True}, {}) if kit is nn else ({}, {"enable_nested_tensor": False})
    arguments = WIDTH, 4, 4 * WIDTH, 0.0, "gelu"
    layer = kit.TransformerEncoderLayer(*arguments, batch_first=True, norm_first=True, **causal)
    layers = kit.TransformerEncoder(layer, 4, kit.LayerNorm(WIDTH), **more)
    return GPT(layers) if kit is nn else TorchGPT(layers)


IMAGES, SEQUENCES = (3, 32, 32), (32, 32)
VOCABULARY, STEPS, WIDTH = 256, 64, 64
NETWORKS: dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]] = {
    "LeNet, batch 32": (lenet, (32, *IMAGES)),
    "ResNet-18, batch 8": (resnet, (8, *IMAGES)),
    "LSTM, 32 steps, batch 32": (recurrent("LSTM"), (32, *SEQUENCES)),
    "GRU, 32 steps, batch 32": (recurrent("GRU"), (32, *SEQUENCES)),
    "transformer encoder, 64 steps, batch 16": (transformer, (16, 64, 64)),
    "U-Net, batch 8": (unet, (8, *IMAGES)),
    "GPT of four layers, 64 steps, batch 8": (gpt, (8, STEPS)),
}


def batch_of(name: str) -> tuple[Tensor, Tensor]:
    """Inputs and classes: of an image, of a sequence, of each pixel, or of each next token."""
    make, shape = NETWORKS[name]
    if make is gpt:
        tokens = torch.randint(VOCABULARY, (shape[0], STEPS + 1))
        return tokens[:, :-1], tokens[:, 1:]
    return torch.randn(shape), torch.randint(CLASSES, (shape[0], *shape[2:]) if make is unet else shape[:1])


def build(name: str) -> dict[str, Contestant]:
    """Ours, its bare kernels, and PyTorch's with each SGD, from the same weights."""
    make, _ = NETWORKS[name]
    torch.manual_seed(0)
    first = make(torch.nn)
    batch = batch_of(name)
    contestants = {OURS: _ours(name, first, *batch)}
    contestants[BARE] = Contestant(replayed(_ours(name, first, *batch).call), inference=True)
    for sgd, settings in TORCH_SGD.items():
        net = make(torch.nn)
        net.load_state_dict(first.state_dict())
        contestants[f"PyTorch, {sgd}"] = _pytorch(net, settings, *batch)
    return contestants


def with_weights(name: str, first: torch.nn.Module) -> tuple[Module, nn.CrossEntropyLoss, optim.SGD]:
    """Our network with the weights of torch's, our loss and our optimizer."""
    net = NETWORKS[name][0](nn)
    with torch.no_grad():
        for parameter, value in zip(net.param(), first.parameters(), strict=True):
            parameter.value.copy_(value)
    return net, nn.CrossEntropyLoss(), optim.SGD(net.param(), lr=LR, momentum=MOMENTUM)


def _ours(name: str, first: torch.nn.Module, inputs: Tensor, targets: Tensor) -> Contestant:
    net, loss, optimizer = with_weights(name, first)
    net.input_grad = False
    return Contestant(lambda: step(net, loss, optimizer, inputs, targets)[0], inference=True)


def _pytorch(net: torch.nn.Module, settings: dict[str, bool], inputs: Tensor, targets: Tensor) -> Contestant:
    loss = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=LR, momentum=MOMENTUM, **settings)

    def train() -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        value: Tensor = loss(net(inputs), targets)
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return value.detach()

    return Contestant(train)


def main() -> None:
    options = arguments(__doc__)
    report = Report(options.json)
    rows, targets = [], []
    for name in NETWORKS:
        measured = measure(build, name, effort=QUICK if options.quick else FULL)
        fastest = measured.fastest([other for other in measured.processes[0] if other not in (OURS, BARE)])
        ratio = measured.ratio(fastest, OURS)
        seconds = [measured.seconds(one).text(2, 1e3) for one in (OURS, fastest)]
        bound = measured.ratio(fastest, BARE).text(), measured.ratio(OURS, BARE).text()
        rows.append([name, *seconds, fastest.split(", ")[1], ratio.text(), *bound])
        targets.append(Target(f"{name}: PyTorch / {OURS}", ratio, 1.0, at_least=True, equal_in_quartiles=True))
    columns = ["network", "mytorch, milliseconds", "PyTorch, milliseconds", "its SGD", "PyTorch / mytorch"]
    columns += ["PyTorch / bare kernels", "mytorch / bare kernels"]
    report.table("One training step", columns, rows)
    for target in targets:
        report.target(target)
    report.end()


if __name__ == "__main__":
    main()
