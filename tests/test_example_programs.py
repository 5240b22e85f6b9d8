"""The example programs run, and come to the results that they state."""

import importlib.util
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import cross_entropy

from mytorch.data import Shapes

PROGRAMS = {path.stem: path for path in Path(__file__).parents[1].glob("examples/*.py")}
LONGEST = 120


def program(name):
    """The module of an example."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", PROGRAMS[name])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_is_short_and_states_its_result():
    assert PROGRAMS.keys() == {"distillation", "fine_tune_resnet", "gan", "policy_gradient", "word_vectors"}
    for path in PROGRAMS.values():
        text = path.read_text()
        assert len(text.splitlines()) < LONGEST, path
        assert "\nResult: " in text
        assert f"python examples/{path.name}" in text


def test_gan():
    near, emptiest = program("gan").main()
    assert near > 0.95
    assert emptiest > 0.06, "an eighth of the directions would get 0.125 at best"


def test_policy_gradient():
    before, after = program("policy_gradient").main()
    assert before < 0.2
    assert after > 0.97


def test_word_vectors():
    assert program("word_vectors").main() >= 0.95


def test_distillation():
    errors = program("distillation").main()
    assert errors["teacher"] < 0.01
    assert errors["student"] < 0.02
    assert errors["without a teacher"] > 0.05


class Block(torch.nn.Module):
    """torchvision's BasicBlock."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(outputs)
        self.conv2 = torch.nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            short = torch.nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = torch.nn.Sequential(short, torch.nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class ResNet(torch.nn.Module):
    """torchvision's ResNet with a block a layer, for grey images."""

    def __init__(self, widths, classes):
        super().__init__()
        first, second, third = widths
        self.conv1 = torch.nn.Conv2d(1, first, 3, 1, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(first)
        self.layer1 = torch.nn.Sequential(Block(first, first, 1))
        self.layer2 = torch.nn.Sequential(Block(first, second, 2))
        self.layer3 = torch.nn.Sequential(Block(second, third, 2))
        self.fc = torch.nn.Linear(third, classes)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.bn1(self.conv1(x)).relu())))
        return self.fc(x.mean((2, 3)))


@pytest.fixture(scope="module")
def pretrained():
    """A network of torch that tells shapes in small images with little noise apart."""
    torch.manual_seed(0)
    net, data = ResNet((8, 16, 32), 3), Shapes(2000, seed=1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    for _ in range(2):
        for rows in torch.randperm(len(data)).split(50):
            optimizer.zero_grad()
            cross_entropy(net(data.inputs[rows]), data.targets[rows]).backward()
            optimizer.step()
    return net.eval()


def test_fine_tune_resnet(pretrained, tmp_path):
    save_file(pretrained.state_dict(), tmp_path / "weights.safetensors")
    tuned, alone = program("fine_tune_resnet").main(tmp_path / "weights.safetensors")
    assert tuned > 0.8
    assert alone < 0.65


def test_the_resnet_of_the_example_is_that_of_torchvision(pretrained):
    net = program("fine_tune_resnet").ResNet(3)
    net.load_state_dict(pretrained.state_dict())
    x = torch.randn(5, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(net.eval()(x), pretrained(x), rtol=1e-4, atol=1e-5)
